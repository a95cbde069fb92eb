"""The event loop of `serve`: uvloop's if it is installed, which is optional, and Python's own otherwise."""

import asyncio
import ctypes
import gc
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

_new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop as _new_event_loop
except ImportError:
    from asyncio import new_event_loop as _new_event_loop

SWITCH_SECONDS = 0.001
"""For how long a thread, such as one that renders a page, may hold up the event loop. Python's default is 5 ms."""
_DEFAULT_COLLECTIONS = 10  # of the middle generation, before a full one: Python's own default
_MANY_SERVERS = 1000  # fewer make a full collection no more than some milliseconds longer
_SERVERS_PER_COLLECTION = 50  # so that 20,000 servers are traversed every quarter of an hour

_M_MMAP_THRESHOLD: Final = -3  # of mallopt(3)
_M_ARENA_MAX: Final = -8
_MAPPED_BYTES = 128 * 1024  # glibc's own default; a connection with TLS has buffers of twice that size

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine to its end, as asyncio.run does."""
    sys.setswitchinterval(SWITCH_SECONDS)
    _return_memory()
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        return runner.run(main)


def _return_memory() -> None:
    """Return large blocks of memory to the system as soon as they are free, and share what is free among threads.

    glibc stops returning blocks once one of that size was freed: it then keeps the memory of all connections of a busy
    minute. And it gives each thread a heap of its own, each of which keeps what its busiest minute took. Other C
    libraries have no such settings (mallopt(3)).
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_ARENA_MAX, 1)


async def in_batches(items: Sequence[_Item], size: int) -> AsyncIterator[Sequence[_Item]]:
    """Yield parts of the items. Between two of them, the event loop gets its turn."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
        await asyncio.sleep(0)


def exempt_new_servers(servers: int) -> None:
    """Exempt what exists now from garbage collections, if many servers are new: most of it lasts as long as they do.

    It must be rare: a connection that is open just now may leave a reference cycle, which would never be freed.
    """
    if servers >= _MANY_SERVERS:
        gc.freeze()


def collect_young_garbage() -> None:
    """Collect garbage among young objects, where many replace exempt ones.

    Python counts new objects less freed ones, so it would wait until there are tens of thousands, and then take 35 ms.
    """
    gc.collect(1)


def collect_garbage_for(servers: int) -> None:
    """Make full garbage collections rarer, the more servers are watched.

    A full collection traverses what is kept of each server, which takes 40 ms for 20,000, and stalls all probes. There
    are no reference cycles in it, and most objects that have some are found in a young generation.
    """
    gc.set_threshold(*gc.get_threshold()[:2], max(_DEFAULT_COLLECTIONS, servers // _SERVERS_PER_COLLECTION))
