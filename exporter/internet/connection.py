"""One connection to one address, to the end of which all stages of an endpoint use it."""

from collections.abc import Callable

import h11
from OpenSSL import SSL

from exporter.internet.http import HttpExchange, Question
from exporter.internet.peer_clock import PeerClock
from exporter.internet.tcp import TcpStream
from exporter.internet.tls import TlsStream, check_chain
from exporter.internet.tls_contexts import Trust
from exporter.model.addresses import IPAddress
from exporter.probing.evidence import Handshake, HttpAnswer
from exporter.probing.network import BlockedAddressError, ClosedEarlyError


class InternetConnection:
    """`refusal` is set where the address policy forbids the address: then nothing is ever sent there."""

    def __init__(self, ip: IPAddress, port: int, trust: Trust, refusal: str | None) -> None:
        self._place = (ip, port)
        self._trust = trust
        self._refusal = refusal
        self._clock = PeerClock()
        self._tcp = TcpStream(self._clock)
        self._secured: tuple[str, bytes] | None = None
        self._http: HttpExchange | None = None
        self.waited: Callable[[], float] = self._clock.waited

    async def open(self) -> None:
        if self._refusal:
            raise BlockedAddressError(self._refusal)
        await self._tcp.open(*self._place)

    async def start_tls(self, tls_name: str) -> Handshake:
        handshake = await self._met_again(tls_name) or await self._verified(tls_name)
        self._secured = tls_name, handshake.fingerprint
        return handshake

    async def _met_again(self, tls_name: str) -> Handshake | None:
        """With a chain that is known to be good. None where there is no such hope, or another chain came: then over a
        new connection.
        """
        chains, waited = self._trust.chains, self.waited()
        if not chains.expected_at((*self._place, tls_name)):
            return None
        stream, handshake = await self._greet(tls_name, self._trust.unverifying)
        if chains.vouch_for(handshake):
            return handshake
        del stream  # and what OpenSSL keeps with it, before there is another one
        await self._open_again(waited)
        return None

    async def _verified(self, tls_name: str) -> Handshake:
        stream, handshake = await self._greet(tls_name, self._trust.verifying)
        check_chain(handshake.chain)
        self._trust.chains.learn((*self._place, tls_name), handshake, stream.verified_chain())
        return handshake

    async def _greet(self, tls_name: str, context: SSL.Context) -> tuple[TlsStream, Handshake]:
        stream = TlsStream(self._tcp, context)
        handshake = await stream.handshake(tls_name)
        self._http = HttpExchange(stream)
        return stream, handshake

    async def get(self, path: str, host_header: str, at_most: int) -> HttpAnswer:
        return await self._ask(Question(path, host_header), at_most)

    async def post(self, path: str, host_header: str, body: bytes, at_most: int) -> HttpAnswer:
        return await self._ask(Question(path, host_header, body), at_most)

    async def _ask(self, question: Question, at_most: int) -> HttpAnswer:
        """Over a new connection where the remote did not keep the old one, which is its good right."""
        used_before = self._http is not None and self._http.answered
        exchange = await self._usable_exchange()
        try:
            return await exchange.ask(question, at_most)
        except (ClosedEarlyError, ConnectionError, h11.RemoteProtocolError, SSL.Error):
            if not used_before or exchange.answered:
                raise
        del exchange  # as above
        return await (await self._reopened()).ask(question, at_most)

    async def announce(self, path: str, host_header: str, body_bytes: int) -> int:
        exchange = await self._usable_exchange()
        return await exchange.announce(path, host_header, body_bytes)

    async def _usable_exchange(self) -> HttpExchange:
        if self._http and self._http.can_be_used():
            return self._http
        return await self._reopened()

    async def _reopened(self) -> HttpExchange:
        """The certificate must be the one that was judged."""
        assert self._secured is not None
        waited, (tls_name, judged) = self.waited(), self._secured
        await self._open_again(waited)
        handshake = await self.start_tls(tls_name)
        if handshake.fingerprint != judged:
            raise ClosedEarlyError("the connection was closed, and the next one presented another certificate")
        self._clock.forget_since(waited)
        assert self._http is not None
        return self._http

    async def _open_again(self, waited: float) -> None:
        """The time since `waited()` was so much belongs to no stage."""
        self.close()
        await self.open()
        self._clock.forget_since(waited)

    def close(self) -> None:
        self._http = None
        self._tcp.close()
