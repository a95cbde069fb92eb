"""Who may start when, and an end for all of them."""

import asyncio
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, TypeAlias

SPACING_SECONDS = 0.005  # between two starts; a probe takes a few milliseconds of CPU, which would delay the next one

Task: TypeAlias = asyncio.Task[Any]


class ProbeLimiter:
    """At most `concurrency` at once, first come, first served, and their starts a little apart."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self._free = asyncio.Semaphore(concurrency)
        self._next_start = 0.0

    async def acquire(self) -> None:
        await self._free.acquire()
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_start)
        self._next_start = start + SPACING_SECONDS
        try:
            await asyncio.sleep(start - now)
        except asyncio.CancelledError:
            self.release()
            raise

    def release(self) -> None:
        self._free.release()


@contextmanager
def tracked(tasks: set[Task]) -> Iterator[None]:
    """The task at hand stands in `tasks` meanwhile."""
    task = asyncio.current_task()
    assert task is not None
    tasks.add(task)
    try:
        yield
    finally:
        tasks.discard(task)


async def wait_or_cancel(tasks: AbstractSet[Task], grace: float) -> None:
    """Waits for all of them, and cancels those that take longer than `grace` seconds."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=grace)
    for task in late:
        task.cancel()
    await asyncio.wait(tasks)
