"""Waiting for what must come to pass, and no longer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Seen = TypeVar("Seen")

PATIENCE = 120.0  # seconds; reached only by what will never happen, however busy the machine is
PAUSE = 0.01
PAUSE_BETWEEN_REQUESTS = 0.05  # each of them keeps another process busy


async def until(look: Callable[[], Seen]) -> Seen:
    """The first thing seen that is true."""
    async with asyncio.timeout(PATIENCE):
        while not (seen := look()):  # noqa: ASYNC110 - what is waited for knows nothing of events
            await asyncio.sleep(PAUSE)
        return seen


async def until_asked(ask: Callable[[], Awaitable[Seen]]) -> Seen:
    """As `until`, for what has to be asked for over a socket."""
    async with asyncio.timeout(PATIENCE):
        while not (seen := await ask()):  # noqa: ASYNC110 - as above
            await asyncio.sleep(PAUSE_BETWEEN_REQUESTS)
        return seen


async def until_equal(expected: object, ask: Callable[[], Awaitable[object]]) -> None:
    """As `until_asked`. The difference is shown if it does not come to pass."""
    clock = asyncio.get_running_loop().time
    end = clock() + PATIENCE
    while (seen := await ask()) != expected and clock() < end:  # noqa: ASYNC110 - as above
        await asyncio.sleep(PAUSE_BETWEEN_REQUESTS)
    assert seen == expected


def leaked_tasks() -> set[str]:
    """The tasks that run beside the one at hand, by their code: none, where all was cleaned up."""
    return {repr(task.get_coro()) for task in asyncio.all_tasks() - {asyncio.current_task()}}
