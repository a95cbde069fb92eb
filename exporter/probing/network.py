"""The seam to the network: what a probe asks of it, and the raw evidence that comes back.

`internet.Internet` is the real one; the tests have another, written as tables. What fails raises the exception of
whoever noticed it (OSError, OpenSSL's, h11's, or one of those below); `problems` names them.
"""

from typing import Protocol

from exporter.model.addresses import Endpoint
from exporter.model.enums import SrvService
from exporter.model.findings import SrvRecord
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Addresses, Handshake, HttpResponse


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


class Connection(Protocol):
    """One connection to one address, made, secured and used in this order."""

    def peer_wait(self) -> float:
        """Seconds that the remote kept us waiting, so far: our own work and queueing are not in it."""

    async def open(self) -> None: ...

    async def start_tls(self, tls_name: str) -> Handshake:
        """Sends `tls_name` as SNI unless it is an IP address."""

    async def start_finite_field_tls(self, tls_name: str) -> Handshake:
        """As `start_tls`, offering nothing but finite-field key exchange."""

    async def speaks_http2(self, tls_name: str) -> bool | None:
        """Offer HTTP/2 in a handshake. Return whether the server speaks it, None where it does not select it.

        The connection is of no use afterwards.
        """

    def use_plain_http(self) -> None:
        """Use the connection for HTTP without TLS."""

    async def get(self, path: str, host_header: str, max_bytes: int, user_agent: str | None = None) -> HttpResponse:
        """GET over HTTP/1.1. Raises TooLargeError where the body exceeds `max_bytes` bytes."""

    async def post(self, path: str, host_header: str, body: bytes, max_bytes: int) -> HttpResponse:
        """POST of JSON, which must be a question and no deed: it may be sent twice. Raises as `get`."""

    async def put(self, path: str, host_header: str, body: bytes, max_bytes: int) -> HttpResponse:
        """PUT of JSON. Raises as `get`."""

    async def expect_continue(self, path: str, host_header: str, body_bytes: int) -> int:
        """PUT with `Expect: 100-continue` and a body that never comes: the status that this meets, interim or not.

        The connection is of no use afterwards.
        """

    def close(self) -> None: ...


class Network(Protocol):
    @property
    def chain_cache(self) -> ChainCache:
        """The evaluations of the certificate chains that were presented over this network before."""

    async def srv(self, service: SrvService, host: str) -> tuple[SrvRecord, ...]:
        """`_service._tcp.host`, in no particular order; empty where there is none. A target `.` has the host `.`."""

    async def addresses(self, host: str, port: int) -> Addresses:
        """A and AAAA of `host`. The port is for redirection by configuration only."""

    async def resolver_responds(self) -> bool:
        """Whether any resolver says anything at all, an error too: a question that it need not pass on."""

    def connection(self, endpoint: Endpoint) -> Connection:
        """No traffic yet."""
