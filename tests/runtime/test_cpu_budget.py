"""A CPU budget, with real work."""

import asyncio
import time

import pytest

from exporter.runtime.cpu_budget import CpuBudget, CpuBudgetExceededError
from tests.waiting import leaked_tasks

STEP_SECONDS = 0.02


def work() -> None:
    end = time.thread_time() + STEP_SECONDS
    while time.thread_time() < end:
        pass


async def work_in_steps(count: int) -> int:
    """Return the number of steps."""
    for _ in range(count):
        work()
        await asyncio.sleep(0)
    return count


async def test_all_work_is_charged_to_the_budget_and_waiting_is_not() -> None:
    budget = CpuBudget(60)
    assert await budget.charge(work_in_steps(2)) == 2
    budget.step(work)
    await budget.charge(asyncio.sleep(0.5))
    assert 3 * STEP_SECONDS <= budget.spent_seconds < 10 * STEP_SECONDS


async def test_work_of_others_is_not_charged() -> None:
    budget, other = CpuBudget(60), CpuBudget(60)
    await asyncio.gather(budget.charge(work_in_steps(1)), other.charge(work_in_steps(5)))
    assert budget.spent_seconds < 4 * STEP_SECONDS < other.spent_seconds


async def test_work_ends_between_two_steps_when_the_budget_is_spent() -> None:
    budget, steps = CpuBudget(3.5 * STEP_SECONDS), list[int]()

    async def work_on() -> None:
        while True:
            steps.append(await work_in_steps(1))

    with pytest.raises(CpuBudgetExceededError, match=r"the exporter has spent 0\.07 s of CPU time on this server"):
        await budget.charge(work_on())
    assert len(steps) == 3


async def test_work_does_not_begin_when_the_budget_is_spent() -> None:
    budget, begun = CpuBudget(0), list[str]()

    async def begin() -> None:
        begun.append("begun")

    with pytest.raises(CpuBudgetExceededError):
        await budget.charge(begin())
    assert begun == []


async def test_exceptions_pass_in_both_directions() -> None:
    """Those of the work come out, and a cancellation reaches it."""
    budget, cleaned_up = CpuBudget(60), list[str]()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append("cleaned up")

    with pytest.raises(LookupError):
        await budget.charge(fail())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await budget.charge(wait())
    task = asyncio.ensure_future(budget.charge(wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned_up == ["cleaned up"] * 2
    assert leaked_tasks() == set()


async def test_a_future_is_charged_too() -> None:
    future = asyncio.get_running_loop().create_future()
    future.set_result(1)
    assert await CpuBudget(60).charge(future) == 1
