"""Steps 1 to 6 of server discovery (server-server API, 2.1): what was learnt so far, and where it leads. Pure."""

from dataclasses import dataclass

from exporter.model.addresses import Target
from exporter.model.enums import Method, SrvService
from exporter.model.findings import SrvRecords
from exporter.model.names import ServerName

DEFAULT_PORT = 8448

# (method without a well-known, method with one)
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
    """How to reach a server. Where to connect, what `Host` says and what the certificate must bear are three things."""

    method: Method
    targets: tuple[Target, ...]
    host_header: str
    tls_name: str
    sni: str | None
    """Sent in the handshake; none for IP addresses (server-server API, 2.1)."""


def asks_well_known(name: ServerName) -> bool:
    """Step 3 is only for names that are neither an IP literal (step 1) nor bear a port (step 2)."""
    return name.ip is None and name.port is None


def srv_host(name: ServerName, delegated: ServerName | None) -> str | None:
    """Whose SRV records are asked for; none where an address or a port settles it."""
    subject = delegated or name
    return subject.host if asks_well_known(subject) else None


def plan(name: ServerName, delegated: ServerName | None, srv: SrvRecords | None) -> Route:
    """`delegated` is the valid answer of the well-known, `srv` what was found for `srv_host`."""
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
    """The steps are the same for a server name (1, 2, 4, 5, 6) and for a delegated one (3.1 to 3.5)."""
    if subject.ip:
        return _IP_LITERAL, (Target(subject.host, DEFAULT_PORT if subject.port is None else subject.port),)
    if subject.port is not None:
        return _PORT, (Target(subject.host, subject.port),)
    if srv and srv.decided_by:
        return _SRV[srv.decided_by], srv_targets(srv)
    return _FALLBACK, (Target(subject.host, DEFAULT_PORT),)


def srv_targets(srv: SrvRecords) -> tuple[Target, ...]:
    """In the order in which a peer tries them; none where the lookup was not answered, or there is no record."""
    records = srv.records.get(srv.decided_by, ()) if srv.decided_by else ()
    return tuple(dict.fromkeys(record.target for record in records))
