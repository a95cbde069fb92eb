"""Waiting for a condition, and no longer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Value = TypeVar("Value")

PATIENCE = 300.0  # seconds; reached only if the condition never comes true, no matter how busy the machine is
PAUSE = 0.01  # seconds between two checks
PAUSE_BETWEEN_REQUESTS = 0.05  # each of them keeps another process busy
_SAMPLE_SECONDS = 0.1  # of CPU time: more than the scheduler of the kernel gives at once
_PARALLEL_TESTS = 2.0  # tests that run on one core at a time, on a machine that does nothing else


def slowness() -> float:
    """Return how many times longer computing takes now than while nothing but tests runs; at least 1.

    An exporter that is tested needs as much more time for its probes: it cannot wait for a state, as tests do.
    """
    start, cpu_start = time.monotonic(), time.thread_time()
    while (computed := time.thread_time() - cpu_start) < _SAMPLE_SECONDS:
        pass
    return max(1.0, (time.monotonic() - start) / computed / _PARALLEL_TESTS)


async def until(condition: Callable[[], Value]) -> Value:
    """Return the first value of the condition that is true."""
    async with asyncio.timeout(PATIENCE):
        while not (value := condition()):  # noqa: ASYNC110 - what is waited for knows nothing of events
            await asyncio.sleep(PAUSE)
        return value


async def until_async(condition: Callable[[], Awaitable[Value]]) -> Value:
    """Return the first value of an asynchronous condition that is true, such as a response over a socket."""
    async with asyncio.timeout(PATIENCE):
        while not (value := await condition()):  # noqa: ASYNC110 - as above
            await asyncio.sleep(PAUSE_BETWEEN_REQUESTS)
        return value


async def until_equal(expected: object, request: Callable[[], Awaitable[object]]) -> None:
    """Wait until a request returns what is expected. If it never does, the assertion shows the difference."""
    clock = asyncio.get_running_loop().time
    end = clock() + PATIENCE
    while (value := await request()) != expected and clock() < end:  # noqa: ASYNC110 - as above
        await asyncio.sleep(PAUSE_BETWEEN_REQUESTS)
    assert value == expected


def leaked_tasks() -> set[str]:
    """Return the coroutines of all tasks but the current one. There are none if everything was cleaned up."""
    return {repr(task.get_coro()) for task in asyncio.all_tasks() - {asyncio.current_task()}}
