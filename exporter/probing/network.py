"""The seam to the network: what a probe requests from it.

`internet.Internet` is the real network; the tests have a fake one, written as tables. Failures raise the exception of
the library that noticed them (OSError, OpenSSL's, h11's), or one of those below. `problems` classifies them.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from exporter.model.addresses import Endpoint
from exporter.model.enums import SrvService
from exporter.model.findings import SrvRecord
from exporter.model.outcomes import Problem
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Addresses, Handshake, HttpResponse


class DnsFailureError(Exception):
    """A resolver answered with an error, or with nonsense."""


class DnsTimeoutError(Exception):
    """No resolver answered at all."""


class BlockedAddressError(Exception):
    """The address policy forbids a connection to this address or port."""


class FirewallRejectError(Exception):
    """A firewall on the way answered that it does not allow the connection."""


class TooLargeError(Exception):
    """The server sent more than the exporter accepts."""


class NotTlsError(Exception):
    """The first bytes received belong to another protocol."""


class NoFreePortError(OSError):
    """The exporter's machine has no local port left for a connection."""


class AddressBusyError(Exception):
    """So many probes wait to connect to the same address that this one would wait too long."""


class ClosedEarlyError(Exception):
    """The server closed the connection in the middle of something."""


class CertificateRefusedError(Exception):
    """A certificate has a key that takes too much CPU time to use, so that it is not verified."""


class OtherCertificateError(Exception):
    """A connection had to be replaced, and over the new one, the server presented another certificate, a bad one."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class TunnelFailedError(Exception):
    """The exporter's proxy answered that it cannot connect to the server."""


class TunnelTimeoutError(Exception):
    """The exporter's proxy answered that the server does not answer."""


class ProxyError(Exception):
    """The exporter's own proxy does not do what it should, whatever server it is asked for. `proxy` is its address."""

    def __init__(self, proxy: str, sentence: str) -> None:
        super().__init__(f"the proxy {proxy} {sentence}")
        self.proxy = proxy


class ProxyUnreachableError(ProxyError):
    """It cannot be connected to. The cause is the error of that connection."""


class ProxyAuthenticationError(ProxyError):
    """It demands a user and a password, or rejects those that it gets."""


class ProxyForbiddenError(ProxyError):
    """It refuses to connect there."""


class ProxyProtocolError(ProxyError):
    """It does not answer as an HTTP proxy, or with too much."""


CertificateCheck: TypeAlias = Callable[[Handshake], Problem | None]
"""Returns what is wrong with a certificate, if anything is."""


class Connection(Protocol):
    """One connection to one address: call `open`, then `start_tls`, then any number of requests, then `close`."""

    def peer_wait(self) -> float:
        """Return the seconds spent waiting for the server so far, without the exporter's own work and queueing."""

    def turn_wait(self) -> float:
        """Return the seconds spent waiting for a turn to connect: addresses that many probes use are spared."""

    async def open(self) -> None:
        """Connect over TCP, or through the proxy of the network, when it is the probe's turn.

        Raises AddressBusyError if that would take too long, and ProxyError if the proxy is at fault.
        """

    async def start_tls(self, tls_name: str, check_other: CertificateCheck) -> Handshake:
        """Perform the TLS handshake. `tls_name` is sent as SNI unless it is an IP address.

        A server that closes the connection may present another certificate over the next one. A request raises
        OtherCertificateError if `check_other` finds something wrong with that.
        """

    async def start_finite_field_tls(self, tls_name: str, check_other: CertificateCheck) -> Handshake:
        """Start TLS like `start_tls`, offering nothing but finite-field Diffie-Hellman, as some old servers need it."""

    async def speaks_http2(self, tls_name: str) -> bool | None:
        """Offer HTTP/2 in a TLS handshake. Return whether the server speaks it; None if the server does not select it.

        The connection cannot be used afterwards.
        """

    def use_plain_http(self) -> None:
        """Use the connection for HTTP without TLS."""

    async def get(
        self,
        path: str,
        host_header: str,
        max_bytes: int,
        user_agent: str | None = None,
        authorization: str | None = None,
    ) -> HttpResponse:
        """Send GET over HTTP/1.1. Raises TooLargeError if the body has more than `max_bytes` bytes.

        `user_agent` replaces the exporter's own; `authorization` is sent as the header of that name.
        """

    async def post(self, path: str, host_header: str, body: bytes, max_bytes: int) -> HttpResponse:
        """Send POST with a JSON body. The request must be safe to repeat: it may be sent twice. Raises like `get`."""

    async def put(self, path: str, host_header: str, body: bytes, max_bytes: int) -> HttpResponse:
        """Send PUT with a JSON body. Raises like `get`."""

    async def expect_continue(self, path: str, host_header: str, body_bytes: int) -> int:
        """Send PUT with `Expect: 100-continue`, and return the first status, interim or final. The body is never sent.

        The connection cannot be used afterwards.
        """

    def close(self) -> None:
        """Close the connection, in any state and any number of times."""


class Network(Protocol):
    """What a probe can do on the network."""

    @property
    def chain_cache(self) -> ChainCache:
        """The evaluations of certificate chains that were presented over this network before."""

    @property
    def proxy(self) -> str | None:
        """The host and port of the proxy through which every connection is made; None if there is none."""

    async def srv(self, service: SrvService, host: str) -> tuple[SrvRecord, ...]:
        """Look up `_service._tcp.host`. The records are in no particular order; there may be none.

        A record that refuses the service (target `.`) has the host `.`.
        """

    async def addresses(self, host: str, port: int) -> Addresses:
        """Look up the A and AAAA records of `host`. The port only matters where the configuration redirects."""

    async def resolver_responds(self) -> bool:
        """Whether any resolver responds, if only with an error, to a query that it can answer without forwarding it."""

    def has_route(self, endpoint: Endpoint) -> bool:
        """Whether the exporter's machine has a route to the endpoint, and its IP family. This causes no traffic.

        Through a proxy, it is up to that.
        """

    def connection(self, endpoint: Endpoint) -> Connection:
        """Return a connection that is not open yet. This causes no traffic."""
