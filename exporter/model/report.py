"""The nouns. Everything here is frozen and knows nothing of any library."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, TypeAlias, TypeVar

from exporter.model.enums import IPFamily, Method, Reason, SrvService, Stage

Found = TypeVar("Found", covariant=True)  # noqa: PLC0105 - read more often than its variance matters
IPAddress: TypeAlias = IPv4Address | IPv6Address


# ---------------------------------------------------------------- outcomes


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason from the closed list, and a sentence on what was expected and what was found."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Shortage(Problem):
    """Of ours: no descriptor or no memory was left. It tells nothing of the server."""


@dataclass(frozen=True, slots=True)
class Passed(Generic[Found]):
    seconds: float
    found: Found


@dataclass(frozen=True, slots=True)
class Failed(Generic[Found]):
    """`found` is what could be learnt all the same, such as an expired certificate."""

    seconds: float
    problems: tuple[Problem, ...]
    found: Found | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Not reached, or not asked for by the specification."""


SKIPPED = Skipped()
Outcome: TypeAlias = Passed[Found] | Failed[Found] | Skipped


def found(outcome: Outcome[Found]) -> Found | None:
    return None if isinstance(outcome, Skipped) else outcome.found


# ---------------------------------------------------------------- names and places


def host_port(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class ServerName:
    """A Matrix server name that follows the grammar; `names.parse` makes them.

    `host` bears no brackets; `ip` is set where it is an IP literal.
    """

    text: str
    host: str
    port: int | None
    ip: IPAddress | None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Target:
    """What discovery yields: a name, or an IP address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return host_port(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a target."""

    target: Target
    ip: IPAddress
    behind_alias: bool = False
    """The target stands in an SRV record and is an alias, which RFC 2782 forbids: not every peer follows it."""

    @property
    def address(self) -> str:
        return host_port(str(self.ip), self.target.port)

    @property
    def ip_family(self) -> IPFamily:
        return IPFamily.IPV6 if self.ip.version == 6 else IPFamily.IPV4


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach a server. Where to connect, what `Host` says and what the certificate must bear are three things."""

    method: Method
    targets: tuple[Target, ...]
    host_header: str
    tls_name: str
    sni: str | None
    """Sent in the handshake; none for IP addresses (server-server API, 2.1)."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A server that the configuration names."""

    server_name: ServerName
    interval: float
    """Seconds from the start of one probe to the start of the next."""
    expected_delegation: Target | None


# ---------------------------------------------------------------- what the stages find


@dataclass(frozen=True, slots=True)
class Certificate:
    """The leaf, as presented, and what was thought of it."""

    not_before: datetime
    not_after: datetime
    chain_not_after: datetime
    """The earliest expiry in the chain as presented."""
    issuer: str
    subject: str
    names: tuple[str, ...]
    fingerprint_sha256: str
    """64 lower-case hexadecimal digits."""
    valid: bool
    """Chain, name and dates verify."""


@dataclass(frozen=True, slots=True)
class ChainCertificate:
    """One above the leaf, as presented."""

    issuer: str
    subject: str
    fingerprint_sha256: str
    """64 lower-case hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Secured:
    """A finished TLS handshake."""

    certificate: Certificate
    tls_version: str
    cipher: str | None = None
    """As OpenSSL names it."""
    above: tuple[ChainCertificate, ...] = ()
    """The rest of the chain, in the order presented."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Of the answer that ended the fetch of a well-known."""

    status: int
    body_bytes: int
    announced_seconds: int | None
    """How long it may be kept by its own headers, before any bound."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """The answer of a well-known, whatever came of it.

    `server` is set where it is valid. `absent_because` is set where there clearly is none, which is no failure.
    """

    cache_seconds: int
    """How long a peer may keep this answer (server-server API, 2.1, step 3)."""
    server: ServerName | None = None
    absent_because: Reason | None = None
    secured: Secured | None = None
    """Of the server name itself: later hops of a redirect are somebody else's."""
    answered: Answered | None = None
    """None where nothing was answered at all."""


@dataclass(frozen=True, slots=True)
class SrvRecord:
    priority: int
    weight: int
    target: Target


@dataclass(frozen=True, slots=True)
class SrvRecords:
    """The records of both services, each in the order in which a peer tries them.

    `decided_by` is the service whose records (or whose failure) end the search, none where there is no record at all.
    """

    records: dict[SrvService, tuple[SrvRecord, ...]]
    decided_by: SrvService | None


@dataclass(frozen=True, slots=True)
class Resolved:
    """The endpoints of all targets, in the order of the targets, and why each of the others has none."""

    endpoints: tuple[Endpoint, ...]
    unresolved: tuple[Problem, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    """Of the targets' hosts that are aliases (CNAME): where each leads."""


@dataclass(frozen=True, slots=True)
class Software:
    """What `/_matrix/federation/v1/version` says; both optional in the specification."""

    name: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The valid ed25519 verify keys by key id, as unpadded base64, and until when they may be kept."""

    keys: dict[str, str]
    valid_until: datetime
    content_type: str | None = None
    """Of the answer, without parameters and in lower case."""
    old_key_faults: tuple[str, ...] = ()
    """What is odd about the keys that are no longer used, a sentence each."""
    document: str | None = field(default=None, compare=False, repr=False)
    """The answer as compact JSON, for those who want it raw; None where it is larger than it is worth keeping."""


# ---------------------------------------------------------------- the report


@dataclass(frozen=True, slots=True)
class EndpointLook:
    """The deep look at an endpoint."""

    proxy: Outcome[None]
    """Skipped where it was inconclusive."""
    host_with_port_differs: str | None = None
    """How, where the keys are another answer when `Host` bears the port."""


@dataclass(frozen=True, slots=True)
class NotaryLook:
    """What one notary said of the server's keys."""

    notary: ServerName
    outcome: Outcome[SigningKeys]
    """The keys that it gives out. Skipped where it was inconclusive."""
    inconclusive_because: str | None = None


@dataclass(frozen=True, slots=True)
class DeepLook:
    """What is looked at more rarely than all else: one more question to every address would be impolite each time."""

    looked_at: datetime
    """UTC."""
    well_knowns: dict[str, str]
    """What each address of the server name answers for the well-known; those that answer nothing are missing."""
    srv: SrvRecords | None
    """The server name's own SRV records, where a well-known takes precedence."""
    notaries: tuple[NotaryLook, ...] = ()
    """In the order of the configuration."""


@dataclass(frozen=True, slots=True)
class EndpointReport:
    endpoint: Endpoint
    tcp: Outcome[None]
    tls: Outcome[Secured] = SKIPPED
    version: Outcome[Software] = SKIPPED
    keys: Outcome[SigningKeys] = SKIPPED
    deep: EndpointLook | None = None
    """Of the latest deep look, which may be older than this report."""

    def outcomes(self) -> Iterator[tuple[Stage, Outcome[object]]]:
        yield Stage.TCP, self.tcp
        yield Stage.TLS, self.tls
        yield Stage.VERSION, self.version
        yield Stage.KEYS, self.keys
        if self.deep:
            yield Stage.PROXY, self.deep.proxy

    @property
    def ok(self) -> bool:
        """What the deep look found does not count: it may be an hour old."""
        return all(isinstance(outcome, Passed) for outcome in (self.tcp, self.tls, self.version, self.keys))


@dataclass(frozen=True, slots=True)
class Report:
    """All that one probe of one server saw. Verdicts are derived from it, in `verdict`."""

    server_name: ServerName
    ended_at: datetime
    """UTC."""
    seconds: float
    well_known: Outcome[Delegation]
    srv: Outcome[SrvRecords]
    route: Route
    dns: Outcome[Resolved]
    endpoints: tuple[EndpointReport, ...]
    deep: DeepLook | None = None
    """The latest one, which may be older than this report."""
    held_up: float = 0.0
    """Seconds for which our own event loop stood still meanwhile."""
    blind: bool = False
    """The exporter's own network was down: it says nothing about the server."""

    @property
    def spoiled(self) -> bool:
        """The durations may tell of us, and not of the server."""
        return self.held_up > 0

    def keeping_deep_look(self, earlier: "Report | None") -> "Report":
        """With what an earlier report saw deep, where this probe did not look."""
        if self.deep or not (earlier and earlier.deep):
            return self
        seen = {report.endpoint: report.deep for report in earlier.endpoints}
        kept = tuple(replace(report, deep=seen.get(report.endpoint)) for report in self.endpoints)
        return replace(self, deep=earlier.deep, endpoints=kept)

    def outcomes(self) -> Iterator[tuple[Stage, Endpoint | None, Outcome[object]]]:
        """Every outcome, in the order of the stages; from `tcp` on with its endpoint."""
        yield Stage.WELL_KNOWN, None, self.well_known
        yield Stage.SRV, None, self.srv
        yield Stage.DNS, None, self.dns
        for report in self.endpoints:
            for stage, outcome in report.outcomes():
                yield stage, report.endpoint, outcome
        for look in self.deep.notaries if self.deep else ():
            yield Stage.NOTARY, None, look.outcome
