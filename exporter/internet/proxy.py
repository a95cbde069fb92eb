"""A proxy that connects in the exporter's place (CONNECT: RFC 9110, section 9.3.6)."""

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import h11

from exporter.internet.http import HttpExchange
from exporter.internet.peer_clock import PeerClock
from exporter.internet.tcp import IPEndpoint, TcpStream
from exporter.model import names
from exporter.model.addresses import IPAddress, Target, host_port
from exporter.model.sanitize import printable
from exporter.probing.evidence import Addresses
from exporter.probing.network import (
    ClosedEarlyError,
    DnsFailureError,
    DnsTimeoutError,
    FirewallRejectError,
    ProxyAuthenticationError,
    ProxyForbiddenError,
    ProxyProtocolError,
    ProxyUnreachableError,
    TooLargeError,
    TunnelFailedError,
    TunnelTimeoutError,
)
from exporter.probing.problems import Step, describe, missing_resource

_LOOKUP_SECONDS = 60.0  # for this long, the addresses of the proxy are not looked up again
_MAX_PHRASE_CHARACTERS = 60  # of the words after the status

_AUTHENTICATION, _GATEWAY_TIMEOUT = 407, 504
_OF_ANOTHER_SERVER: Final = {400, 404, 405, 501, 505}
"""What servers answer to CONNECT that are not proxies."""
_NOT_HTTP: Final = (ClosedEarlyError, OSError, h11.RemoteProtocolError, TooLargeError)
_NOT_CONNECTED: Final = (OSError, FirewallRejectError, DnsFailureError, DnsTimeoutError)


@dataclass(frozen=True, slots=True)
class ProxyAccess:
    """Where the proxy is, and what it demands."""

    target: Target
    credentials: str | None = field(default=None, repr=False)
    """The user and the password, with a colon between them."""


class Proxy:
    """Opens tunnels. The operator has chosen the proxy, so the address policy does not apply to its own address.

    `look_up` returns the addresses of its host, which are tried in their order. Connecting to it may take
    `connect_seconds`.
    """

    def __init__(
        self, access: ProxyAccess, look_up: Callable[[str], Awaitable[Addresses]], connect_seconds: float
    ) -> None:
        self.name = str(access.target)
        self._target = access.target
        credentials = access.credentials
        self._authorization = credentials and f"Basic {b64encode(credentials.encode()).decode()}"
        self._look_up = look_up
        self._connect_seconds = connect_seconds
        self._ips: Sequence[IPAddress] = ()
        self._looked_up_at = 0.0
        self._looking_up = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Proxy: {self.name}>"

    async def open_tunnel(self, tcp: TcpStream, clock: PeerClock, endpoint: IPEndpoint) -> None:
        """Connect to the proxy, and let it connect to the endpoint. Only the latter counts as waiting for the peer.

        Raises ProxyError, TunnelFailedError or TunnelTimeoutError.
        """
        waited = clock.peer_wait()
        try:
            async with asyncio.timeout(self._connect_seconds):
                await self._connect(tcp)
        except _NOT_CONNECTED as error:
            why = describe(error, Step.TCP)
            raise ProxyUnreachableError(self.name, f"cannot be connected to: {why}") from error
        finally:
            clock.rewind_to(waited)
        await self._ask(tcp, endpoint)

    async def _connect(self, tcp: TcpStream) -> None:
        """Connect to the first address that accepts. Raises the error of the last one."""
        *others, last = await self._addresses()
        for ip in others:
            try:
                return await tcp.open((ip, self._target.port))
            except (OSError, FirewallRejectError) as error:
                tcp.close()
                if missing_resource(error):
                    raise
        await tcp.open((last, self._target.port))
        return None

    async def _addresses(self) -> Sequence[IPAddress]:
        """Return the addresses, at least one. Raises DnsFailureError or DnsTimeoutError."""
        if literal := names.ip_literal(self._target.host):
            return (literal,)
        async with self._looking_up:
            if not self._ips or time.monotonic() - self._looked_up_at > _LOOKUP_SECONDS:
                found = await self._look_up(self._target.host)
                if not found.ips:
                    raise next(iter(found.failures), None) or DnsFailureError("its name has no address")
                self._ips, self._looked_up_at = found.ips, time.monotonic()
            return self._ips

    async def _ask(self, tcp: TcpStream, endpoint: IPEndpoint) -> None:
        """Ask for a tunnel, and evaluate the answer. There are six cases:

        - success: what follows the answer is the server's;
        - status 407: the proxy wants other credentials;
        - status 504: the server does not answer the proxy;
        - what other servers than proxies answer: it is none;
        - any other status from 500 on: it cannot connect to the server;
        - any other status: it does not want to.
        """
        try:
            head, surplus = await HttpExchange(tcp).connect(
                host_port(str(endpoint[0]), endpoint[1]), self._authorization
            )
        except _NOT_HTTP as error:
            why = describe(error, Step.HTTP)
            raise ProxyProtocolError(self.name, f"does not answer as an HTTP proxy: {why}") from error
        status = head.status_code
        phrase = printable(head.reason.decode("latin-1"), _MAX_PHRASE_CHARACTERS)
        answer = f"answers {status} {phrase}".rstrip()
        if 200 <= status < 300:
            tcp.unread(surplus)
        elif status == _AUTHENTICATION:
            lacking = "although it gets credentials" if self._authorization else "as it gets no credentials"
            raise ProxyAuthenticationError(self.name, f"{answer}, {lacking}")
        elif status == _GATEWAY_TIMEOUT:
            raise TunnelTimeoutError(f"the proxy {self.name} {answer}")
        elif status in _OF_ANOTHER_SERVER:
            raise ProxyProtocolError(self.name, f"{answer}, as servers do that are not proxies")
        elif status >= 500:
            raise TunnelFailedError(f"the proxy {self.name} {answer}")
        else:
            raise ProxyForbiddenError(self.name, answer)
