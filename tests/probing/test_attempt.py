"""How a step is timed, bounded and judged."""

import asyncio
import time
from dataclasses import replace
from functools import partial

import pytest
from structlog.testing import capture_logs

from exporter.model.outcomes import Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing.attempt import STAGE_SHARE, Deadline, Failure, attempt, gather_all, identity, with_slot
from exporter.probing.problems import Step
from exporter.runtime.cpu_budget import CpuBudget
from tests.waiting import PATIENCE

MISMATCH = Problem(Reason.SERVER_NAME_MISMATCH, "the keys belong to another server")


def five_seconds() -> Deadline:
    return Deadline.for_probe(5)


async def fetch(evidence: int) -> int:
    return evidence


async def fail(error: BaseException) -> int:
    raise error


async def hang() -> int:
    await asyncio.Event().wait()
    return 0


class Clock:
    """A clock that advances by a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


async def test_passes_with_the_finding() -> None:
    """The finding is what the evaluation makes of the evidence."""
    assert await attempt(Step.DNS, fetch(2), lambda evidence: evidence * 21, five_seconds(), Clock()) == Passed(1, 42)


async def test_fails_with_the_problems_of_the_evaluation() -> None:
    """What was found nevertheless is kept."""

    def evaluate(evidence: int) -> int | Failure[int]:
        return Failure((MISMATCH,), evidence)

    assert await attempt(Step.HTTP, fetch(1), evaluate, five_seconds(), Clock()) == Failed(1, (MISMATCH,), 1)


async def test_fails_with_the_problem_that_an_exception_means() -> None:
    """The exception and the step decide which problem it is."""
    refused = fail(ConnectionRefusedError(111, "Connection refused"))
    outcome = await attempt(Step.TCP, refused, identity, five_seconds(), Clock())
    assert outcome == Failed(1, (Problem(Reason.CONNECT_REFUSED, "Connection refused"),))


async def test_the_evaluation_is_not_timed() -> None:
    """Durations are those of the network."""
    clock = Clock()

    def evaluate(evidence: int) -> int:
        clock.now += 100
        return evidence

    assert await attempt(Step.DNS, fetch(1), evaluate, five_seconds(), clock) == Passed(1, 1)


async def test_a_bug_is_an_internal_error_and_logged() -> None:
    """The log entry has the exception."""

    def evaluate(_: int) -> int:
        raise KeyError("forgotten")

    with capture_logs() as logs:
        outcome = await attempt(Step.HTTP, fetch(1), evaluate, five_seconds(), Clock())
    assert outcome == Failed(1, (Problem(Reason.INTERNAL_ERROR, "'forgotten'"),))
    assert [(entry["event"], entry["log_level"], type(entry["exc_info"])) for entry in logs] == [
        ("internal error", "error", KeyError)
    ]


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Step.DNS, Reason.DNS_TIMEOUT),
        (Step.TCP, Reason.CONNECT_TIMEOUT),
        (Step.TLS, Reason.TLS_TIMEOUT),
        (Step.HTTP, Reason.HTTP_TIMEOUT),
    ],
)
async def test_ends_at_its_deadline(step: Step, reason: Reason) -> None:
    """The reason says which step timed out."""
    whole = Deadline.for_probe(60)
    at = time.monotonic() + 0.01
    outcome = await attempt(step, hang(), identity, replace(whole, at=at))
    assert isinstance(outcome, Failed)
    assert outcome.problems == (Problem(reason, f"no answer in time ({step.name} step)"),)
    assert time.monotonic() >= at


async def test_ends_with_the_whole_probe() -> None:
    """The reason is then that of the probe, not that of the step."""
    outcome = await attempt(Step.TLS, hang(), identity, Deadline.for_probe(0.01))
    assert isinstance(outcome, Failed)
    assert outcome.problems == (Problem(Reason.TIMEOUT, "the time for the whole probe ran out during its TLS step"),)


async def test_fails_at_once_after_the_end_of_the_probe() -> None:
    """No time is left to wait for anything."""
    outcome = await attempt(Step.DNS, hang(), identity, Deadline.for_probe(-1))
    assert isinstance(outcome, Failed)
    assert [problem.reason for problem in outcome.problems] == [Reason.TIMEOUT]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
async def test_cancellation_passes_through(error: BaseException) -> None:
    """It is not the result of a step."""
    with pytest.raises(type(error)):
        await attempt(Step.DNS, fail(error), identity, five_seconds())


async def test_cancellation_is_not_a_timeout() -> None:
    """A task that is cancelled from outside ends as cancelled."""
    running = asyncio.create_task(attempt(Step.DNS, hang(), identity, five_seconds()))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_a_stage_gets_a_share_of_the_probe() -> None:
    """It never gets more than is left of the probe."""
    whole = Deadline.for_probe(30)
    assert whole.remaining() == pytest.approx(30, abs=0.5)
    assert whole.for_stage().remaining() == pytest.approx(30 * STAGE_SHARE, abs=0.5)
    assert whole.capped(1).for_stage().remaining() == pytest.approx(30 * STAGE_SHARE, abs=0.5)
    assert Deadline(whole.at, probe_at=whole.at, stage_seconds=100).for_stage().at == whole.at


async def test_all_steps_of_a_probe_share_its_cpu_time() -> None:
    """What exceeds it fails, and so does every later step, at once."""
    deadline = replace(Deadline.for_probe(PATIENCE), cpu=CpuBudget(0.05))

    async def work() -> int:
        while True:
            sum(range(10_000))
            await asyncio.sleep(0)

    spent = Problem(Reason.TOO_LARGE, "the exporter has spent 0.05 s of CPU time on this server")
    first = await attempt(Step.TLS, work(), identity, deadline.for_stage(), Clock())
    later = await attempt(Step.HTTP, hang(), identity, deadline, Clock())
    assert (first, later) == (Failed(1, (spent,)), Failed(1, (spent,)))


async def test_the_evaluation_takes_cpu_time_too() -> None:
    deadline = five_seconds()
    await attempt(Step.HTTP, fetch(1_000_000), lambda evidence: sum(range(evidence)), deadline)
    assert deadline.cpu.spent_seconds > 0.001


async def test_slots_limit_how_much_work_runs_at_once() -> None:
    """The next piece of work starts when one ends, and its result is returned."""
    slots, running, most = asyncio.Semaphore(2), 0, 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    results = await asyncio.gather(*(with_slot(slots, partial(work, number)) for number in range(5)))
    assert (results, most) == ([0, 1, 2, 3, 4], 2)


async def own_task() -> asyncio.Task[None] | None:
    return asyncio.current_task()


async def test_a_single_awaitable_gets_no_task_of_its_own() -> None:
    """A task would cost time, and one awaitable is the most common case."""
    assert await gather_all([own_task()]) == [asyncio.current_task()]


async def test_several_awaitables_run_concurrently() -> None:
    """Each waits for the other one here. None at all is fine, too."""
    barrier = asyncio.Barrier(2)
    assert sorted(await asyncio.wait_for(gather_all([barrier.wait(), barrier.wait()]), 5)) == [0, 1]
    assert await gather_all([]) == []
