"""The embedded federation: servers, and a DNS server that knows them, on loopback and without privileges.

`Federation` starts what a table of `LabServer` describes. DNS replies with addresses that are reserved for
documentation (RFC 5737, RFC 3849), and `connect_to` redirects each of them to a port on loopback, so no network
interface needs them.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from ssl import SSLContext
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

from exporter.demo.authority import Authority, CertificateProfile, IssuedCertificate
from exporter.demo.both_ways.outgoing import Neighbour, OutgoingRequests
from exporter.demo.broken import BROKEN_SERVERS
from exporter.demo.dns_server import DnsServer
from exporter.demo.healthy import HEALTHY_SERVERS
from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import HttpsServer, Site
from exporter.demo.listener import LOOPBACK, Port
from exporter.demo.ports import ClosedPort
from exporter.demo.servers import FEDERATION_PORT, WELL_KNOWN_PORT, LabServer, PortFactory, RunningServer, Website
from exporter.model.addresses import IPAddress, host_port, ip_family
from exporter.model.enums import IPFamily

SERVERS = HEALTHY_SERVERS + BROKEN_SERVERS
"""The servers of `demo`: few enough to be looked over."""
_Started = TypeVar("_Started", bound=Port)


class Federation:
    """Runs the servers within `async with`, and leaves nothing behind."""

    def __init__(self, servers: Sequence[LabServer] = SERVERS) -> None:
        self.servers = tuple(servers)
        self.dns = DnsServer()
        self.connect_to: dict[str, str] = {}
        """`ip:port` as in DNS, and the address on loopback that stands for it."""
        self.authority: Authority
        self._refused: Port
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

    def introduce(self, names: Mapping[str, Sequence[IPAddress]], port: int) -> IssuedCertificate:
        """Let all homeservers connect to one more server, which listens on a port on loopback, by each of its names.

        The names have no ports, and come with their addresses. Return its certificate.
        """
        for name, ip in ((name, ip) for name, addresses in names.items() for ip in addresses):
            self.dns.zone.load(f"{name} {'A' if ip.version == 4 else 'AAAA'} {ip}")
            self.connect_to[host_port(str(ip), WELL_KNOWN_PORT)] = self._refused.address
            self.connect_to[host_port(str(ip), FEDERATION_PORT)] = f"{LOOPBACK}:{port}"
        families = {name: {ip_family(ip) for ip in addresses} for name, addresses in names.items()}
        neighbour = Neighbour(families, f"{LOOPBACK}:{port}", self.ca_file)
        for running in self._running.values():
            homeserver = running.homeserver
            homeserver.outgoing = OutgoingRequests(homeserver, neighbour, **running.server.outgoing)
        return self.authority.issue(list(names))

    def config(self) -> dict[str, Any]:
        """Return the exporter's configuration for this federation, as YAML would load it."""
        return {
            "servers": [server.server_name for server in self.servers],
            "network": {
                "resolvers": [self.resolver],
                "ca_file": str(self.ca_file),
                "connect_to": dict(self.connect_to),
                "address_policy": "any",
                "ip_families": list(map(str, IPFamily)),  # all addresses are redirected, whatever the routes are
            },
        }

    async def _start_all(self) -> None:
        folder = self._stack.enter_context(TemporaryDirectory(prefix="federation-lab-"))
        self.authority = Authority(Path(folder))
        await self._start(self.dns)
        self._refused = refused = await self._start(ClosedPort())
        for server in self.servers:
            await self._add(server, refused)
        for server in self.servers:
            if server.on_started:
                server.on_started(self._running)

    async def _start(self, part: _Started) -> _Started:
        await part.start()
        self._stack.push_async_callback(part.stop)
        return part

    async def _add(self, server: LabServer, refused: Port) -> None:
        homeserver = server.homeserver(server.server_name)
        self._load_zone(server)
        for address in server.addresses():
            self.connect_to.setdefault(address, refused.address)
        for address, wanted in server.ports.items():
            port = await self._open(address, wanted, homeserver)
            self.connect_to[address] = port.address
        listeners = {address: self._listeners[address] for address in server.ports if address in self._listeners}
        self._running[server.server_name] = RunningServer(server, homeserver, listeners, self.dns.zone)

    def _load_zone(self, server: LabServer) -> None:
        self.dns.zone.load(server.zone)
        for (name, rdtype), fault in server.dns_faults.items():
            self.dns.zone.fail(name, rdtype, fault)

    async def _open(self, address: str, wanted: Website | PortFactory, homeserver: Homeserver) -> Port:
        """Start the port; websites at one address share an https server."""
        if not isinstance(wanted, Website):
            return await self._start(wanted(self.authority))
        listener = self._listeners.get(address)
        if listener is None:
            listener = self._listeners[address] = await self._start(HttpsServer(wanted.configure_tls))
        listener.certificates[wanted.name] = self._context(wanted)
        listener.sites[wanted.name] = _site_of(wanted, homeserver)
        return listener

    def _context(self, website: Website) -> SSLContext:
        """Return one context for all websites with the same certificate, so that a thousand servers start quickly."""
        name = website.certificate_name or website.name
        key = (name, website.certificate, website.configure_tls)
        if key not in self._contexts:
            context = self._contexts[key] = _issue(self.authority, name, website).server_context()
            if website.configure_tls:
                website.configure_tls(context)
        return self._contexts[key]


def _issue(authority: Authority, name: str, website: Website) -> IssuedCertificate:
    source = website.certificate
    return authority.issue([name], source) if isinstance(source, CertificateProfile) else source(authority, name)


def _site_of(website: Website, homeserver: Homeserver) -> Site:
    site = website.proxy(homeserver) if website.proxy else Site()
    site.resources.update(website.resources)
    return site
