"""A TCP connection as a plain non-blocking socket, so that received data can be read with the kernel's timestamps."""

import asyncio
import errno
import os
import socket

from exporter.internet import peer_clock
from exporter.internet.peer_clock import PeerClock
from exporter.model import IPAddress

READ_BYTES = 16 * 1024  # one TLS record


class TcpStream:
    def __init__(self, clock: PeerClock) -> None:
        self._clock = clock
        self._socket: socket.socket | None = None

    async def open(self, ip: IPAddress, port: int) -> None:
        """Raises OSError."""
        family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
        self._socket = sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer_clock.ask_for_timestamps(sock)
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

        Others get to run first, deadlines included: a remote that sends faster than we read must not keep them waiting.
        """
        sock = self._opened()
        await asyncio.sleep(0)
        while True:
            try:
                content, ancillary, _, _ = sock.recvmsg(READ_BYTES, peer_clock.ANCILLARY_BYTES)
            except BlockingIOError:
                await self._readable(sock)
            else:
                self._clock.arrived(peer_clock.lay_in_the_socket(ancillary))
                return content

    async def _readable(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(sock, ready.set)
        try:
            await ready.wait()
        except asyncio.CancelledError:
            self._clock.gave_up()
            raise
        finally:
            loop.remove_reader(sock)

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _opened(self) -> socket.socket:
        if self._socket is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._socket
