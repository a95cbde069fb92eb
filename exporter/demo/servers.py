"""What a server of the embedded federation consists of: DNS records, a homeserver, and its ports."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, TypeAlias

from exporter.demo.authority import VALID, Authority, CertificateProfile, IssuedCertificate
from exporter.demo.homeserver import Homeserver, HomeserverFactory
from exporter.demo.https_server import SUPPORT, WELL_KNOWN, HttpsServer, Resource, Site, delegation, support
from exporter.demo.listener import Port
from exporter.demo.zone import DnsFault, Zone
from exporter.judging.warnings import WarningName
from exporter.model.addresses import host_port
from exporter.model.enums import Method, Stage
from exporter.model.names import ip_literal, parse
from exporter.model.reasons import Reason

WELL_KNOWN_PORT = 443
FEDERATION_PORT = 8448
HEALTHY: frozenset[tuple[Stage, Reason]] = frozenset()
_NO_WARNINGS: frozenset[WarningName] = frozenset()


CertificateSource: TypeAlias = Callable[[Authority, str], IssuedCertificate]
"""Makes the certificate of a name, where no profile describes it."""
Proxy: TypeAlias = Callable[[Homeserver], Site]
"""Makes the site of a reverse proxy in front of a homeserver."""
ConfigureTls: TypeAlias = Callable[[SSLContext], None]
PortFactory: TypeAlias = Callable[[Authority], Port]
"""Makes a port that is not an https server."""


def pass_through(homeserver: Homeserver) -> Site:
    """A proxy that changes nothing."""
    return Site(fallback=homeserver.respond)


@dataclass(frozen=True, slots=True)
class Website:
    """An https server for the host `name`: resources by path, and behind them perhaps a homeserver."""

    name: str
    resources: Mapping[str, Resource] = field(default_factory=dict)
    proxy: Proxy | None = None
    """None where there is no homeserver."""
    certificate: CertificateProfile | CertificateSource = VALID
    certificate_name: str | None = None
    """The name that the certificate is for, such as a wildcard, if it is not `name`."""
    configure_tls: ConfigureTls | None = None
    """Changes the TLS settings of the port."""


def delegates(name: str, m_server: str) -> Website:
    """Return the web server of `name`, whose well-known delegates to `m_server`, and which says whom to contact."""
    return Website(name, {WELL_KNOWN: delegation(m_server), SUPPORT: support(name)})


def federates(
    name: str, certificate: CertificateProfile | CertificateSource = VALID, *, proxy: Proxy = pass_through
) -> Website:
    """Return the https server through which the homeserver is reached as `name`."""
    return Website(name, proxy=proxy, certificate=certificate)


@dataclass(frozen=True, slots=True)
class LabServer:
    """A server name, and everything it leads to.

    `ports` says what listens at each `ip:port`. At all other addresses that a probe may try, connections are refused:
    ports 443 and 8448, the port of the server name, and those of SRV records. Loopback addresses are not redirected.
    """

    server_name: str
    shows: str
    """What this server is an example of, for people; a noun phrase."""
    method: Method
    """The step of the specification by which discovery reaches the targets, or would reach them if they worked."""
    zone: str = ""
    """DNS records, one a line: name, type, value."""
    ports: Mapping[str, Website | PortFactory] = field(default_factory=dict)
    expected: frozenset[tuple[Stage, Reason]] = HEALTHY
    """Exactly the problems that a probe and a deep look find."""
    warnings: frozenset[WarningName] = _NO_WARNINGS
    """Exactly the warnings that follow."""
    dns_faults: Mapping[tuple[str, str], DnsFault] = field(default_factory=dict)
    """By name and type."""
    homeserver: HomeserverFactory = Homeserver
    outgoing: Mapping[str, Any] = field(default_factory=dict)
    """Options of the homeserver's requests to others."""
    on_started: Callable[[Mapping[str, "RunningServer"]], None] | None = None
    """Called with all servers, by server name, when all of them are running."""

    @property
    def healthy(self) -> bool:
        return self.expected == HEALTHY

    def addresses(self) -> Iterator[str]:
        """Yield every `ip:port` that a probe may try and that is redirected, even if nothing listens there."""
        name, records = parse(self.server_name), [line.split() for line in self.zone.strip().splitlines()]
        ips = [value for _, rdtype, *values in records if rdtype in ("A", "AAAA") for value in values]
        if name.ip:
            ips.append(name.host)
        named_port = [name.port] if name.port else []
        srv_ports = [int(values[2]) for _, rdtype, *values in records if rdtype == "SRV"]
        for ip in filter(_is_redirected, ips):
            for port in {WELL_KNOWN_PORT, FEDERATION_PORT, *named_port, *srv_ports}:
                yield host_port(ip, port)


def _is_redirected(ip: str) -> bool:
    address = ip_literal(ip)
    return address is not None and not address.is_loopback


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The parts of one server, to inspect and to change while it runs.

    `listeners` holds the https servers by the `ip:port` where a probe finds them. `zone` is shared by the whole
    federation.
    """

    server: LabServer
    homeserver: Homeserver
    listeners: Mapping[str, HttpsServer]
    zone: Zone

    @property
    def listener(self) -> HttpsServer:
        """The https server in front of the homeserver; the first one if there are several."""
        return self.listeners[self._homeserver_address()]

    @property
    def website(self) -> HttpsServer:
        """The https server that serves the well-known; the first one if there are several."""
        return self.listeners[self._website_address()]

    @property
    def federation_site(self) -> Site:
        """The homeserver's site on `listener`."""
        return self.listener.sites[self._homeserver_name()]

    @property
    def resources(self) -> dict[str, Resource]:
        """What `website` serves for the server name, by path."""
        return self.website.sites[parse(self.server.server_name).host].resources

    def present(self, certificate: IssuedCertificate) -> None:
        """Replace the certificate in front of the homeserver, from the next handshake on."""
        self.listener.certificates[self._homeserver_name()] = certificate.server_context()

    def _homeserver_address(self) -> str:
        return self._address(lambda _, website: website.proxy is not None, "in front of a homeserver")

    def _homeserver_name(self) -> str:
        website = self.server.ports[self._homeserver_address()]
        assert isinstance(website, Website)
        return website.name

    def _website_address(self) -> str:
        host = parse(self.server.server_name).host
        return self._address(lambda port, website: (port, website.name) == (WELL_KNOWN_PORT, host), "for a well-known")

    def _address(self, wanted: Callable[[int, Website], bool], purpose: str) -> str:
        for address, port in self.server.ports.items():
            if isinstance(port, Website) and wanted(int(address.rpartition(":")[2]), port):
                return address
        raise LookupError(f"{self.server.server_name} has no https server {purpose}: it shows {self.server.shows}")
