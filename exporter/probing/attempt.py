"""One request to the network and one pure evaluation: timed, bounded and judged here, and nowhere else."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Generic, TypeVar

from exporter.model.outcomes import Failed, Found, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.problems import Step
from exporter.runtime.cpu_budget import CpuBudget

Evidence = TypeVar("Evidence")
Result = TypeVar("Result")

MAX_CPU_SECONDS = 1.0  # of a probe, and of a deep look; 5 ms are usual, and 200 ms for 32 endpoints
_COSTLY: Final = {Step.TLS, Step.HTTP}  # a DNS answer is small, and a connection brings nothing yet
STAGE_SHARE = 1 / 3  # of the whole probe: a dead well-known must leave time for the stages after it


@dataclass(frozen=True, slots=True)
class Failure(Generic[Found]):
    """The evaluation of evidence that fails its stage. `found` is what the evidence shows nevertheless."""

    problems: tuple[Problem, ...]
    found: Found | None = None


def identity(evidence: Evidence) -> Evidence:
    """Evaluate evidence that needs no evaluation."""
    return evidence


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the current step must end, and when the whole probe must; both in seconds of the monotonic clock. `cpu` is
    the CPU time of the whole probe.

    There are three kinds:

    - `for_probe`: the step may take as long as the whole probe;
    - `for_stage`: a share of the probe, counted from now;
    - `capped`: some seconds from now, but no later than this deadline.

    None of them is ever later than the end of the probe.
    """

    at: float
    probe_at: float
    stage_seconds: float
    cpu: CpuBudget = field(default_factory=lambda: CpuBudget(MAX_CPU_SECONDS))

    @classmethod
    def for_probe(cls, seconds: float) -> "Deadline":
        at = time.monotonic() + seconds
        return cls(at, at, seconds * STAGE_SHARE)

    def for_stage(self) -> "Deadline":
        return self._at_most(self.probe_at, self.stage_seconds)

    def capped(self, seconds: float) -> "Deadline":
        return self._at_most(self.at, seconds)

    def _at_most(self, at: float, seconds: float) -> "Deadline":
        return Deadline(min(at, time.monotonic() + seconds), self.probe_at, self.stage_seconds, self.cpu)

    def remaining(self) -> float:
        """Return the seconds until this deadline; negative once it has passed."""
        return self.at - time.monotonic()

    def probe_expired(self) -> bool:
        return self.probe_at <= time.monotonic()


async def attempt(
    step: Step,
    fetch: Awaitable[Evidence],
    evaluate: Callable[[Evidence], Found | Failure[Found]],
    deadline: Deadline,
    clock: Callable[[], float] = time.perf_counter,
) -> Passed[Found] | Failed[Found]:
    """Await `fetch`, evaluate what it brings back, and return the outcome. Only `fetch` is timed.

    There are four cases:

    - the evaluation returns a finding: the step passed;
    - the evaluation returns a Failure: the step failed, with its problems;
    - the deadline expires, the CPU time of the probe is spent, or `fetch` or `evaluate` raises: the step failed, with
      the problem that this means;
    - it is cancelled: the cancellation passes through, and nothing else does.
    """
    started = clock()
    try:
        try:
            async with asyncio.timeout(deadline.remaining()):
                evidence = await (deadline.cpu.charge(fetch) if step in _COSTLY else fetch)
        finally:
            seconds = clock() - started
        finding = deadline.cpu.step(partial(evaluate, evidence))
    except Exception as error:  # noqa: BLE001 - the one place that knows what to do with any of them
        problem = _classify_error(error, step, deadline)
        problems.release_frames(error)
        return Failed(seconds, (problem,))
    if isinstance(finding, Failure):
        return Failed(seconds, finding.problems, finding.found)
    return Passed(seconds, finding)


def _classify_error(error: Exception, step: Step, deadline: Deadline) -> Problem:
    if isinstance(error, TimeoutError) and deadline.probe_expired():
        return Problem(Reason.TIMEOUT, f"the time for the whole probe ran out during its {step.name} step")
    return problems.classify(error, step)


async def gather_all(awaitables: Iterable[Awaitable[Result]]) -> Sequence[Result]:
    """Await all of them concurrently. A single one, as is most common, gets no task of its own."""
    awaitables = list(awaitables)
    return [await awaitables[0]] if len(awaitables) == 1 else await asyncio.gather(*awaitables)


async def with_slot(slots: asyncio.Semaphore, work: Callable[[], Awaitable[Result]]) -> Result:
    """Start the work once a slot is free, and hold the slot until it is done."""
    async with slots:
        return await work()
