"""The loop that all of `serve` runs in: uvloop's where it is installed, which is optional, and else Python's own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

log = structlog.get_logger()
Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        log.info("running", event_loop=type(runner.get_loop()).__module__)
        return runner.run(main)
