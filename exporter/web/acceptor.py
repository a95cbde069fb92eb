"""Accepts connections and shakes hands, within the limits of a listening socket.

The event loops can do that too. But uvloop accepts past the `accept` of the socket, and so without any limit.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from exporter.probing.problems import missing_resource
from exporter.web.listeners import ListeningSocket

BATCH = 128  # connections that are accepted in one iteration of the event loop; the kernel queues as many
_SHORTAGE_SECONDS = 1.0  # until the next attempt, while descriptors or memory are short


class Acceptor:
    """Gives every connection a protocol, until `close`. uvicorn takes it for a server of asyncio."""

    def __init__(
        self, listener: ListeningSocket, make_protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        listener.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
        self._start()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._listener!r}: {len(self._handshakes)} handshakes>"

    def close(self) -> None:
        """Accept no more, and end the handshakes. Established connections go on."""
        self._loop.remove_reader(self._listener.fileno())
        if self._retry:
            self._retry.cancel()
        for handshake in self._handshakes:
            handshake.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    def _start(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._accept_batch)

    def _accept_batch(self) -> None:
        """Accept what is waiting. There are three ways in which this ends:

        - Nothing is waiting any more, or the event loop has to get its turn.
        - Descriptors or memory are short: this is logged, and tried again after a pause.
        - A client has disconnected already: the others are accepted in the next iteration.
        """
        with suppress(BlockingIOError, InterruptedError, ConnectionAbortedError):
            for _ in range(BATCH):
                try:
                    connection, _ = self._listener.accept()
                except OSError as error:
                    if not missing_resource(error):
                        raise
                    self._pause(error)
                    return
                self._connect(connection)

    def _pause(self, error: OSError) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._retry = self._loop.call_later(_SHORTAGE_SECONDS, self._start)
        self._loop.call_exception_handler(
            {"message": "socket.accept() out of system resource", "exception": error, "socket": self._listener}
        )

    def _connect(self, connection: socket.socket) -> None:
        connection.setblocking(False)  # noqa: FBT003 - as above
        handshake = self._loop.create_task(self._shake_hands(connection))
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client disconnected, was dropped, took too long, or speaks no TLS that is allowed
            await self._loop.connect_accepted_socket(self._make_protocol, connection, ssl=self._tls)
