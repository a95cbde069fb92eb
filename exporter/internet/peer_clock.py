"""How long a remote kept us waiting, told apart from how long we kept ourselves busy.

On a loaded event loop an answer may lie in the socket for a while before anybody looks. The kernel knows when it came:
Linux stamps received data (SO_TIMESTAMPNS) and measures the round trip of the handshake (TCP_INFO).
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


def enable_timestamps(sock: socket.socket) -> None:
    """Where the kernel offers none, the time of reading is taken instead."""
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def queueing_delay(ancillary: Ancillary) -> float:
    """Seconds between the arrival of what was just received and now; 0 where the kernel does not say."""
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(content) == TIMESPEC.size:
            seconds, nanoseconds = TIMESPEC.unpack(content)
            return max(0.0, time.time() - float(seconds + nanoseconds / 1e9))
    return 0.0


def round_trip(sock: socket.socket) -> float | None:
    """Seconds that the TCP handshake took; none where the kernel does not say, or had to send a packet again."""
    if sys.platform != "linux":
        return None
    microseconds: int
    sent_again: int
    microseconds, sent_again = _TCP_INFO_RTT.unpack(
        sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_RTT.size)
    )
    return None if sent_again or not microseconds else microseconds / 1e6


class PeerClock:
    """Adds up the times between our sending and the arrival of what came back, in seconds."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._since = time.monotonic()

    def peer_wait(self) -> float:
        return self._waited

    def sent(self) -> None:
        """It is the remote's turn from now on."""
        self._since = time.monotonic()

    def arrived(self, delay: float) -> None:
        """Something came, `delay` seconds ago. What comes next without our sending continues the remote's turn."""
        at = max(self._since, time.monotonic() - delay)
        self._waited += at - self._since
        self._since = at

    def connected(self, trip: float | None) -> None:
        """The remote's turn was the TCP handshake, whose duration the kernel may know better."""
        elapsed = time.monotonic() - self._since
        self._waited += elapsed if trip is None else min(trip, elapsed)

    def gave_up(self) -> None:
        """We stopped waiting: the remote had all the time until now."""
        self.arrived(delay=0.0)

    def rewind_to(self, earlier: float) -> None:
        """What was peer_wait for since `peer_wait()` was `earlier` belongs to no stage."""
        self._waited = earlier
