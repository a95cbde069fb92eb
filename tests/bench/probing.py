"""Many probes, so many at a time."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address

from exporter.config import Config, Place
from exporter.internet import Internet
from exporter.internet import Place as Resolved
from exporter.model import Report, ServerName
from exporter.probe import Prober


def prober(config: Config) -> Prober:
    network = config.network
    internet = Internet(
        timeout=config.probe.timeout,
        resolvers=[place(resolver) for resolver in network.resolvers],
        ca_file=network.ca_file,
        connect_to={key: place(written) for key, written in network.connect_to.items()},
    )
    return Prober(internet, config.probe.timeout)


def place(written: Place) -> Resolved:
    return ip_address(written.host), written.port


async def probe_all(
    prober: Prober, names: Iterable[ServerName], in_flight: int, keep: Callable[[Report], object]
) -> None:
    """As one ends, the next begins."""
    waiting = iter(names)
    await asyncio.gather(*(probe_each(prober, waiting, keep) for _ in range(in_flight)))


async def probe_each(prober: Prober, names: Iterator[ServerName], keep: Callable[[Report], object]) -> None:
    for name in names:
        keep(await prober.probe(name))
