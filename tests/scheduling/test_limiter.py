"""The limit for concurrent probes, and the spacing between their starts."""

import asyncio

import pytest

from exporter.scheduling import limiter
from exporter.scheduling.limiter import SPACING_SECONDS, STARTS_AT_ONCE, ProbeLimiter, wait_or_cancel
from tests.waiting import PATIENCE, until


async def test_starts_are_spaced_out() -> None:
    """However many tasks acquire a slot in the same instant. The first few start at once."""
    probe_limiter, loop = ProbeLimiter(100), asyncio.get_running_loop()
    starts: list[float] = []

    async def start() -> None:
        await probe_limiter.acquire()
        starts.append(loop.time())

    before = loop.time()
    await asyncio.gather(*(start() for _ in range(STARTS_AT_ONCE + 5)))
    # The loop may wake any of them up late, but none early.
    spaced = starts[STARTS_AT_ONCE:]
    assert all(start - before >= place * SPACING_SECONDS - 0.001 for place, start in enumerate(spaced, start=1))


async def test_a_few_start_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait, although there are slots."""
    monkeypatch.setattr(limiter, "SPACING_SECONDS", 3600)
    probe_limiter = ProbeLimiter(100)
    starting = [asyncio.create_task(probe_limiter.acquire()) for _ in range(STARTS_AT_ONCE + 5)]
    await until(lambda: sum(task.done() for task in starting) == STARTS_AT_ONCE)
    _, waiting = await asyncio.wait(starting, timeout=0.05)
    assert len(waiting) == 5
    await wait_or_cancel(waiting, grace=0)


async def test_waiting_for_a_slot_can_be_cancelled() -> None:
    """The slot goes to the next task that waits."""
    probe_limiter = ProbeLimiter(1)
    await probe_limiter.acquire()
    waiting = asyncio.create_task(probe_limiter.acquire())
    await asyncio.sleep(0)
    waiting.cancel()
    probe_limiter.release()
    async with asyncio.timeout(PATIENCE):
        await probe_limiter.acquire()
    assert waiting.cancelled()
    assert probe_limiter.locked()
    probe_limiter.release()
    assert not probe_limiter.locked()


async def test_waiting_for_the_spacing_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slot is free again."""
    monkeypatch.setattr(limiter, "SPACING_SECONDS", 3600)
    monkeypatch.setattr(limiter, "STARTS_AT_ONCE", 1)
    probe_limiter = ProbeLimiter(2)
    await probe_limiter.acquire()
    waiting = asyncio.create_task(probe_limiter.acquire())
    await asyncio.sleep(0)
    assert probe_limiter.locked()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not probe_limiter.locked()


async def test_async_with_holds_a_slot() -> None:
    """It is released after an exception too, and repr shows how many slots are in use."""
    probe_limiter = ProbeLimiter(1)

    async def fail() -> None:
        async with probe_limiter:
            assert (probe_limiter.locked(), repr(probe_limiter)) == (True, "<ProbeLimiter: 1 of 1 slots in use>")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert (probe_limiter.locked(), repr(probe_limiter)) == (False, "<ProbeLimiter: 0 of 1 slots in use>")


async def test_tasks_may_leave_the_set_while_they_are_waited_for() -> None:
    """As they do where each of them removes itself when it is done."""
    tasks: set[asyncio.Task[None]] = set()
    task = asyncio.create_task(asyncio.sleep(0))
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    await wait_or_cancel(tasks, grace=PATIENCE)
    assert (tasks, task.done()) == (set(), True)
