"""The raw evidence that the network brings back, before any evaluation."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from exporter.model.addresses import IPAddress
from exporter.model.findings import HttpShape


@dataclass(frozen=True, slots=True)
class Addresses:
    """The A and AAAA records of a name."""

    canonical_name: str
    """The name itself, or the name that its aliases (CNAME) lead to, without a dot at the end."""
    ips: tuple[IPAddress, ...]
    exists: bool = True
    """Whether the canonical name exists; it may exist and have no address."""
    failures: tuple[Exception, ...] = ()
    """One exception for each family whose lookup failed."""
    without_route: frozenset[IPAddress] = frozenset()
    """The addresses to which the exporter's own machine has no route."""


@dataclass(frozen=True, slots=True)
class VerifyError:
    """One complaint of OpenSSL about the chain: its X509_V_ERR code, and the certificate's depth (0 is the leaf)."""

    code: int
    depth: int


@dataclass(frozen=True, slots=True)
class Handshake:
    """A finished TLS handshake, whether or not the chain verifies. A probe sends nothing over one that does not."""

    chain: tuple[bytes, ...]
    """DER, as presented, the leaf first."""
    verify_errors: tuple[VerifyError, ...]
    """Complaints about the chain and the dates. The name is checked later, by the `tls` stage."""
    tls_version: str
    """As OpenSSL names it, such as TLSv1.3."""
    cipher: str | None = None
    """As OpenSSL names it, such as ECDHE-RSA-AES128-GCM-SHA256; None if unknown."""
    verified_chain: tuple[bytes, ...] = ()
    """DER, the chain that OpenSSL built from what was presented and what is trusted, the leaf first.

    After an error, it ends where OpenSSL found no issuer. It is empty if OpenSSL built none.
    """
    fingerprint: bytes = field(init=False)
    """The SHA-256 of the chain as presented, see `fingerprint_of`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", fingerprint_of(self.chain))


def fingerprint_of(chain: Iterable[bytes]) -> bytes:
    """Return the SHA-256 of all certificates of a chain, joined: DER is self-delimiting."""
    return sha256(b"".join(chain)).digest()


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response of any status, read to its end."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in the order received."""
    body: bytes
    http_version: str = "1.1"
    """As the status line says."""

    @property
    def shape(self) -> HttpShape:
        """Return what some homeservers limit."""
        longest_line = max((len(name) + 2 + len(value) for name, value in self.headers), default=0)
        return HttpShape(len(self.headers), longest_line, self.http_version)

    @property
    def content_encoding(self) -> str | None:
        """Return how the body is compressed, or None if it is not. No request accepts that."""
        encoding = (self.header("content-encoding") or "").strip().lower()
        return None if encoding in ("", "identity") else encoding

    def first_header(self, name: str) -> str | None:
        """Return the first value of a header, which is all that homeservers read of most headers."""
        return next((value for key, value in self.headers if key == name), None)

    def header(self, name: str) -> str | None:
        """Return all values of a header, joined as in RFC 9110, section 5.2, or None if it is missing."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None
