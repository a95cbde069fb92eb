"""The loop that all of `serve` runs in: uvloop's where it is installed, which is optional, and else Python's own."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

# A full collection looks at every report: half a second for those of 20,000 servers, and nothing is probed meanwhile.
# They hold no cycles; what does, such as exceptions, is found in the young generations.
FULL_COLLECTION_AFTER = 1000  # collections of the middle generation; Python's own choice is 10

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run, and with a garbage collector that hardly ever looks at everything."""
    collect_garbage_rarely()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


def collect_garbage_rarely() -> None:
    gc.set_threshold(*gc.get_threshold()[:2], FULL_COLLECTION_AFTER)
