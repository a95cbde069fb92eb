"""One connection to one address, to the end of which all stages of an endpoint use it."""

from collections.abc import Callable

import h11
from OpenSSL import SSL

from exporter.internet.http import HttpExchange, HttpRequest
from exporter.internet.peer_clock import PeerClock
from exporter.internet.tcp import TcpStream
from exporter.internet.tls import TlsStream, check_chain_size
from exporter.internet.tls_contexts import TlsContexts
from exporter.model.addresses import IPAddress
from exporter.probing.evidence import Handshake, HttpResponse
from exporter.probing.network import BlockedAddressError, ClosedEarlyError


class InternetConnection:
    """`refusal` is set where the address policy forbids the address: then nothing is ever sent there."""

    def __init__(self, ip: IPAddress, port: int, trust: TlsContexts, refusal: str | None) -> None:
        self._place = (ip, port)
        self._trust = trust
        self._refusal = refusal
        self._clock = PeerClock()
        self._tcp = TcpStream(self._clock)
        self._secured: tuple[str, bytes] | None = None
        self._http: HttpExchange | None = None
        self.peer_wait: Callable[[], float] = self._clock.peer_wait

    async def open(self) -> None:
        if self._refusal:
            raise BlockedAddressError(self._refusal)
        await self._tcp.open(*self._place)

    async def start_tls(self, tls_name: str) -> Handshake:
        handshake = await self._handshake_known_chain(tls_name) or await self._handshake_verifying(tls_name)
        self._secured = tls_name, handshake.fingerprint
        return handshake

    async def _handshake_known_chain(self, tls_name: str) -> Handshake | None:
        """With a chain that is known to be good. None where there is no such hope, or another chain came: then over a
        new connection.
        """
        chains, peer_wait = self._trust.chains, self.peer_wait()
        if not chains.expects((*self._place, tls_name)):
            return None
        stream, handshake = await self._handshake(tls_name, self._trust.unverifying)
        if chains.is_known(handshake):
            return handshake
        del stream  # and what OpenSSL keeps with it, before there is another one
        await self._open_again(peer_wait)
        return None

    async def _handshake_verifying(self, tls_name: str) -> Handshake:
        stream, handshake = await self._handshake(tls_name, self._trust.verifying)
        check_chain_size(handshake.chain)
        self._trust.chains.remember((*self._place, tls_name), handshake, stream.verified_chain())
        return handshake

    async def _handshake(self, tls_name: str, context: SSL.Context) -> tuple[TlsStream, Handshake]:
        stream = TlsStream(self._tcp, context)
        handshake = await stream.handshake(tls_name)
        self._http = HttpExchange(stream)
        return stream, handshake

    async def get(self, path: str, host_header: str, max_bytes: int) -> HttpResponse:
        return await self._ask(HttpRequest(path, host_header), max_bytes)

    async def post(self, path: str, host_header: str, body: bytes, max_bytes: int) -> HttpResponse:
        return await self._ask(HttpRequest(path, host_header, body), max_bytes)

    async def _ask(self, question: HttpRequest, max_bytes: int) -> HttpResponse:
        """Over a new connection where the remote did not keep the old one, which is its good right."""
        used_before = self._http is not None and self._http.answered
        exchange = await self._usable_exchange()
        try:
            return await exchange.ask(question, max_bytes)
        except (ClosedEarlyError, ConnectionError, h11.RemoteProtocolError, SSL.Error):
            if not used_before or exchange.answered:
                raise
        del exchange  # as above
        return await (await self._reopened()).ask(question, max_bytes)

    async def expect_continue(self, path: str, host_header: str, body_bytes: int) -> int:
        exchange = await self._usable_exchange()
        return await exchange.expect_continue(path, host_header, body_bytes)

    async def _usable_exchange(self) -> HttpExchange:
        if self._http and self._http.is_reusable():
            return self._http
        return await self._reopened()

    async def _reopened(self) -> HttpExchange:
        """The certificate must be the one that was judged."""
        assert self._secured is not None
        peer_wait, (tls_name, judged) = self.peer_wait(), self._secured
        await self._open_again(peer_wait)
        handshake = await self.start_tls(tls_name)
        if handshake.fingerprint != judged:
            raise ClosedEarlyError("the connection was closed, and the next one presented another certificate")
        self._clock.rewind_to(peer_wait)
        assert self._http is not None
        return self._http

    async def _open_again(self, peer_wait: float) -> None:
        """The time since `peer_wait()` was so much belongs to no stage."""
        self.close()
        await self.open()
        self._clock.rewind_to(peer_wait)

    def close(self) -> None:
        self._http = None
        self._tcp.close()
