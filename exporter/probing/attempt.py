"""One look at the network and one pure reading of it: timed, bounded and judged here, and nowhere else."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from exporter.model.outcomes import Failed, Found, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.problems import Step

Evidence = TypeVar("Evidence")


@dataclass(frozen=True, slots=True)
class Failure(Generic[Found]):
    """The reading of evidence that fails its stage; `found` is what it tells all the same."""

    problems: tuple[Problem, ...]
    found: Found | None = None


def identity(evidence: Evidence) -> Evidence:
    """The reading of evidence that needs none."""
    return evidence


STAGE_SHARE = 1 / 3  # of the whole probe: a dead well-known must leave time for what follows it


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the step at hand must have ended, and when the whole probe; both of the monotonic clock."""

    at: float
    probe_at: float
    stage_seconds: float

    @classmethod
    def for_probe(cls, seconds: float) -> "Deadline":
        at = time.monotonic() + seconds
        return cls(at, at, seconds * STAGE_SHARE)

    def for_stage(self) -> "Deadline":
        return self._at_most(self.probe_at, self.stage_seconds)

    def capped(self, seconds: float) -> "Deadline":
        """At most that far from now."""
        return self._at_most(self.at, seconds)

    def _at_most(self, at: float, seconds: float) -> "Deadline":
        return Deadline(min(at, time.monotonic() + seconds), self.probe_at, self.stage_seconds)

    def remaining(self) -> float:
        return self.at - time.monotonic()

    def probe_expired(self) -> bool:
        return self.probe_at <= time.monotonic()


async def gather_all(looks: Iterable[Awaitable[Evidence]]) -> Sequence[Evidence]:
    """All of them at once; one alone, as it mostly is, needs no task of its own."""
    looks = list(looks)
    return [await looks[0]] if len(looks) == 1 else await asyncio.gather(*looks)


async def attempt(
    step: Step,
    look: Awaitable[Evidence],
    read: Callable[[Evidence], Found | Failure[Found]],
    deadline: Deadline,
    clock: Callable[[], float] = time.perf_counter,
) -> Passed[Found] | Failed[Found]:
    """Only the look is timed. Nothing but cancellation gets past this function."""
    started = clock()
    try:
        try:
            async with asyncio.timeout(deadline.remaining()):
                evidence = await look
        finally:
            seconds = clock() - started
        reading = read(evidence)
    except Exception as error:  # noqa: BLE001 - the one place that knows what to do with any of them
        problem = _classify_error(error, step, deadline)
        problems.release_frames(error)
        return Failed(seconds, (problem,))
    if isinstance(reading, Failure):
        return Failed(seconds, reading.problems, reading.found)
    return Passed(seconds, reading)


async def with_slot(slots: asyncio.Semaphore, work: Callable[[], Awaitable[Evidence]]) -> Evidence:
    async with slots:
        return await work()


def _classify_error(error: Exception, step: Step, deadline: Deadline) -> Problem:
    if isinstance(error, TimeoutError) and deadline.probe_expired():
        return Problem(Reason.TIMEOUT, f"the probe ended during its {step.name} step")
    return problems.classify(error, step)
