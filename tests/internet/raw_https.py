"""An https server that says byte for byte what a test tells it to."""

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

NAME = "example.test"


class RawHttps:
    """Plays one script for each connection, in turn: a reply to each request, and then the connection is closed.

    `heads` are the requests as received.
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
    """Yields the address."""
    listener = Listener(behaviour)
    await listener.start()
    try:
        yield listener.address
    finally:
        await listener.stop()


@asynccontextmanager
async def connected(
    address: str, authority: Authority, chains: KnownChains | None = None
) -> AsyncIterator[InternetConnection]:
    """TCP only."""
    ip, port = ip_endpoint(address)
    connection = InternetConnection(ip, port, TlsContexts(authority.ca_file, chains or KnownChains()), None)
    try:
        await connection.open()
        yield connection
    finally:
        connection.close()


@asynccontextmanager
async def secured(behaviour: ConnectionHandler, authority: Authority) -> AsyncIterator[InternetConnection]:
    """TLS too, as `example.test`."""
    async with listening(behaviour) as address, connected(address, authority) as connection:
        await connection.start_tls(NAME)
        yield connection


def answering(context: ssl.SSLContext) -> ConnectionHandler:
    """Finishes the handshake, and says nothing more until the client goes."""

    async def greet(accepted: socket.socket) -> None:
        async with streams(accepted, context) as (reader, _):
            await reader.read()

    return greet


def streams_there_are() -> int:
    """Of ours, each with what OpenSSL keeps of it."""
    return sum(isinstance(each, TlsStream) for each in gc.get_objects())
