"""The raw evidence that the network brings back, unjudged."""

from dataclasses import dataclass, field
from hashlib import sha256

from exporter.model.addresses import IPAddress
from exporter.model.findings import HttpShape


@dataclass(frozen=True, slots=True)
class Addresses:
    """A and AAAA of a name. `failures` holds what was raised for a family that could not be looked up."""

    canonical_name: str
    """The name itself, or where its aliases (CNAME) lead to; no dot at the end."""
    ips: tuple[IPAddress, ...]
    exists: bool = True
    failures: tuple[Exception, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyError:
    """One complaint of OpenSSL about the chain: its X509_V_ERR code, and the depth (0 is the leaf)."""

    code: int
    depth: int


@dataclass(frozen=True, slots=True)
class Handshake:
    """A finished TLS handshake, whether or not the chain verifies: the caller must not go on with one that does not."""

    chain: tuple[bytes, ...]
    """DER, as presented, the leaf first."""
    verify_errors: tuple[VerifyError, ...]
    """About chain and dates; the name is judged by the reader."""
    tls_version: str
    """As OpenSSL names it, such as TLSv1.3."""
    cipher: str | None = None
    """As OpenSSL names it, such as ECDHE-RSA-AES128-GCM-SHA256; None where nobody looked."""
    fingerprint: bytes = field(init=False)
    """SHA-256 of the whole chain; DER says itself where it ends."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", sha256(b"".join(self.chain)).digest())


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in the order received."""
    body: bytes

    @property
    def shape(self) -> HttpShape:
        """Return the size of the headers, as some homeservers limit it."""
        return HttpShape(
            len(self.headers), max((len(name) + 2 + len(value) for name, value in self.headers), default=0)
        )

    def header(self, name: str) -> str | None:
        """All values of a header, joined as RFC 9110, section 5.2, says; none where it is missing."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None
