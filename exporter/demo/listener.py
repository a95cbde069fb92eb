"""TCP ports on loopback that leave nothing behind: no socket, no task, no log line."""

import asyncio
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeAlias

LOOPBACK = "127.0.0.1"
_PORTS = range(20_000, 32_000)  # below those that systems hand out: 32,768 and more (ip(7)), or 49,152 (RFC 6335)
BACKLOG = 1024  # a thousand servers may share one port and be probed in one burst
_TLS_CLOSE_SECONDS = 1.0  # how long a client may take to answer close_notify

ConnectionHandler: TypeAlias = Callable[[socket.socket], Awaitable[None]]
"""Serves an accepted, non-blocking connection, which is closed afterwards."""


def free_port() -> int:
    """Return a port on loopback that nothing listens on, to listen on it later.

    It is none of those that the system hands out itself, so that no other program gets it by chance in the meantime.
    """
    while True:
        port = secrets.choice(_PORTS)
        with suppress(OSError), socket.create_server((LOOPBACK, port)):
            return port


class Port(Protocol):
    """A TCP port that clients can connect to once it is started."""

    @property
    def address(self) -> str:
        """`127.0.0.1:port`."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Listener:
    """A port whose connections are all served by `handler`, which may be replaced at any time."""

    def __init__(self, handler: ConnectionHandler, port: int = 0) -> None:
        self.handler = handler
        self.port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Listen. After a stop, the listener takes the same port again."""
        listening = socket.create_server((LOOPBACK, self.port), backlog=BACKLOG)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
        listening.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
        self.port = listening.getsockname()[1]
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)
        self._listening = listening

    async def stop(self) -> None:
        """Close the port, and cut the connections that are open."""
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        """Accept at once: a task that is cancelled between accepting and serving would lose the connection."""
        with suppress(OSError):  # the client has left again
            accepted, _ = listening.accept()
            accepted.setblocking(False)  # noqa: FBT003 - as above
            self._run(self._serve(accepted), accepted)

    async def _serve(self, accepted: socket.socket) -> None:
        with suppress(OSError, EOFError):  # clients may leave at any time and in any way
            await self.handler(accepted)

    def _run(self, work: Coroutine[Any, Any, None], accepted: socket.socket) -> None:
        """Run `work`, and close the socket afterwards, even if the work is cancelled before its first step."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: accepted.close())


@asynccontextmanager
async def streams(
    accepted: socket.socket, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield the reader and the writer of an accepted connection, after the handshake if `tls` is given.

    The connection is closed in good order when the body ends, and aborted when it raises.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, accepted, ssl=tls, ssl_shutdown_timeout=_TLS_CLOSE_SECONDS if tls else None
    )
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    try:
        yield reader, writer
        writer.close()
        await writer.wait_closed()
    finally:
        transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
