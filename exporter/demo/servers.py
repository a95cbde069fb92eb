"""What a server of the lab is made of: the lines of its zone, and what stands at each of its addresses."""

from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ssl import SSLContext, TLSVersion
from typing import TypeAlias

from exporter.demo.authority import Authority, CertificateState, IssuedCertificate
from exporter.demo.homeserver import KeyFault
from exporter.demo.https_server import WELL_KNOWN, Resource, delegation
from exporter.demo.listener import ConnectionHandler
from exporter.demo.ports import Fault
from exporter.demo.zone import DnsFault, Misbehaviour
from exporter.judging.warnings import WarningName
from exporter.model.addresses import host_port
from exporter.model.enums import Method, Stage
from exporter.model.names import ip_literal, parse
from exporter.model.reasons import Reason
from tests.lab.notary import GivenKeys
from tests.lab.reverse_proxy import ProxyFault

WELL_KNOWN_PORT = 443
FEDERATION_PORT = 8448
HEALTHY: frozenset[tuple[Stage, Reason]] = frozenset()
_NO_WARNING: frozenset[WarningName] = frozenset()


CertificateSource: TypeAlias = Callable[[Authority, str], IssuedCertificate]
"""For a name."""


@dataclass(frozen=True, slots=True)
class Website:
    """https for the host `name`: its pages, and behind them the homeserver, where `homeserver` says so."""

    name: str
    pages: Mapping[str, Resource] = field(default_factory=dict)
    homeserver: bool = False
    twin: bool = False
    """It is another homeserver of the same name, with a signing key of its own."""
    proxy_fault: ProxyFault | None = None
    """Of the reverse proxy in front of the homeserver."""
    state: CertificateState = CertificateState.VALID
    certificate_for: str | None = None
    """Another name than that of the host, such as a wildcard above it."""
    issue: CertificateSource | None = None
    """Makes a certificate that no `state` describes."""
    tls_version: TLSVersion | None = None
    """The only one that is spoken; none for 1.2 and newer."""
    adjust: Callable[[SSLContext], None] | None = None
    """Of the TLS of its port."""


def delegates(name: str, m_server: str) -> Website:
    """The web server at `name`, with a well-known."""
    return Website(name, {WELL_KNOWN: delegation(m_server)})


def federates(
    name: str, state: CertificateState = CertificateState.VALID, *, behind: ProxyFault | None = None
) -> Website:
    """The homeserver, reached as `name`, `behind` a reverse proxy at fault."""
    return Website(name, homeserver=True, state=state, proxy_fault=behind)


@dataclass(frozen=True, slots=True)
class RawPort:
    """No website: every connection meets `behaviour`."""

    behaviour: ConnectionHandler


StreamHandler: TypeAlias = Callable[[StreamReader, StreamWriter], Awaitable[None]]
"""What is said over a TLS connection, which is closed afterwards."""


@dataclass(frozen=True, slots=True)
class RawSite:
    """TLS as it should be, for the host `name`, and then whatever `talk` says instead of HTTP."""

    name: str
    talk: StreamHandler


Place: TypeAlias = Website | Fault | RawPort | RawSite


@dataclass(frozen=True, slots=True)
class LabServer:
    """A server name, and all that it leads to.

    Connections to its addresses are refused at ports 443, 8448, that of its name and those of SRV records, unless
    `places`, by `ip:port`, says otherwise. Addresses of loopback are left to those who go there.
    """

    server_name: str
    shows: str
    """One sentence, for people."""
    method: Method
    """By which discovery reaches its targets, or would, if they were not broken."""
    zone: str = ""
    """One record a line: name, type, value."""
    places: Mapping[str, Place] = field(default_factory=dict)
    expected: frozenset[tuple[Stage, Reason]] = HEALTHY
    """All of the problems that a probe and a deep look find, and no other."""
    warnings: frozenset[WarningName] = _NO_WARNING
    """All of the warnings that these lead to, and no other."""
    dns_faults: Mapping[tuple[str, str], DnsFault | Misbehaviour] = field(default_factory=dict)
    """By name and type."""
    key_fault: KeyFault | None = None
    missing: tuple[str, ...] = ()
    """Paths that the homeserver does not know."""
    vanishing: tuple[str, ...] = ()
    """Pages of the web server that are there at the first probe, and gone at all later ones, which are described here:
    whoever runs the lab takes them away.
    """
    delay: float = 0.0
    """Seconds before each answer of the homeserver."""
    gives_out: Mapping[str, GivenKeys] | None = None
    """As a notary, by server name; none where it is no notary."""

    @property
    def healthy(self) -> bool:
        return self.expected == HEALTHY

    def addresses(self) -> Iterator[str]:
        """Every `ip:port` that must be led to loopback, as a probe may try it, whether or not there is something."""
        name, records = parse(self.server_name), [line.split() for line in self.zone.strip().splitlines()]
        ips = [value for _, kind, *values in records if kind in ("A", "AAAA") for value in values]
        if name.ip:
            ips.append(name.host)
        named_port = [name.port] if name.port else []
        srv_ports = [int(values[2]) for _, kind, *values in records if kind == "SRV"]
        for ip in filter(_is_elsewhere, ips):
            for port in {WELL_KNOWN_PORT, FEDERATION_PORT, *named_port, *srv_ports}:
                yield host_port(ip, port)


def _is_elsewhere(ip: str) -> bool:
    address = ip_literal(ip)
    return address is not None and not address.is_loopback


# ---------------------------------------------------------------- any number of them

_CROWD_ADDRESS = "203.0.113.250"
_CROWD_PLACE = host_port(_CROWD_ADDRESS, WELL_KNOWN_PORT)


def many(count: int, *, delay: float = 0.0) -> tuple[LabServer, ...]:
    """Healthy servers for benchmarks, as most of the real ones are: a well-known, and federation at port 443 beside it.

    They share one address, one listener and one certificate, for a wildcard; each has a signing key of its own.
    """
    return tuple(_one_of_many(f"s{number}.many.lab.test", delay) for number in range(1, count + 1))


def _one_of_many(name: str, delay: float) -> LabServer:
    target = host_port(name, WELL_KNOWN_PORT)
    pages = {WELL_KNOWN: delegation(target)}
    return LabServer(
        name,
        "one of a crowd, with well-known and federation at port 443",
        Method.WELL_KNOWN_PORT,
        zone=f"{name} A {_CROWD_ADDRESS}",
        places={_CROWD_PLACE: Website(name, pages, homeserver=True, certificate_for="*.many.lab.test")},
        delay=delay,
    )
