"""The real exporter's network, in a world where the lab's DNS says where things are, on ports of loopback."""

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
async def world(
    authority: Authority,
    zone: str,
    places: Mapping[str, str],
    dns_faults: Iterable[tuple[str, str, DnsFault]] = (),
) -> AsyncIterator[Internet]:
    """`places` says for `ip:port` where on loopback it is. Nothing listens at ports 443 and 8448 of 192.0.2.1 else."""
    async with name_server(zone, dns_faults) as resolver, nothing_listens() as refused:
        elsewhere = {"192.0.2.1:443": refused, "192.0.2.1:8448": refused}
        yield Internet(
            timeout=PROBE_SECONDS,
            resolvers=[resolver],
            ca_file=authority.ca_file,
            connect_to=elsewhere | {address: ip_endpoint(where) for address, where in places.items()},
        )


@asynccontextmanager
async def name_server(zone: str, faults: Iterable[tuple[str, str, DnsFault]]) -> AsyncIterator[IPEndpoint]:
    server = DnsServer()
    server.zone.load(zone)
    for name, kind, fault in faults:
        server.zone.fail(name, kind, fault)
    await server.start()
    try:
        yield ip_endpoint(server.address)
    finally:
        await server.stop()


@asynccontextmanager
async def nothing_listens() -> AsyncIterator[IPEndpoint]:
    port = ClosedPort()
    await port.start()
    try:
        yield ip_endpoint(port.address)
    finally:
        await port.stop()


def problems(report: Report) -> set[tuple[Stage, Reason]]:
    return {(located.stage, located.problem.reason) for located in verdict.problems(report)}
