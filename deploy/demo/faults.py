"""What the menu breaks and repairs."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from deploy.demo import federation
from deploy.demo.federation import Homeserver
from exporter.demo import https_server
from exporter.demo.authority import EXPIRED
from exporter.demo.homeserver import KEYS
from exporter.demo.https_server import NOT_FOUND
from exporter.demo.ports import drop_packets
from exporter.demo.zone import SERVFAIL
from exporter.judging.warnings import WarningName
from exporter.model.enums import Stage
from exporter.model.reasons import Reason

Break: TypeAlias = Callable[[Homeserver], AbstractAsyncContextManager[None]]
"""Breaks something, and repairs it at the end of `async with`."""


@asynccontextmanager
async def _well_known_vanishes(homeserver: Homeserver) -> AsyncIterator[None]:
    resources = homeserver.front.resources
    well_known = resources.pop(https_server.WELL_KNOWN)
    yield
    resources[https_server.WELL_KNOWN] = well_known


@asynccontextmanager
async def _srv_lookups_fail(homeserver: Homeserver) -> AsyncIterator[None]:
    zone, record = homeserver.federation.dns.zone, (f"_matrix-fed._tcp.{federation.SRV}", "SRV")
    zone.fail(*record, SERVFAIL)
    yield
    zone.repair(*record)


@asynccontextmanager
async def _certificate_expires(homeserver: Homeserver) -> AsyncIterator[None]:
    authority, names = homeserver.federation.authority, [federation.PORT_8448]
    homeserver.front.present(authority.issue(names, EXPIRED))
    yield
    homeserver.front.present(authority.issue(names))


@asynccontextmanager
async def _keys_are_not_forwarded(homeserver: Homeserver) -> AsyncIterator[None]:
    homeserver.front.federation_site.resources[KEYS] = NOT_FOUND
    yield
    del homeserver.front.federation_site.resources[KEYS]


@asynccontextmanager
async def _egress_is_dropped(homeserver: Homeserver) -> AsyncIterator[None]:
    whole = homeserver.federation
    black_hole = drop_packets(whole.authority)
    await black_hole.start()
    homeserver.synapse.route(dict.fromkeys(whole.connect_to, black_hole.address))
    try:
        yield
        homeserver.synapse.route(whole.connect_to)
    finally:
        await black_hole.stop()


@asynccontextmanager
async def _homeserver_stops(homeserver: Homeserver) -> AsyncIterator[None]:
    await homeserver.synapse.stop()
    yield
    await homeserver.synapse.start()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks at one homeserver."""

    server_name: str
    text: str
    """What happens, for people."""
    expected: frozenset[tuple[Stage, Reason]]
    """Exactly the problems that the exporter then finds."""
    begin: Break
    warnings: frozenset[WarningName] = frozenset()
    """Exactly the warnings that follow."""


FAULTS: Final = (
    Fault(
        federation.WELL_KNOWN,
        "the well-known vanishes (404)",
        frozenset({(Stage.TCP, Reason.CONNECT_REFUSED)}),
        _well_known_vanishes,
        frozenset({WarningName.DELEGATION_LOST}),
    ),
    Fault(
        federation.SRV,
        "the DNS server answers SERVFAIL for the SRV record",
        frozenset({(Stage.SRV, Reason.DNS_FAILURE)}),
        _srv_lookups_fail,
    ),
    Fault(
        federation.PORT_8448,
        "the certificate expires",
        frozenset({(Stage.TLS, Reason.CERTIFICATE_EXPIRED)}),
        _certificate_expires,
    ),
    Fault(
        federation.WELL_KNOWN,
        "the reverse proxy does not forward the keys",
        frozenset({(Stage.KEYS, Reason.HTTP_STATUS)}),
        _keys_are_not_forwarded,
    ),
    Fault(
        federation.SRV,
        "a firewall drops all connections to others",
        frozenset({(Stage.OUTBOUND, Reason.OUTBOUND_UNREACHABLE)}),
        _egress_is_dropped,
    ),
    Fault(
        federation.PORT_8448,
        "Synapse stops, and its reverse proxy stays",
        frozenset({(Stage.VERSION, Reason.HTTP_STATUS), (Stage.KEYS, Reason.HTTP_STATUS)}),
        _homeserver_stops,
    ),
)
