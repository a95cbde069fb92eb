"""Waiting for a condition, and no longer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Value = TypeVar("Value")

PATIENCE = 300.0  # seconds; reached only if the condition never comes true, no matter how busy the machine is
PAUSE = 0.01  # seconds between two checks
PAUSE_BETWEEN_REQUESTS = 0.05  # each of them keeps another process busy


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
