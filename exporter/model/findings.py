"""What each stage finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import IPFamily, Oddity, OutboundMethod, SrvService
from exporter.model.names import ServerName
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason


@dataclass(frozen=True, slots=True)
class Certificate:
    """The leaf certificate as presented, and whether it verified."""

    not_before: datetime
    not_after: datetime
    chain_not_after: datetime
    """The earliest expiry in the chain that verifies the certificate; what else the server sends does not count."""
    issuer: str
    subject: str
    names: tuple[str, ...]
    """The names and addresses in subjectAltName."""
    fingerprint_sha256: str
    """64 lower-case hexadecimal digits."""
    valid: bool
    """The chain, the name and the dates verify."""
    issuer_organization: str | None = None
    """None if the issuer's name contains none."""


@dataclass(frozen=True, slots=True)
class ChainCertificate:
    """One certificate of a chain as presented, in short."""

    issuer: str
    subject: str
    fingerprint_sha256: str
    """64 lower-case hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class LeafKey:
    """The public key of a leaf certificate."""

    kind: str
    """As people write it, such as RSA, EC or Ed25519; RSA-PSS if it is for RSASSA-PSS only."""
    bits: int
    curve: str | None = None
    """As OpenSSL names it, such as secp384r1."""


@dataclass(frozen=True, slots=True)
class HttpShape:
    """The head of a response, of which homeservers have different limits."""

    lines: int
    longest_line: int
    """In bytes, without the line break."""
    http_version: str = "1.1"
    """As the status line says."""


@dataclass(frozen=True, slots=True)
class TlsSession:
    """The result of a finished TLS handshake."""

    certificate: Certificate
    tls_version: str
    """As OpenSSL names it, such as TLSv1.3."""
    cipher: str | None = None
    """As OpenSSL names it."""
    issuers: tuple[ChainCertificate, ...] = ()
    """The rest of the chain, in the order presented."""
    leaf_key: LeafKey | None = None

    @property
    def presented(self) -> tuple[ChainCertificate, ...]:
        """The whole chain in the order presented, the leaf first."""
        leaf = self.certificate
        return ChainCertificate(leaf.issuer, leaf.subject, leaf.fingerprint_sha256), *self.issuers


@dataclass(frozen=True, slots=True)
class WellKnownResponse:
    """The last HTTP response to the request for a well-known, after all redirects."""

    status: int
    body_bytes: int
    announced_seconds: int | None
    """How long it may be cached according to its own headers, before any bound."""
    redirects: int = 0
    insecure: bool = False
    """It was fetched over plain http, where a redirect led."""
    shape: HttpShape | None = None
    is_object: bool = False
    """The body is a JSON object, at least for the most tolerant of the homeservers."""
    oddities: frozenset[Oddity] = frozenset()
    m_server: str | None = None
    """The text of `m.server`, whether or not it is a server name; None if there is no text."""
    m_server_in_any_case: str | None = None
    """The text of a key that is `m.server` in any mixture of case."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """What the well-known says about delegation. There are three cases:

    - a valid well-known: `server` is set;
    - no well-known, which is not a failure: `absent_because` is set;
    - a broken well-known, in an outcome that failed: neither is set.
    """

    cache_seconds: int
    """How long a peer may cache this result (server-server API, 2.1, step 3)."""
    server: ServerName | None = None
    absent_because: Reason | None = None
    tls_session: TlsSession | None = None
    """The session with the server name itself: later hops of a redirect belong to other servers."""
    response: WellKnownResponse | None = None
    """None if no HTTP response arrived."""
    partial_lookups: tuple[Problem, ...] = ()
    """Why A or AAAA of a host on the way could not be looked up, although the other one could."""


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    target: Target


@dataclass(frozen=True, slots=True)
class SrvRecords:
    """The records of both services, each in the order in which a peer tries them."""

    records: Mapping[SrvService, tuple[SrvRecord, ...]]
    decided_by: SrvService | None
    """The service whose records, or whose failed lookup, end the search; None if there is no record at all."""
    failures: Mapping[SrvService, Problem] = field(default_factory=dict)
    """For each service whose lookup failed, why."""
    unavailable: frozenset[SrvService] = frozenset()
    """The services whose only targets are `.`."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The endpoints of all targets, in the order of the targets."""

    endpoints: tuple[Endpoint, ...]
    unresolved: tuple[Problem, ...] = ()
    """Why each of the other targets has no endpoint."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """For each target host that is an alias (CNAME), the name that it leads to."""
    partial_lookups: tuple[Problem, ...] = ()
    """Why A or AAAA of a target could not be looked up, although the other one could."""
    without_route: tuple[Endpoint, ...] = ()
    """What was not probed, because the exporter's own machine has no route to it."""


@dataclass(frozen=True, slots=True)
class Software:
    """What `/_matrix/federation/v1/version` says. Both fields are optional in the specification."""

    name: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody who is responsible for a server. One of the addresses is set; both have the form of one."""

    role: str | None
    """As the server says it, such as m.role.admin."""
    matrix_id: str | None
    email_address: str | None


@dataclass(frozen=True, slots=True)
class Support:
    """Whom to contact about a server, as it says itself. One of the fields is set."""

    contacts: tuple[Contact, ...]
    page: str | None
    """An https or http URL."""


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The verify keys of a server, and until when peers may cache them."""

    keys: dict[str, str]
    """The valid ed25519 keys, as unpadded base64, by key ID."""
    valid_until: datetime
    content_type: str | None = None
    """The Content-Type of the response, without parameters, in the case as it was sent, which matters to Synapse."""
    old_key_faults: tuple[str, ...] = ()
    """What is wrong with the keys that are no longer used, one phrase per fault."""
    document: str | None = field(default=None, compare=False, repr=False)
    """The response as compact JSON; None if it is too large to keep."""
    oddities: frozenset[Oddity] = frozenset()


@dataclass(frozen=True, slots=True)
class CameBack:
    """How the server reached the exporter's own listener."""

    method: OutboundMethod
    ip_family: IPFamily | None = None
    """Over which it came; None behind a reverse proxy, which hides it."""
