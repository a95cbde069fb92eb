"""The exporter's real network, with a DNS server of the lab and redirections to loopback ports."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from exporter.demo.authority import Authority
from exporter.demo.dns_server import DnsServer
from exporter.demo.ports import ClosedPort
from exporter.demo.zone import DnsFault
from exporter.internet import Internet, IPEndpoint
from exporter.judging import verdict
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from exporter.model.report import Report
from tests.addresses import ip_endpoint

SERVER_NAME = "synapse.test"
PROBE_SECONDS = 60.0


@asynccontextmanager
async def real_network(
    authority: Authority,
    zone: str,
    redirections: Mapping[str, str],
    dns_faults: Iterable[tuple[str, str, DnsFault]] = (),
) -> AsyncIterator[Internet]:
    """`redirections` are from `ip:port` to loopback. Otherwise nothing listens on ports 443 and 8448 of 192.0.2.1."""
    async with _dns_server(zone, dns_faults) as resolver, _closed_port() as refused:
        closed = {"192.0.2.1:443": refused, "192.0.2.1:8448": refused}
        yield Internet(
            timeout=PROBE_SECONDS,
            resolvers=lambda: [resolver],
            ca_file=authority.ca_file,
            connect_to=closed | {address: ip_endpoint(target) for address, target in redirections.items()},
        )


@asynccontextmanager
async def _dns_server(zone: str, faults: Iterable[tuple[str, str, DnsFault]]) -> AsyncIterator[IPEndpoint]:
    server = DnsServer()
    server.zone.load(zone)
    for name, rdtype, fault in faults:
        server.zone.fail(name, rdtype, fault)
    await server.start()
    try:
        yield ip_endpoint(server.address)
    finally:
        await server.stop()


@asynccontextmanager
async def _closed_port() -> AsyncIterator[IPEndpoint]:
    port = ClosedPort()
    await port.start()
    try:
        yield ip_endpoint(port.address)
    finally:
        await port.stop()


def problems(report: Report) -> set[tuple[Stage, Reason]]:
    return {(located.stage, located.problem.reason) for located in verdict.problems(report)}
