"""TCP ports on loopback that leave nothing behind: no socket, no task, no line in the log."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeAlias

LOOPBACK = "127.0.0.1"
BACKLOG = 1024  # a thousand servers may be one port, and be probed in one burst
_TLS_GOODBYE_SECONDS = 1.0  # how long a client may take to answer close_notify

ConnectionHandler: TypeAlias = Callable[[socket.socket], Awaitable[None]]
"""What happens on an accepted, non-blocking connection, which is closed afterwards."""


class Port(Protocol):
    """Somewhere to connect to, once it is started."""

    @property
    def address(self) -> str:
        """`127.0.0.1:port`."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Listener:
    """A port where every connection meets `behaviour`, which may be replaced at any time."""

    def __init__(self, behaviour: ConnectionHandler, port: int = 0) -> None:
        self.behaviour = behaviour
        self.port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """After a stop it takes the same port again."""
        listening = socket.create_server((LOOPBACK, self.port), backlog=BACKLOG)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
        listening.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
        self.port = listening.getsockname()[1]
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)
        self._listening = listening

    async def stop(self) -> None:
        """Cuts the connections that are open."""
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        """At once: a task that is cancelled between accepting and serving would lose the connection."""
        with suppress(OSError):  # the client left again
            accepted, _ = listening.accept()
            accepted.setblocking(False)  # noqa: FBT003 - as below
            self._run(self._serve(accepted), accepted)

    async def _serve(self, accepted: socket.socket) -> None:
        with suppress(OSError, EOFError):  # clients may leave when and how they like
            await self.behaviour(accepted)

    def _run(self, work: Coroutine[Any, Any, None], over: socket.socket) -> None:
        """The socket is closed at the end, even of work that is cancelled before its first step."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: over.close())


@asynccontextmanager
async def streams(
    accepted: socket.socket, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Reader and writer of an accepted connection, after the handshake where there is `tls`.

    Said goodbye to where the body ends, cut off where it raises.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, accepted, ssl=tls, ssl_shutdown_timeout=_TLS_GOODBYE_SECONDS if tls else None
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
