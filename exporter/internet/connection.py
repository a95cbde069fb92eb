"""One connection to one address, which all stages of an endpoint use."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from typing import Final, TypeAlias

import h11
from OpenSSL import SSL

from exporter import USER_AGENT
from exporter.internet.http import HttpExchange, HttpRequest
from exporter.internet.peer_clock import PeerClock
from exporter.internet.proxy import Proxy
from exporter.internet.tcp import IPEndpoint, TcpStream
from exporter.internet.tls import TlsStream, check_chain_size
from exporter.internet.tls_contexts import TlsContexts
from exporter.model.addresses import host_port
from exporter.probing.evidence import Handshake, HttpResponse
from exporter.probing.network import (
    AddressBusyError,
    BlockedAddressError,
    CertificateCheck,
    ClosedEarlyError,
    OtherCertificateError,
)
from exporter.runtime.pace import Pace, TooManyWaitingError

_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # and empty SETTINGS
_HTTP2_FRAME_HEADER_BYTES, _HTTP2_SETTINGS = 9, 4

_SITE_PREFIX_BITS: Final = {4: 32, 6: 64}
"""Of the addresses that belong to one site: an IPv6 host can have all addresses of a network."""

_ShakeHands: TypeAlias = Callable[[], Awaitable[Handshake]]


class InternetConnection:
    """A connection that is opened, secured with TLS and used for HTTP requests, in this order.

    `refusal` says why the address policy forbids the endpoint: then no packet is ever sent there. Every attempt to
    connect waits for its turn in the `pace` of the address, if there is one, for `max_turn_wait` seconds at most. It is
    made through the `proxy`, if there is one.
    """

    def __init__(  # noqa: PLR0913 - half of them have a default
        self,
        endpoint: IPEndpoint,
        tls_contexts: TlsContexts,
        refusal: str | None,
        pace: Pace | None = None,
        max_turn_wait: float = 0.0,
        *,
        proxy: Proxy | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._tls_contexts = tls_contexts
        self._refusal = refusal
        self._pace = pace
        self._max_turn_wait = max_turn_wait
        self._proxy = proxy
        self._turn_wait = 0.0
        self._clock = PeerClock()
        self._tcp = TcpStream(self._clock)
        self._tls: tuple[_ShakeHands, CertificateCheck, bytes] | None = None
        """How TLS was started, and the fingerprint of the latest chain that was presented and evaluated."""
        self._http: HttpExchange | None = None
        self.peer_wait: Callable[[], float] = self._clock.peer_wait

    def __repr__(self) -> str:
        ip, port = self._endpoint
        states = {"blocked": self._refusal, "TLS": self._http, "TCP": self._tcp.is_open}
        state = next((name for name, reached in states.items() if reached), "closed")
        return f"<InternetConnection: {host_port(str(ip), port)}, {state}>"

    async def open(self) -> None:
        if self._refusal:
            raise BlockedAddressError(self._refusal)
        if self._pace:
            await self._wait_for_turn(self._pace)
        if self._proxy:
            await self._proxy.open_tunnel(self._tcp, self._clock, self._endpoint)
        else:
            await self._tcp.open(self._endpoint)

    def turn_wait(self) -> float:
        return self._turn_wait

    async def _wait_for_turn(self, pace: Pace) -> None:
        ip, started = self._endpoint[0], time.monotonic()
        try:
            await pace.turn(ip_network((ip, _SITE_PREFIX_BITS[ip.version]), strict=False), self._max_turn_wait)
        except TooManyWaitingError as error:
            raise AddressBusyError(f"too many probes connect to {ip}") from error
        finally:
            self._turn_wait += time.monotonic() - started

    async def start_tls(self, tls_name: str, check_other: CertificateCheck) -> Handshake:
        return await self._start_tls(partial(self._shake_hands, tls_name), check_other)

    async def start_finite_field_tls(self, tls_name: str, check_other: CertificateCheck) -> Handshake:
        return await self._start_tls(partial(self._shake_hands_finite_field, tls_name), check_other)

    async def _start_tls(self, shake_hands: _ShakeHands, check_other: CertificateCheck) -> Handshake:
        handshake = await shake_hands()
        self._tls = shake_hands, check_other, handshake.fingerprint
        return handshake

    async def _shake_hands(self, tls_name: str) -> Handshake:
        """Shake hands. OpenSSL verifies the chain unless it is known to be good.

        There are three cases:

        - This endpoint is not expected to present a known chain: the handshake verifies.
        - It is, and presents a known chain: the handshake need not verify.
        - It is, and presents another chain: a second handshake, over a new connection, verifies.
        """
        return await self._handshake_known_chain(tls_name) or await self._handshake_verifying(tls_name)

    async def _handshake_known_chain(self, tls_name: str) -> Handshake | None:
        """Shake hands without verifying. Return None if no known chain is expected, or if another one is presented."""
        known_chains, peer_wait = self._tls_contexts.known_chains, self.peer_wait()
        if not known_chains.expects(self._endpoint, tls_name):
            return None
        stream, handshake = await self._handshake(tls_name, self._tls_contexts.unverifying)
        if known := known_chains.recall(handshake):
            return known
        del stream  # frees OpenSSL's memory before the next handshake takes as much
        await self._reconnect(peer_wait)
        return None

    async def _handshake_verifying(self, tls_name: str) -> Handshake:
        stream, handshake = await self._handshake(tls_name, self._tls_contexts.verifying)
        verified = _with_verified_chain(stream, handshake)
        self._tls_contexts.known_chains.remember(self._endpoint, tls_name, verified)
        return verified

    async def _shake_hands_finite_field(self, tls_name: str) -> Handshake:
        stream = TlsStream(self._tcp, self._tls_contexts.finite_field, limits_group=True)
        handshake = await stream.handshake(tls_name)
        self._http = HttpExchange(stream)
        return _with_verified_chain(stream, handshake)

    async def speaks_http2(self, tls_name: str) -> bool | None:
        """After the client's preface, the server must send its own, which is a SETTINGS frame (RFC 9113, 3.4)."""
        stream = TlsStream(self._tcp, self._tls_contexts.http2)
        check_chain_size((await stream.handshake(tls_name)).chain)
        if stream.selected_protocol() != b"h2":
            return None
        await stream.send(_HTTP2_PREFACE)
        frame = b""
        while len(frame) < _HTTP2_FRAME_HEADER_BYTES:
            received = await stream.receive()
            if not received:
                return False
            frame += received
        return frame[3] == _HTTP2_SETTINGS

    async def _handshake(self, tls_name: str, context: SSL.Context) -> tuple[TlsStream, Handshake]:
        stream = TlsStream(self._tcp, context)
        handshake = await stream.handshake(tls_name)
        self._http = HttpExchange(stream)
        return stream, handshake

    def use_plain_http(self) -> None:
        self._tls = None
        self._http = HttpExchange(self._tcp)

    async def get(
        self,
        path: str,
        host_header: str,
        max_bytes: int,
        user_agent: str | None = None,
        authorization: str | None = None,
    ) -> HttpResponse:
        request = HttpRequest(path, host_header, user_agent=user_agent or USER_AGENT, authorization=authorization)
        return await self._request(request, max_bytes)

    async def post(self, path: str, host_header: str, body: bytes, max_bytes: int) -> HttpResponse:
        return await self._request(HttpRequest(path, host_header, body, method="POST"), max_bytes)

    async def put(self, path: str, host_header: str, body: bytes, max_bytes: int) -> HttpResponse:
        return await self._request(HttpRequest(path, host_header, body, method="PUT"), max_bytes)

    async def _request(self, request: HttpRequest, max_bytes: int) -> HttpResponse:
        """Send a request, and return the response.

        HTTP/1.1 allows a server to close an idle connection at any time, which may cross with a request. There are
        three cases of a request that fails:

        - It is the first one on its connection: the error is raised.
        - It is a later one, and a part of the response was received: the error is raised.
        - It is a later one, and nothing was received: it is repeated once, over a new connection.
        """
        used_before = self._http is not None and self._http.response_begun
        exchange = await self._reusable_exchange()
        try:
            return await exchange.request(request, max_bytes)
        except (ClosedEarlyError, ConnectionError, h11.RemoteProtocolError, SSL.Error):
            if not used_before or exchange.response_begun:
                raise
        del exchange  # frees OpenSSL's memory, as above
        return await (await self._new_exchange()).request(request, max_bytes)

    async def expect_continue(self, path: str, host_header: str, body_bytes: int) -> int:
        exchange = await self._reusable_exchange()
        return await exchange.expect_continue(path, host_header, body_bytes)

    async def _reusable_exchange(self) -> HttpExchange:
        """Return the current exchange if the server keeps the connection, and a new one otherwise."""
        if self._http and self._http.is_reusable():
            return self._http
        return await self._new_exchange()

    async def _new_exchange(self) -> HttpExchange:
        """Connect again. Another certificate than the one that was evaluated must be a good one."""
        assert self._tls is not None
        peer_wait, (shake_hands, check_other, evaluated) = self.peer_wait(), self._tls
        await self._reconnect(peer_wait)
        handshake = await shake_hands()
        if handshake.fingerprint != evaluated and (problem := check_other(handshake)):
            raise OtherCertificateError(problem)
        self._tls = shake_hands, check_other, handshake.fingerprint
        self._clock.rewind_to(peer_wait)
        assert self._http is not None
        return self._http

    async def _reconnect(self, peer_wait: float) -> None:
        """Connect again, and set the clock back to `peer_wait`: no stage is charged for the wait since then."""
        self._disconnect()
        await self.open()
        self._clock.rewind_to(peer_wait)

    def _disconnect(self) -> None:
        self._http = None
        self._tcp.close()

    def close(self) -> None:
        self._disconnect()
        self._tls = None  # it refers to this connection: only a full garbage collection would free the cycle


def _with_verified_chain(stream: TlsStream, handshake: Handshake) -> Handshake:
    """Return the result of a handshake that verified the chain. Raises TooLargeError."""
    check_chain_size(handshake.chain)
    return replace(handshake, verified_chain=stream.verified_chain())
