"""Runs many probes, or deep looks, with a limited number in flight."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

from exporter.model.report import Report

_Item = TypeVar("_Item")


async def probe_all(
    probe: Callable[[_Item], Awaitable[Report]],
    items: Iterable[_Item],
    in_flight: int,
    keep: Callable[[Report], object],
) -> None:
    """Keep `in_flight` probes in flight until all items are probed: names, or reports for a deep look."""
    remaining = iter(items)
    await asyncio.gather(*(_probe_each(probe, remaining, keep) for _ in range(in_flight)))


async def _probe_each(
    probe: Callable[[_Item], Awaitable[Report]], items: Iterator[_Item], keep: Callable[[Report], object]
) -> None:
    for item in items:
        keep(await probe(item))
