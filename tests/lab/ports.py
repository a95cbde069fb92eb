"""Ports that fail below HTTP in ways that `demo` does not show."""

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable
from socket import SO_LINGER, SOL_SOCKET, socket

import h11

from exporter.demo.authority import Authority
from exporter.demo.https_server import Response, next_event, read_request, render
from exporter.demo.listener import ConnectionHandler, Listener, Port, streams
from exporter.demo.ports import FIRST_BYTES
from exporter.demo.servers import PortFactory

_NO_LINGER = struct.pack("ii", 1, 0)  # struct linger: on, for 0 seconds, so that closing sends RST
_BROADCAST = (
    "255.255.255.255:8448"  # TCP refuses to connect to a broadcast address, and sends nothing (RFC 1122, 4.2.3.10)
)
_UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x02\x70"  # a fatal alert (RFC 8446, section 6; RFC 6066, section 3)

StreamHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Speaks over a TLS connection, which is closed afterwards."""


def listen(handler: ConnectionHandler) -> PortFactory:
    """A port whose connections are all served by `handler`."""
    return lambda _: Listener(handler)


def serve_over_plain_http(response: Response) -> PortFactory:
    """A port where an HTTP server without TLS gives the same response to one request for each connection."""

    async def serve(accepted: socket) -> None:
        async with streams(accepted) as (reader, writer):
            http = h11.Connection(h11.SERVER)
            if isinstance(head := await next_event(http, reader), h11.Request):
                writer.write(render(http, read_request(head, sni=None), response))

    return listen(serve)


def listen_with_tls(name: str, handler: StreamHandler) -> PortFactory:
    """A port with a valid certificate for `name`, where `handler` speaks instead of an HTTP server."""

    def make(authority: Authority) -> Port:
        context = authority.issue([name]).server_context()

        async def serve(accepted: socket) -> None:
            async with streams(accepted, context) as (reader, writer):
                await handler(reader, writer)

        return Listener(serve)

    return make


def demand_client_certificate(name: str) -> PortFactory:
    """A port with a valid certificate for `name` that refuses clients without one, after the handshake of TLS 1.3."""

    def make(authority: Authority) -> Port:
        context = authority.issue([name]).server_context()
        context.verify_mode = ssl.CERT_REQUIRED

        async def serve(accepted: socket) -> None:
            await _handshake_to_the_end(context, accepted)

        return Listener(serve)

    return make


async def _handshake_to_the_end(context: ssl.SSLContext, accepted: socket) -> None:
    """Shake hands, and send the alert if that fails, which asyncio does not."""
    loop, incoming, outgoing = asyncio.get_running_loop(), ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while content := await loop.sock_recv(accepted, FIRST_BYTES):
        incoming.write(content)
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await loop.sock_sendall(accepted, outgoing.read())
        except ssl.SSLError:
            await loop.sock_sendall(accepted, outgoing.read())
            return


class _NoRoute:
    address = _BROADCAST

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def have_no_route(_: Authority) -> Port:
    """An address that the kernel knows no route to."""
    return _NoRoute()


# ---------------------------------------------------------------- connection handlers


async def reset(accepted: socket) -> None:
    """Send RST as soon as the connection is open."""
    accepted.setsockopt(SOL_SOCKET, SO_LINGER, _NO_LINGER)


async def refuse_name(accepted: socket) -> None:
    """Refuse TLS, as nginx does for names that it does not know (`ssl_reject_handshake`)."""
    loop = asyncio.get_running_loop()
    await loop.sock_recv(accepted, FIRST_BYTES)
    await loop.sock_sendall(accepted, _UNRECOGNIZED_NAME)


async def stall(_: socket) -> None:
    """Keep the connection open, and send nothing, until the client leaves or the lab is stopped."""
    await asyncio.Event().wait()
