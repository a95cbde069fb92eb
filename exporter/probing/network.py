"""The seam to the network: what a probe asks of it, and the raw evidence that comes back.

`internet.Internet` is the real one; the tests have another, written as tables. What fails raises the exception of
whoever noticed it (OSError, OpenSSL's, h11's, or one of those below); `problems` names them.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from exporter.model.enums import SrvService
from exporter.model.report import Endpoint, IPAddress, SrvRecord


class DnsFailureError(Exception):
    """A resolver answered, but with an error or with nonsense."""


class DnsTimeoutError(Exception):
    """No resolver answered at all."""


class BlockedAddressError(Exception):
    """The address policy refuses to connect there."""


class TooLargeError(Exception):
    """More than we are willing to read."""


class NotTlsError(Exception):
    """The first bytes received belong to another protocol."""


class ClosedEarlyError(Exception):
    """The remote closed the connection in the middle of something."""


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
class HttpAnswer:
    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in the order received."""
    body: bytes

    def header(self, name: str) -> str | None:
        """All values of a header, joined as RFC 9110, section 5.2, says; none where it is missing."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None


class Connection(Protocol):
    """One connection to one address, made, secured and used in this order."""

    def waited(self) -> float:
        """Seconds that the remote kept us waiting, so far: our own work and queueing are not in it."""

    async def open(self) -> None: ...

    async def start_tls(self, tls_name: str) -> Handshake:
        """Sends `tls_name` as SNI unless it is an IP address."""

    async def get(self, path: str, host_header: str, at_most: int) -> HttpAnswer:
        """GET over HTTP/1.1. Raises TooLargeError where the body exceeds `at_most` bytes."""

    async def post(self, path: str, host_header: str, body: bytes, at_most: int) -> HttpAnswer:
        """POST of JSON, which must be a question and no deed: it may be sent twice. Raises as `get`."""

    async def announce(self, path: str, host_header: str, body_bytes: int) -> int:
        """PUT with `Expect: 100-continue` and a body that never comes: the status that this meets, interim or not.

        The connection is of no use afterwards.
        """

    def close(self) -> None: ...


class Network(Protocol):
    async def srv(self, service: SrvService, host: str) -> tuple[SrvRecord, ...]:
        """`_service._tcp.host`, in no particular order; empty where there is none. A target `.` has the host `.`."""

    async def addresses(self, host: str, port: int) -> Addresses:
        """A and AAAA of `host`. The port is for redirection by configuration only."""

    async def resolver_answers(self) -> bool:
        """Whether any resolver says anything at all, an error too: a question that it need not pass on."""

    def connection(self, endpoint: Endpoint) -> Connection:
        """No traffic yet."""
