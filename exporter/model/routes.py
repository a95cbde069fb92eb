"""Steps 1 to 6 of server discovery (server-server API, 2.1): where what was learned so far leads. Pure."""

from dataclasses import dataclass

from exporter.model.addresses import Target
from exporter.model.enums import Method, SrvService
from exporter.model.findings import SrvRecords
from exporter.model.names import ServerName

DEFAULT_PORT = 8448

# Each pair is the method without a well-known, and the method with one.
_IP_LITERAL = (Method.IP_LITERAL, Method.WELL_KNOWN_IP)
_PORT = (Method.EXPLICIT_PORT, Method.WELL_KNOWN_PORT)
_SRV = {
    SrvService.MATRIX_FED: (Method.SRV_FED, Method.WELL_KNOWN_SRV_FED),
    SrvService.MATRIX: (Method.SRV_LEGACY, Method.WELL_KNOWN_SRV_LEGACY),
}
BY_SRV = frozenset(method for methods in _SRV.values() for method in methods)
_FALLBACK = (Method.DEFAULT_8448, Method.WELL_KNOWN_8448)


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach a server. Where to connect, what `Host` says and which name the certificate needs may all differ."""

    method: Method
    targets: tuple[Target, ...]
    """Where to connect, in the order in which a peer tries them."""
    host_header: str
    """What goes into `Host`."""
    tls_name: str
    """The name or IP address that the certificate must be valid for."""
    sni: str | None
    """The name sent in the handshake; None for IP addresses (server-server API, 2.1)."""


def uses_well_known(name: ServerName) -> bool:
    """Whether step 3 applies to a name: it is not an IP literal (step 1), and has no port (step 2)."""
    return name.ip is None and name.port is None


def srv_host(name: ServerName, delegated: ServerName | None) -> str | None:
    """Return the host whose SRV records a peer looks up, or None if an address or a port makes them irrelevant."""
    subject = delegated or name
    return subject.host if uses_well_known(subject) else None


def plan(name: ServerName, delegated: ServerName | None, srv: SrvRecords | None) -> Route:
    """Return the route to `name`.

    `delegated` is the server in a valid well-known; `srv` is what was found for `srv_host(name, delegated)`.
    """
    subject = delegated or name
    methods, targets = _steps(subject, srv)
    return Route(
        method=methods[delegated is not None],
        targets=targets,
        host_header=subject.text,
        tls_name=subject.host,
        sni=None if subject.ip else subject.host,
    )


def _steps(subject: ServerName, srv: SrvRecords | None) -> tuple[tuple[Method, Method], tuple[Target, ...]]:
    """Return the methods and the targets. There are four cases, in this order:

    - an IP literal (steps 1 and 3.1): the address itself, at its port or at 8448;
    - a port (steps 2 and 3.2): the host itself, at that port;
    - an SRV lookup that decides (steps 4, 5, 3.3 and 3.4): the targets of its records, or none if it failed;
    - otherwise (steps 6 and 3.5): the host itself, at port 8448.
    """
    if subject.ip:
        return _IP_LITERAL, (Target(subject.host, DEFAULT_PORT if subject.port is None else subject.port),)
    if subject.port is not None:
        return _PORT, (Target(subject.host, subject.port),)
    if srv and srv.decided_by:
        return _SRV[srv.decided_by], srv_targets(srv)
    return _FALLBACK, (Target(subject.host, DEFAULT_PORT),)


def srv_targets(srv: SrvRecords) -> tuple[Target, ...]:
    """Return the targets of the deciding service, in the order in which a peer tries them.

    There are none if the lookup failed, if there is no record, or if nothing can listen at the ports.
    """
    records = srv.records.get(srv.decided_by, ()) if srv.decided_by else ()
    return tuple(dict.fromkeys(record.target for record in records if record.target.port))
