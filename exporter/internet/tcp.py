"""A TCP connection as a plain non-blocking socket, so that received data can be read with the kernel's timestamps."""

import asyncio
import errno
import os
import socket

from exporter.internet import peer_clock
from exporter.internet.peer_clock import PeerClock
from exporter.model.addresses import IPAddress

READ_BYTES = 16 * 1024  # one TLS record


class TcpStream:
    def __init__(self, clock: PeerClock) -> None:
        self._clock = clock
        self._socket: socket.socket | None = None
        self._watched = False
        self._spurious_wakeups = 0
        self._waiting: asyncio.Future[None] | None = None
        self._read_at_once = False

    async def open(self, ip: IPAddress, port: int) -> None:
        """Raises OSError."""
        family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
        self._socket = sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer_clock.enable_timestamps(sock)
        self._clock.sent()
        try:
            await asyncio.get_running_loop().sock_connect(sock, (str(ip), port))
        except BaseException:
            self._clock.gave_up()
            raise
        self._clock.connected(peer_clock.round_trip(sock))

    async def send(self, content: bytes) -> None:
        # Before, not after: sending may wake the remote, and the answer be there before we get to run again.
        self._clock.sent()
        await asyncio.get_running_loop().sock_sendall(self._opened(), content)

    async def receive(self) -> bytes:
        """At most READ_BYTES; empty at the end of the stream.

        Between two reads others get to run, deadlines included: a remote that sends faster than we read must not keep
        them waiting.
        """
        sock = self._opened()
        if self._read_at_once:
            await asyncio.sleep(0)
        self._read_at_once = True
        while True:
            try:
                content, ancillary, _, _ = sock.recvmsg(READ_BYTES, peer_clock.ANCILLARY_BYTES)
            except BlockingIOError:
                self._read_at_once = False
                await self._readable(sock)
            else:
                self._clock.arrived(peer_clock.queueing_delay(ancillary))
                return content

    async def _readable(self, sock: socket.socket) -> None:
        """The event loop goes on watching the socket, until something arrives that nobody waits for."""
        loop = asyncio.get_running_loop()
        self._waiting, self._spurious_wakeups = loop.create_future(), 0
        if not self._watched:
            loop.add_reader(sock.fileno(), self._arrived)
            self._watched = True
        try:
            await self._waiting
        except asyncio.CancelledError:
            self._clock.gave_up()
            raise
        finally:
            self._waiting = None

    def _arrived(self) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)
        self._spurious_wakeups += self._waiting is None
        if self._spurious_wakeups > 1:  # the first time may still be about what was read a moment ago
            self._unwatch()

    def _unwatch(self) -> None:
        if self._socket and self._watched:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._watched = False

    def close(self) -> None:
        self._unwatch()
        if self._socket:
            self._socket.close()
            self._socket = None

    def _opened(self) -> socket.socket:
        if self._socket is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._socket
