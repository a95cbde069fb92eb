"""Runs many probes with a limited number in flight."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.probing.prober import Prober


async def probe_all(
    prober: Prober, names: Iterable[ServerName], in_flight: int, keep: Callable[[Report], object]
) -> None:
    """Keep `in_flight` probes in flight until all names are probed."""
    remaining = iter(names)
    await asyncio.gather(*(probe_each(prober, remaining, keep) for _ in range(in_flight)))


async def probe_each(prober: Prober, names: Iterator[ServerName], keep: Callable[[Report], object]) -> None:
    for name in names:
        keep(await prober.probe(name))
