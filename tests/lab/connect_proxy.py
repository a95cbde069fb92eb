"""An HTTP proxy that only knows CONNECT, as networks have one that let nothing else out."""

import asyncio
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from exporter.demo.listener import Listener, streams

_END_OF_HEAD: Final = b"\r\n\r\n"
_READ_BYTES: Final = 64 * 1024
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"

Rule: TypeAlias = Callable[[str, str], bytes | None]
"""Returns what the proxy answers to a request with this authority and these headers. None: it connects there."""


def permit(_authority: str, _headers: str) -> None:
    """Connect everywhere."""


def always(answer: bytes) -> Rule:
    """Give the same answer to everybody, and connect nowhere."""
    return lambda _authority, _headers: answer


def status(code: int, phrase: str = "", body: bytes = b"") -> bytes:
    """Return an answer with a status."""
    return f"HTTP/1.1 {code} {phrase}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def demand(credentials: str) -> Rule:
    """Connect for whoever has these credentials, and demand them from all others."""
    authorization = f"Proxy-Authorization: Basic {b64encode(credentials.encode()).decode()}"
    demanded = b'HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm="lab"\r\nContent-Length: 0\r\n\r\n'
    return lambda _authority, headers: None if authorization in headers.split("\r\n") else demanded


class ConnectProxy:
    """A proxy on loopback. `rule` may be replaced at any time; None is a proxy that never answers.

    `asked` lists the authorities of all requests, in order.
    """

    def __init__(self, rule: Rule | None = permit) -> None:
        self.rule = rule
        self.asked: list[str] = []
        self._listener = Listener(self._serve)

    @property
    def address(self) -> str:
        """The host and the port."""
        return self._listener.address

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def start(self) -> None:
        """Listen. After a stop, it takes the same port again."""
        await self._listener.start()

    async def stop(self) -> None:
        """Close the port, and cut all tunnels."""
        await self._listener.stop()

    async def _serve(self, accepted: socket.socket) -> None:
        async with streams(accepted) as (reader, writer):
            head = (await reader.readuntil(_END_OF_HEAD)).decode("latin-1")
            request, headers = head.split("\r\n", 1)
            method, authority, _version = request.split(" ")
            assert method == "CONNECT"
            self.asked.append(authority)
            if self.rule is None:
                await reader.read()
            elif answer := self.rule(authority, headers):
                writer.write(answer)
            else:
                await _connect(authority, reader, writer)


async def _connect(authority: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    host, _, port = authority.rpartition(":")
    try:
        from_server, to_server = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError:
        writer.write(status(502, "Bad Gateway"))
        return
    try:
        writer.write(ESTABLISHED)
        await asyncio.gather(_pipe(reader, to_server), _pipe(from_server, writer))
    finally:
        to_server.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(_READ_BYTES):
        writer.write(content)
        await writer.drain()
    writer.write_eof()


@asynccontextmanager
async def connect_proxy(rule: Rule | None = permit) -> AsyncIterator[ConnectProxy]:
    """Yield a proxy that runs within `async with`."""
    proxy = ConnectProxy(rule)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
