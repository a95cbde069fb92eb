"""What the stages find."""

from dataclasses import dataclass, field
from datetime import datetime

from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import SrvService
from exporter.model.names import ServerName
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason

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
class TlsSession:
    """A finished TLS handshake."""

    certificate: Certificate
    tls_version: str
    cipher: str | None = None
    """As OpenSSL names it."""
    issuers: tuple[ChainCertificate, ...] = ()
    """The rest of the chain, in the order presented."""


@dataclass(frozen=True, slots=True)
class WellKnownResponse:
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
    secured: TlsSession | None = None
    """Of the server name itself: later hops of a redirect are somebody else's."""
    answered: WellKnownResponse | None = None
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
class Resolution:
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
