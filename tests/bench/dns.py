"""What do the DNS lookups of a probe cost? CPU time for two SRV queries, A and AAAA.

The yardstick is dnspython's resolver, which does the same. Both are measured by turns, as machines have their moods.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import TypeAlias

import dns.asyncresolver
import dns.nameserver
import dns.resolver

from exporter.config import load
from exporter.internet import IPEndpoint
from exporter.internet.dns_message import UDP_BYTES
from exporter.internet.resolver import Resolver
from exporter.model.enums import SrvService
from tests.addresses import ip_endpoint
from tests.bench.processes import SELF, cpu_seconds, served_by
from tests.bench.rows import QUICK, Row, tell

SERVERS = 200 if QUICK else 1000
IN_FLIGHT = 20
ROUNDS = 3 if QUICK else 9
LIFETIME_SECONDS = 5.0

LookUp: TypeAlias = Callable[[str], Awaitable[object]]


def main() -> None:
    with served_by("tests.bench.responder", str(SERVERS)) as file:
        config = load(file)
        places = [ip_endpoint(str(resolver)) for resolver in config.network.resolvers]
        hosts = [watched.server_name.host for watched in config.servers]
        by_dnspython, by_ourselves = dnspython(places), ourselves(places)
        cost(by_ourselves, hosts)  # the first round pays for what is made once
        rounds = [(cost(by_dnspython, hosts), cost(by_ourselves, hosts)) for _ in range(ROUNDS)]
    tell(rows(rounds))


def rows(rounds: list[tuple[float, float]]) -> Iterator[Row]:
    yield Row.of("dns: the four lookups of a probe, by dnspython", [theirs * 1e6 for theirs, _ in rounds], "µs")
    yield Row.of("dns: the four lookups of a probe", [ours * 1e6 for _, ours in rounds], "µs")
    yield Row.of("dns: the four lookups of a probe, in dnspython's", [ours / theirs for theirs, ours in rounds])


def cost(look_up: LookUp, hosts: Iterable[str]) -> float:
    """CPU seconds for the four lookups of one."""
    names = list(hosts)
    before = cpu_seconds(SELF)
    asyncio.run(look_up_all(look_up, names))
    return (cpu_seconds(SELF) - before) / len(names)


async def look_up_all(look_up: LookUp, hosts: Iterable[str]) -> None:
    waiting = iter(hosts)
    await asyncio.gather(*(look_up_each(look_up, waiting) for _ in range(IN_FLIGHT)))


async def look_up_each(look_up: LookUp, hosts: Iterator[str]) -> None:
    for host in hosts:
        await look_up(host)


def ourselves(places: Iterable[IPEndpoint]) -> LookUp:
    resolver = Resolver(list(places), LIFETIME_SECONDS)

    async def look_up(host: str) -> None:
        await asyncio.gather(*(resolver.srv(service, host) for service in SrvService))
        await resolver.addresses(host)

    return look_up


def dnspython(places: Iterable[IPEndpoint]) -> LookUp:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(str(ip), port) for ip, port in places]
    resolver.lifetime = LIFETIME_SECONDS
    resolver.use_edns(0, 0, UDP_BYTES)

    async def resolve(name: str, kind: str) -> None:
        with suppress(dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            await resolver.resolve(f"{name}.", kind, search=False)

    async def look_up(host: str) -> None:
        await asyncio.gather(*(resolve(f"_{service}._tcp.{host}", "SRV") for service in SrvService))
        await asyncio.gather(resolve(host, "A"), resolve(host, "AAAA"))

    return look_up


if __name__ == "__main__":
    main()
