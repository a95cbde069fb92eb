"""How long a peer kept us waiting, without the time for which our own process was busy.

On a busy event loop, a response may stay in the socket's receive queue for a while before it is read. The kernel knows
when it arrived: Linux timestamps received data (SO_TIMESTAMPNS) and measures the round trip of the TCP handshake
(TCP_INFO).
"""

import socket
import struct
import sys
import time
from collections.abc import Iterable
from typing import TypeAlias

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
TIMESPEC = struct.Struct("@ll")
ANCILLARY_BYTES = socket.CMSG_SPACE(TIMESPEC.size)

_TCP_INFO_RTT = struct.Struct("=68xI28xI")  # tcpi_rtt in microseconds and tcpi_total_retrans (linux/tcp.h)

Ancillary: TypeAlias = Iterable[tuple[int, int, bytes]]
"""The ancillary data that `socket.recvmsg` returns: level, type and data of each item."""


def enable_timestamps(sock: socket.socket) -> None:
    """Let the kernel timestamp received data. Where it cannot, the time of reading is used instead."""
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def queueing_delay(ancillary: Ancillary) -> float:
    """Return for how many seconds received data was in the receive queue; 0 if the kernel did not timestamp it."""
    for level, cmsg_type, content in ancillary:
        if (level, cmsg_type) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(content) == TIMESPEC.size:
            seconds, nanoseconds = TIMESPEC.unpack(content)
            return max(0.0, time.time() - float(seconds + nanoseconds / 1e9))
    return 0.0


def round_trip(sock: socket.socket) -> float | None:
    """Return for how many seconds the TCP handshake took.

    Returns None if the kernel does not report it, or had to retransmit a packet.
    """
    if sys.platform != "linux":
        return None
    microseconds: int
    retransmissions: int
    microseconds, retransmissions = _TCP_INFO_RTT.unpack(
        sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_RTT.size)
    )
    return None if retransmissions or not microseconds else microseconds / 1e6


class PeerClock:
    """Adds up the time between what we send and the arrival of what the peer sends back, in seconds.

    The wait of a peer begins when data is sent or a connection is attempted. It ends in one of three ways: the
    connection is made, data is received, or the wait is cancelled.
    """

    def __init__(self) -> None:
        self._waited = 0.0
        self._since = time.monotonic()

    def __repr__(self) -> str:
        return f"<PeerClock: waited {self._waited:.3f} s>"

    def peer_wait(self) -> float:
        """Return the sum so far, in seconds."""
        return self._waited

    def start_wait(self) -> None:
        """Begin to wait for the peer: something is about to be sent."""
        self._since = time.monotonic()

    def connection_made(self, handshake_seconds: float | None) -> None:
        """End the wait for the TCP handshake, whose duration the kernel may have measured better than we did."""
        elapsed = time.monotonic() - self._since
        self._waited += elapsed if handshake_seconds is None else min(handshake_seconds, elapsed)

    def data_received(self, delay: float) -> None:
        """End a wait: data arrived `delay` seconds ago. Until something is sent, the wait for more data goes on."""
        arrived_at = max(self._since, time.monotonic() - delay)
        self._waited += arrived_at - self._since
        self._since = arrived_at

    def wait_cancelled(self) -> None:
        """End a wait in which nothing arrived: all the time until now counts."""
        self.data_received(delay=0.0)

    def rewind_to(self, peer_wait: float) -> None:
        """Forget the waits since `peer_wait()` returned this value: no stage is charged for them."""
        self._waited = peer_wait
