"""A limit for concurrent probes, and how tasks are tracked and ended."""

import asyncio
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, TypeAlias

SPACING_SECONDS = 0.005  # between two starts, on average: a probe takes some milliseconds of CPU
STARTS_AT_ONCE = 8  # probes that run together find code and data in the caches, and many would delay each other

Task: TypeAlias = asyncio.Task[Any]


class ProbeLimiter:
    """A semaphore with `concurrency` probe slots. STARTS_AT_ONCE of its acquisitions may come together.

    On average, they are spaced out by SPACING_SECONDS.

    It is used as an `asyncio.Semaphore`: with `async with`, or with `acquire` and `release`. It is fair.
    """

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self._semaphore = asyncio.Semaphore(concurrency)
        self._in_use = 0
        self._all_spaced = 0.0
        """The time at which all starts so far would have been made if none had come together with another."""

    def __repr__(self) -> str:
        return f"<ProbeLimiter: {self._in_use} of {self.concurrency} slots in use>"

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()

    def locked(self) -> bool:
        """Whether `acquire` would have to wait for a slot."""
        return self._semaphore.locked()

    async def acquire(self) -> None:
        """Wait for a free slot, and then until there have not been too many starts lately."""
        await self._semaphore.acquire()
        self._in_use += 1
        now = asyncio.get_running_loop().time()
        self._all_spaced = max(now, self._all_spaced) + SPACING_SECONDS
        try:
            await asyncio.sleep(max(0.0, self._all_spaced - STARTS_AT_ONCE * SPACING_SECONDS - now))
        except asyncio.CancelledError:
            self.release()
            raise

    def release(self) -> None:
        self._in_use -= 1
        self._semaphore.release()


@contextmanager
def tracked(tasks: set[Task]) -> Iterator[None]:
    """Keep the current task in `tasks` meanwhile."""
    task = asyncio.current_task()
    assert task is not None
    tasks.add(task)
    try:
        yield
    finally:
        tasks.discard(task)


async def wait_or_cancel(tasks: AbstractSet[Task], grace: float) -> None:
    """Wait for all tasks, and cancel those that take longer than `grace` seconds."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=grace)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)  # not `tasks`: it may have become empty meanwhile
