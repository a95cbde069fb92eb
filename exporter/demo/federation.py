"""The embedded federation: servers, what they lead to and a resolver that knows them, on loopback, without privileges.

`Federation` starts what a table of `LabServer` describes. DNS gives addresses that are set aside for documentation
(RFC 5737, RFC 3849), and `connect_to` leads each of them to a port on loopback, so that no interface has to bear them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket
from ssl import SSLContext
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

from exporter.demo.authority import P256_KEYS, Authority, ChainKeys, IssuedCertificate
from exporter.demo.broken import BROKEN_SERVERS
from exporter.demo.dns_server import DnsServer
from exporter.demo.healthy import HEALTHY_SERVERS
from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import HttpsServer, Resource, Site
from exporter.demo.listener import Listener, Port, streams
from exporter.demo.ports import FAULTS, Fault
from exporter.demo.servers import WELL_KNOWN_PORT, LabServer, Place, RawPort, RawSite, StreamHandler, Website
from exporter.demo.zone import Zone
from exporter.model.names import parse
from tests.lab.notary import QUERY, GivenKeys, Notary
from tests.lab.reverse_proxy import in_front_of

SERVERS = HEALTHY_SERVERS + BROKEN_SERVERS
"""Those of `demo`: not more than can be looked over."""
_Started = TypeVar("_Started", bound=Port)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The parts of one server, to look at and to change while it runs.

    `listeners` holds the https servers by the `ip:port` where a probe meets them. `zone` is that of the whole
    federation.
    """

    server: LabServer
    homeserver: Homeserver
    listeners: Mapping[str, HttpsServer]
    zone: Zone

    @property
    def listener(self) -> HttpsServer:
        """The https server in front of the homeserver; the first one, where there are several."""
        return self.listeners[self._homeserver_address()]

    @property
    def website(self) -> HttpsServer:
        """The https server that is asked for the well-known; the first one, where there are several."""
        return self.listeners[self._website_address()]

    @property
    def federation_site(self) -> Site:
        """Of `listener`."""
        return self.listener.sites[self._homeserver_name()]

    @property
    def pages(self) -> dict[str, Resource]:
        """What `website` serves, by path."""
        return self.website.sites[parse(self.server.server_name).host].pages

    def present(self, certificate: IssuedCertificate) -> None:
        """In front of the homeserver, from the next handshake on."""
        self.listener.certificates[self._homeserver_name()] = certificate.server_context()

    def _homeserver_address(self) -> str:
        return self._address(lambda _, website: website.homeserver, "in front of a homeserver")

    def _homeserver_name(self) -> str:
        place = self.server.places[self._homeserver_address()]
        assert isinstance(place, Website)
        return place.name

    def _website_address(self) -> str:
        host = parse(self.server.server_name).host
        return self._address(lambda port, website: (port, website.name) == (WELL_KNOWN_PORT, host), "for a well-known")

    def _address(self, wanted: Callable[[int, Website], bool], purpose: str) -> str:
        for address, place in self.server.places.items():
            if isinstance(place, Website) and wanted(int(address.rpartition(":")[2]), place):
                return address
        raise LookupError(f"{self.server.server_name} has no https server {purpose}: it shows {self.server.shows}")


