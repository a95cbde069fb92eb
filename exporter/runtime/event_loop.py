"""The loop that all of `serve` runs in: uvloop's where it is installed, which is optional, and else Python's own."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop as _new_event_loop
except ImportError:
    from asyncio import new_event_loop as _new_event_loop

_COLLECTIONS = 10  # of the middle generation, before a full one: Python's own choice
_SERVERS_FOR_ANOTHER = 50  # so that 20,000 servers are looked through every quarter of an hour

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run."""
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        return runner.run(main)


def collect_garbage_for(servers: int) -> None:
    """The more of them, the more rarely: a full collection looks at every report, for half a second where there are
    20,000, and nothing is probed meanwhile. Reports hold no cycles; most of what does is found young.
    """
    gc.set_threshold(*gc.get_threshold()[:2], max(_COLLECTIONS, servers // _SERVERS_FOR_ANOTHER))
