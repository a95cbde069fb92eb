"""CPU time of the DNS lookups of a probe: two of SRV, one of A and one of AAAA.

The baseline is dnspython's resolver with the same lookups. Both are measured alternately, as machines vary over time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
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
from tests.bench.rows import QUICK, Row, emit

SERVERS = 200 if QUICK else 1000
IN_FLIGHT = 20
ROUNDS = 3 if QUICK else 9
LIFETIME_SECONDS = 5.0

LookUp: TypeAlias = Callable[[str], Awaitable[object]]


def main() -> None:
    with served_by("tests.bench.responder", str(SERVERS)) as file:
        config = load(file)
        servers = [ip_endpoint(str(resolver)) for resolver in config.network.resolvers]
        hosts = [watched.server_name.host for watched in config.servers]
        dnspython, exporter = dnspython_lookup(servers), exporter_lookup(servers)
        cost(exporter, hosts)  # a first round fills the caches
        rounds = [(cost(dnspython, hosts), cost(exporter, hosts)) for _ in range(ROUNDS)]
    emit(rows(rounds))


def rows(rounds: list[tuple[float, float]]) -> Iterator[Row]:
    yield Row.of("dns: the four lookups of a probe, by dnspython", [dnspython * 1e6 for dnspython, _ in rounds], "µs")
    yield Row.of("dns: the four lookups of a probe", [exporter * 1e6 for _, exporter in rounds], "µs")
    yield Row.of(
        "dns: the four lookups of a probe, relative to dnspython",
        [exporter / dnspython for dnspython, exporter in rounds],
    )


def cost(look_up: LookUp, hosts: Iterable[str]) -> float:
    """Return the CPU seconds for the four lookups of one host."""
    names = list(hosts)
    before = cpu_seconds(SELF)
    asyncio.run(look_up_all(look_up, names))
    return (cpu_seconds(SELF) - before) / len(names)


async def look_up_all(look_up: LookUp, hosts: Iterable[str]) -> None:
    remaining = iter(hosts)
    await asyncio.gather(*(look_up_each(look_up, remaining) for _ in range(IN_FLIGHT)))


async def look_up_each(look_up: LookUp, hosts: Iterator[str]) -> None:
    for host in hosts:
        await look_up(host)


def exporter_lookup(servers: Sequence[IPEndpoint]) -> LookUp:
    resolver = Resolver(lambda: servers, LIFETIME_SECONDS)

    async def look_up(host: str) -> None:
        await asyncio.gather(*(resolver.srv(service, host) for service in SrvService))
        await resolver.addresses(host)

    return look_up


def dnspython_lookup(servers: Iterable[IPEndpoint]) -> LookUp:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(str(ip), port) for ip, port in servers]
    resolver.lifetime = LIFETIME_SECONDS
    resolver.use_edns(0, 0, UDP_BYTES)

    async def resolve(name: str, rdtype: str) -> None:
        with suppress(dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            await resolver.resolve(f"{name}.", rdtype, search=False)

    async def look_up(host: str) -> None:
        await asyncio.gather(*(resolve(f"_{service}._tcp.{host}", "SRV") for service in SrvService))
        await asyncio.gather(resolve(host, "A"), resolve(host, "AAAA"))

    return look_up


if __name__ == "__main__":
    main()