class Federation:
    """Runs the servers within `async with`; afterwards nothing is left of them."""

    def __init__(self, servers: Sequence[LabServer] = SERVERS, lineage: ChainKeys = P256_KEYS) -> None:
        self.servers = tuple(servers)
        self._lineage = lineage
        self.dns = DnsServer()
        self.connect_to: dict[str, str] = {}
        """`ip:port` as DNS says it, and where on loopback that is."""
        self.authority: Authority
        self._running: dict[str, RunningServer] = {}
        self._listeners: dict[str, HttpsServer] = {}
        self._contexts: dict[tuple[object, ...], SSLContext] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start_all()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def resolver(self) -> str:
        """`127.0.0.1:port`, for UDP and TCP."""
        return self.dns.address

    @property
    def ca_file(self) -> Path:
        return self.authority.ca_file

    def server(self, server_name: str) -> RunningServer:
        return self._running[server_name]

    def config(self) -> dict[str, Any]:
        """The exporter's configuration for this federation, as YAML would load it."""
        return {
            "servers": [server.server_name for server in self.servers],
            "network": {
                "resolvers": [self.resolver],
                "ca_file": str(self.ca_file),
                "connect_to": dict(self.connect_to),
                "address_policy": "any",
            },
        }

    async def _start_all(self) -> None:
        folder = self._stack.enter_context(TemporaryDirectory(prefix="federation-lab-"))
        self.authority = Authority(Path(folder), self._lineage)
        await self._start(self.dns)
        refused = await self._start(FAULTS[Fault.CONNECTION_REFUSED]())
        for server in self.servers:
            await self._add(server, refused)
        for running in self._running.values():
            self._make_notary(running)

    async def _start(self, part: _Started) -> _Started:
        await part.start()
        self._stack.push_async_callback(part.stop)
        return part

    async def _add(self, server: LabServer, refused: Port) -> None:
        homeserver = _homeserver_of(server)
        self._tell(server)
        for address in server.addresses():
            self.connect_to.setdefault(address, refused.address)
        for address, place in server.places.items():
            port = await self._place(address, place, homeserver)
            self.connect_to[address] = port.address
        listeners = {address: self._listeners[address] for address in server.places if address in self._listeners}
        self._running[server.server_name] = RunningServer(server, homeserver, listeners, self.dns.zone)

    def _tell(self, server: LabServer) -> None:
        self.dns.zone.load(server.zone)
        for (name, kind), fault in server.dns_faults.items():
            self.dns.zone.fail(name, kind, fault)

    async def _place(self, address: str, place: Place, homeserver: Homeserver) -> Port:
        if isinstance(place, Fault):
            return await self._start(FAULTS[place]())
        if isinstance(place, RawPort):
            return await self._start(Listener(place.behaviour))
        if isinstance(place, RawSite):
            context = self._context(Website(place.name))
            return await self._start(Listener(partial(_talk_over_tls, context, place.talk)))
        listener = self._listeners.get(address)
        if listener is None:
            listener = self._listeners[address] = await self._start(HttpsServer(place.tls_version, place.adjust))
        listener.certificates[place.name] = self._context(place)
        listener.sites[place.name] = _site_of(place, homeserver)
        return listener

    def _make_notary(self, running: RunningServer) -> None:
        if running.server.gives_out is not None:
            known = {
                name: self._running[name].homeserver if given is GivenKeys.SAME else Homeserver(name)
                for name, given in running.server.gives_out.items()
            }
            running.federation_site.pages[QUERY] = Notary(running.homeserver, known).answer

    def _context(self, place: Website) -> SSLContext:
        """One for all who bear the same certificate: a thousand servers start in no time."""
        name = place.certificate_for or place.name
        bears = (name, place.state, place.issue, place.tls_version, place.adjust)
        if bears not in self._contexts:
            authority = self.authority
            issued = place.issue(authority, name) if place.issue else authority.issue([name], place.state)
            context = self._contexts[bears] = issued.server_context(place.tls_version)
            if place.adjust:
                place.adjust(context)
        return self._contexts[bears]


def _site_of(place: Website, homeserver: Homeserver) -> Site:
    if not place.homeserver:
        return Site(dict(place.pages))
    who = Homeserver(homeserver.server_name) if place.twin else homeserver
    site = in_front_of(who.answer, place.proxy_fault)
    site.pages.update(place.pages)
    return site


def _homeserver_of(server: LabServer) -> Homeserver:
    homeserver = Homeserver(server.server_name, delay=server.delay, fault=server.key_fault)
    for path in server.missing:
        del homeserver.pages[path]
    return homeserver


async def _talk_over_tls(context: SSLContext, talk: StreamHandler, accepted: socket) -> None:
    async with streams(accepted, context) as (reader, writer):
        await talk(reader, writer)
