"""A TCP connection on a plain non-blocking socket, so that data can be received with the kernel's timestamps."""

import asyncio
import errno
import os
import socket
import struct
from contextlib import closing, suppress
from typing import Final, TypeAlias

from exporter.internet import peer_clock
from exporter.internet.peer_clock import PeerClock
from exporter.model.addresses import IPAddress
from exporter.probing.network import FirewallRejectError, NoFreePortError

READ_BYTES = 16 * 1024  # one TLS record
_MAX_UNEXPECTED_WAKEUPS = 1  # the first one may still be about data that was read a moment ago

IPEndpoint: TypeAlias = tuple[IPAddress, int]
"""An IP address and a port."""

_UNREACHABLE_IPV4 = 3  # the type of the ICMP message (RFC 792)
_PROHIBITED_IPV4: Final = {9, 10, 13}  # its codes: network, host, or communication "administratively prohibited"
_IP_RECVERR, _FROM_ICMP = 11, 2  # of Linux; `socket` does not name them before Python 3.14
_EXTENDED_ERROR: Final = struct.Struct("=IBBBxII")  # struct sock_extended_err; the address of the sender follows
_SENDER: Final = slice(_EXTENDED_ERROR.size + 4, _EXTENDED_ERROR.size + 8)


class TcpStream:
    """The bytes of one TCP connection. `clock` measures how long the peer kept us waiting."""

    def __init__(self, clock: PeerClock) -> None:
        self._clock = clock
        self._socket: socket.socket | None = None
        self._is_watched = False
        """Whether the event loop calls `_on_readable`."""
        self._waiter: asyncio.Future[None] | None = None
        """Set while `receive` waits for data, as in asyncio's streams."""
        self._unexpected_wakeups = 0
        """How often the event loop has reported data since `receive` last waited."""
        self._yield_before_read = False
        self._unread = b""

    def __repr__(self) -> str:
        state = "closed" if self._socket is None else f"open, fd {self._socket.fileno()}"
        return f"<TcpStream: {state}{', waiting' if self._waiter else ''}>"

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    async def open(self, endpoint: IPEndpoint) -> None:
        """Connect. Raises FirewallRejectError, NoFreePortError or another OSError."""
        family = socket.AF_INET6 if endpoint[0].version == 6 else socket.AF_INET
        self._socket = sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer_clock.enable_timestamps(sock)
        self._clock.start_wait()
        try:
            await connect(sock, endpoint)
        except BaseException as error:
            self._clock.wait_cancelled()
            if isinstance(error, OSError) and (rejection := _rejection(sock, error)):
                raise FirewallRejectError(rejection) from error
            raise
        self._clock.connection_made(peer_clock.round_trip(sock))

    async def send(self, content: bytes) -> None:
        # Before sending, not after: sending may wake the peer up, and its answer arrive before this task runs again.
        self._clock.start_wait()
        await asyncio.get_running_loop().sock_sendall(self._connected_socket(), content)

    async def receive(self) -> bytes:
        """Return at most READ_BYTES bytes; none at the end of the stream.

        Between two reads other tasks and timers run: a peer that sends faster than we read must not hold up deadlines.
        """
        sock = self._connected_socket()
        if self._unread:
            content, self._unread = self._unread, b""
            return content
        if self._yield_before_read:
            await asyncio.sleep(0)
        self._yield_before_read = True
        while True:
            try:
                content, ancillary, _, _ = sock.recvmsg(READ_BYTES, peer_clock.ANCILLARY_BYTES)
            except BlockingIOError:
                self._yield_before_read = False
                await self._wait_until_readable(sock)
            else:
                self._clock.data_received(peer_clock.queueing_delay(ancillary))
                return content

    def unread(self, content: bytes) -> None:
        """Let the next `receive` return what was received beyond the end of a proxy's response."""
        self._unread = content

    async def _wait_until_readable(self, sock: socket.socket) -> None:
        """Wait for data. The event loop goes on watching the socket afterwards, until data arrives unexpectedly."""
        loop = asyncio.get_running_loop()
        self._waiter, self._unexpected_wakeups = loop.create_future(), 0
        if not self._is_watched:
            loop.add_reader(sock.fileno(), self._on_readable)
            self._is_watched = True
        try:
            await self._waiter
        except asyncio.CancelledError:
            self._clock.wait_cancelled()
            raise
        finally:
            self._waiter = None

    def _on_readable(self) -> None:
        """Wake `receive` up. If it is not waiting, the event loop would report the same data again and again."""
        if self._waiter:
            _end_wait(self._waiter)
        self._unexpected_wakeups += self._waiter is None
        if self._unexpected_wakeups > _MAX_UNEXPECTED_WAKEUPS:
            self._stop_watching()

    def _stop_watching(self) -> None:
        if self._socket and self._is_watched:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._is_watched = False

    def close(self) -> None:
        self._stop_watching()
        self._unread = b""
        if self._socket:
            self._socket.close()
            self._socket = None

    def _connected_socket(self) -> socket.socket:
        if self._socket is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._socket


async def connect(sock: socket.socket, endpoint: IPEndpoint) -> None:
    """Connect a non-blocking socket. Raises NoFreePortError or another OSError."""
    try:
        await _connect(sock, endpoint)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL and not _has_free_port(sock.family):
            raise NoFreePortError(error.errno, error.strerror) from error
        raise


async def _connect(sock: socket.socket, endpoint: IPEndpoint) -> None:
    """Do the same as `sock_connect` of the event loop, with which uvloop looks up even an IP address in a thread."""
    with suppress(BlockingIOError):  # ends here: an error that is raised within it would keep this one and its frames
        sock.connect((str(endpoint[0]), endpoint[1]))
        return
    await _wait_until_writable(sock)
    if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))


async def _wait_until_writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    writable = loop.create_future()
    loop.add_writer(sock.fileno(), _end_wait, writable)
    try:
        await writable
    finally:
        loop.remove_writer(sock.fileno())


def _end_wait(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _has_free_port(family: int) -> bool:
    """Whether this machine has a local port left. If not, a connection fails as if there were no address of the family,
    and only an attempt to bind a socket tells the two apart.
    """
    with closing(socket.socket(family, socket.SOCK_STREAM)) as sock:
        try:
            sock.bind(("", 0))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def _rejection(sock: socket.socket, error: OSError) -> str | None:
    """Return what a firewall said by ICMP, if it is why a connection failed. There are two cases:

    - IPv6: the kernel has an error number for that.
    - IPv4: it has one for everything that is unreachable, and since Linux 5.11 keeps the message in the error queue.
    """
    if sock.family == socket.AF_INET6:
        return "a firewall rejects it (ICMPv6: administratively prohibited)" if error.errno == errno.EACCES else None
    if error.errno not in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return None
    with suppress(OSError):
        _, ancillary, _, _ = sock.recvmsg(0, socket.CMSG_SPACE(64), socket.MSG_ERRQUEUE)
        for level, kind, content in ancillary:
            if (level, kind) == (socket.IPPROTO_IP, _IP_RECVERR) and len(content) >= _SENDER.stop:
                _, origin, icmp_type, code, _, _ = _EXTENDED_ERROR.unpack_from(content)
                if (origin, icmp_type) == (_FROM_ICMP, _UNREACHABLE_IPV4) and code in _PROHIBITED_IPV4:
                    sender = socket.inet_ntoa(content[_SENDER])
                    return f"a firewall rejects it: {sender} answers that it is administratively prohibited (ICMP)"
    return None
