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

MISMATCH = Problem(Reason.SERVER_NAME_MISMATCH, "somebody else's")


def soon() -> Deadline:
    return Deadline.for_probe(5)


async def brings(evidence: int) -> int:
    return evidence


async def raises(error: BaseException) -> int:
    raise error


async def never() -> int:
    await asyncio.Event().wait()
    return 0


class Clock:
    """Each look at it is a second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


async def test_passes_what_was_read() -> None:
    assert await attempt(Step.DNS, brings(2), lambda seen: seen * 21, soon(), Clock()) == Passed(1, 42)


async def test_fails_with_the_problems_of_the_reading_and_keeps_what_was_found() -> None:
    def read(seen: int) -> int | Failure[int]:
        return Failure((MISMATCH,), seen)

    assert await attempt(Step.HTTP, brings(1), read, soon(), Clock()) == Failed(1, (MISMATCH,), 1)


async def test_names_what_the_look_raised() -> None:
    outcome = await attempt(
        Step.TCP, raises(ConnectionRefusedError(111, "Connection refused")), identity, soon(), Clock()
    )
    assert outcome == Failed(1, (Problem(Reason.CONNECT_REFUSED, "Connection refused"),))


async def test_times_the_look_and_not_the_reading() -> None:
    clock = Clock()

    def read(seen: int) -> int:
        clock.now += 100
        return seen

    assert await attempt(Step.DNS, brings(1), read, soon(), clock) == Passed(1, 1)


async def test_a_fault_of_ours_is_an_internal_error_and_logged() -> None:
    def read(_: int) -> int:
        raise KeyError("forgotten")

    with capture_logs() as logs:
        outcome = await attempt(Step.HTTP, brings(1), read, soon(), Clock())
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
    whole = Deadline.for_probe(60)
    at = time.monotonic() + 0.01
    outcome = await attempt(step, never(), identity, replace(whole, at=at))
    assert isinstance(outcome, Failed)
    assert outcome.problems == (Problem(reason, f"no answer in time ({step.name} step)"),)
    assert time.monotonic() >= at


async def test_ends_with_the_whole_probe() -> None:
    outcome = await attempt(Step.TLS, never(), identity, Deadline.for_probe(0.01))
    assert isinstance(outcome, Failed)
    assert outcome.problems == (Problem(Reason.TIMEOUT, "the probe ended during its TLS step"),)


async def test_does_not_begin_after_the_end_of_the_probe() -> None:
    outcome = await attempt(Step.DNS, never(), identity, Deadline.for_probe(-1))
    assert isinstance(outcome, Failed)
    assert [problem.reason for problem in outcome.problems] == [Reason.TIMEOUT]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
async def test_lets_cancellation_pass(error: BaseException) -> None:
    with pytest.raises(type(error)):
        await attempt(Step.DNS, raises(error), identity, soon())


async def test_cancelling_from_outside_is_no_timeout() -> None:
    running = asyncio.create_task(attempt(Step.DNS, never(), identity, soon()))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_a_stage_gets_a_share_of_the_probe_and_never_more_than_is_left() -> None:
    whole = Deadline.for_probe(30)
    assert whole.remaining() == pytest.approx(30, abs=0.5)
    assert whole.for_stage().remaining() == pytest.approx(30 * STAGE_SHARE, abs=0.5)
    assert whole.capped(1).for_stage().remaining() == pytest.approx(30 * STAGE_SHARE, abs=0.5)
    assert Deadline(whole.at, probe_at=whole.at, stage_seconds=100).for_stage().at == whole.at


async def test_no_more_work_is_done_at_once_than_there_are_turns() -> None:
    """The next one begins as one ends, and brings what it found."""
    turns, at_work, most = asyncio.Semaphore(2), 0, 0

    async def work(number: int) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        return number

    done = await asyncio.gather(*(with_slot(turns, partial(work, number)) for number in range(5)))
    assert (done, most) == ([0, 1, 2, 3, 4], 2)


async def own_task() -> asyncio.Task[None] | None:
    return asyncio.current_task()


async def test_one_alone_needs_no_task_of_its_own() -> None:
    assert await gather_all([own_task()]) == [asyncio.current_task()]


async def test_several_run_at_once() -> None:
    """Each waits for the other, in whatever order they are given."""
    met = asyncio.Barrier(2)
    assert sorted(await asyncio.wait_for(gather_all([met.wait(), met.wait()]), 5)) == [0, 1]
    assert await gather_all([]) == []
