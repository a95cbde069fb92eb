"""The thread in which server lists are parsed, one at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

_PARSER: Final = ThreadPoolExecutor(1, "lists")  # not the default threads: many lists would keep all of them busy
_Parsed = TypeVar("_Parsed")


async def parse(function: Callable[..., _Parsed], *arguments: Any) -> _Parsed:
    """Call a function that parses a list, in a thread. Lists are parsed one at a time, because each takes up to a dozen
    times its own size in memory.
    """
    return await asyncio.get_running_loop().run_in_executor(_PARSER, partial(function, *arguments))
