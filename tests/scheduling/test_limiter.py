"""Who may start when."""

import asyncio

import pytest

from exporter.scheduling import limiter
from exporter.scheduling.limiter import SPACING_SECONDS, ProbeLimiter


async def test_starts_are_a_little_apart() -> None:
    """However many ask in the same instant."""
    queue, loop = ProbeLimiter(10), asyncio.get_running_loop()
    starts: list[float] = []

    async def start() -> None:
        await queue.acquire()
        starts.append(loop.time())

    await asyncio.gather(*(start() for _ in range(5)))
    # The loop may wake one of them up late, and the next in time, but not all together.
    assert starts[-1] - starts[0] >= 4 * SPACING_SECONDS - 0.002


async def test_waiting_can_be_given_up() -> None:
    """In the queue, and between the queue and the start; the turn goes to whoever comes next."""
    queue = ProbeLimiter(1)
    await queue.acquire()
    in_queue = asyncio.create_task(queue.acquire())
    await asyncio.sleep(0)
    in_queue.cancel()
    queue.release()
    async with asyncio.timeout(1):
        await queue.acquire()
    assert in_queue.cancelled()
    assert queue._free.locked()
    queue.release()
    assert not queue._free.locked()


async def test_start_can_be_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it waits for the spacing."""
    monkeypatch.setattr(limiter, "SPACING_SECONDS", 3600)
    queue = ProbeLimiter(2)
    await queue.acquire()
    spaced = asyncio.create_task(queue.acquire())
    await asyncio.sleep(0)
    assert queue._free.locked()
    spaced.cancel()
    with pytest.raises(asyncio.CancelledError):
        await spaced
    assert not queue._free.locked()
