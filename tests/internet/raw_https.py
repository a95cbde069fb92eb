"""An HTTPS server that sends exactly the bytes that a test gives it."""

import gc
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from exporter.demo.authority import Authority, IssuedCertificate
from exporter.demo.listener import ConnectionHandler, Listener, streams
from exporter.internet.connection import InternetConnection
from exporter.internet.known_chains import KnownChains
from exporter.internet.tls import TlsStream
from exporter.internet.tls_contexts import TlsContexts
from tests.addresses import ip_endpoint
from tests.certificates import check_nothing

NAME = "example.test"


class RawHttps:
    """Plays one script for each connection: it sends a reply to each request, and then closes the connection.

    With several `certificates`, each connection presents the next one. `heads` are the request heads as received.
    """

    def __init__(self, scripts: Sequence[Sequence[bytes]], certificates: Sequence[IssuedCertificate]) -> None:
        self.heads: list[bytes] = []
        self._scripts = iter(scripts)
        self._contexts = [issued.server_context() for issued in certificates]

    async def play(self, accepted: socket.socket) -> None:
        context = self._contexts.pop(0) if len(self._contexts) > 1 else self._contexts[0]
        async with streams(accepted, context) as (reader, writer):
            for reply in next(self._scripts):
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(reply)
                await writer.drain()


@asynccontextmanager
async def listening(behaviour: ConnectionHandler) -> AsyncIterator[str]:
    """Listen on loopback, and yield the address."""
    listener = Listener(behaviour)
    await listener.start()
    try:
        yield listener.address
    finally:
        await listener.stop()


@asynccontextmanager
async def tcp_connection(
    address: str, authority: Authority, known_chains: KnownChains | None = None
) -> AsyncIterator[InternetConnection]:
    """Yield a connection that is open, without TLS."""
    contexts = TlsContexts(authority.ca_file, known_chains or KnownChains())
    connection = InternetConnection(ip_endpoint(address), contexts, None)
    try:
        await connection.open()
        yield connection
    finally:
        connection.close()


@asynccontextmanager
async def tls_connection(behaviour: ConnectionHandler, authority: Authority) -> AsyncIterator[InternetConnection]:
    """Yield a connection that is tls_connection with TLS, for the name `example.test`."""
    async with listening(behaviour) as address, tcp_connection(address, authority) as connection:
        await connection.start_tls(NAME, check_nothing)
        yield connection


def handshake_only(context: ssl.SSLContext) -> ConnectionHandler:
    """Complete the handshake, and send nothing more until the client closes the connection."""

    async def shake_hands(accepted: socket.socket) -> None:
        async with streams(accepted, context) as (reader, _):
            await reader.read()

    return shake_hands


def live_tls_streams() -> int:
    """Count the TLS streams that are in memory, each with its OpenSSL connection."""
    return sum(isinstance(each, TlsStream) for each in gc.get_objects())
