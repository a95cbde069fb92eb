"""Ports that misbehave below HTTP. One more fault is one more member, and its line in FAULTS."""

import asyncio
import socket
import struct
from collections.abc import Callable
from enum import StrEnum
from functools import partial

from exporter.demo.listener import LOOPBACK, Listener, Port

_FILLERS = 4  # more than an accept queue of length 0 holds
FIRST_BYTES = 65536
_WITHOUT_LINGERING = struct.pack("ii", 1, 0)  # struct linger: on, for 0 seconds, so that closing sends RST
_NO_ROUTE = (
    "255.255.255.255:8448"  # TCP refuses to connect to a broadcast address, and sends nothing (RFC 1122, 4.2.3.10)
)
_UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x02\x70"  # a fatal alert (RFC 8446, section 6; RFC 6066, section 3)
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Fault(StrEnum):
    CONNECTION_REFUSED = "connection_refused"
    BLACK_HOLE = "black_hole"
    """Connecting is never answered."""
    UNREACHABLE = "unreachable"
    """The kernel knows no way there."""
    RESET = "reset"
    """RST as soon as the connection is made."""
    NAME_REFUSED = "name_refused"
    """TLS is refused, as nginx does for names that it does not know (`ssl_reject_handshake`)."""
    PLAIN_HTTP = "plain_http"
    """An answer in plain HTTP, whatever comes."""
    STALL = "stall"
    """The connection is made, and nothing is said."""


class ClosedPort:
    """Bound, so that nobody else gets it, but not listening: the kernel refuses connections."""

    def __init__(self) -> None:
        self.address = ""

    async def start(self) -> None:
        self._socket = socket.socket()
        self._socket.bind((LOOPBACK, 0))
        self.address = f"{LOOPBACK}:{self._socket.getsockname()[1]}"

    async def stop(self) -> None:
        self._socket.close()


class _BlackHole:
    """Listens with an accept queue that is full already: Linux then drops every SYN without a word."""

    def __init__(self) -> None:
        self.address = ""

    async def start(self) -> None:
        listening = socket.create_server((LOOPBACK, 0), backlog=0)
        port = listening.getsockname()[1]
        self._sockets = [listening, *(_filler(port) for _ in range(_FILLERS))]
        self.address = f"{LOOPBACK}:{port}"

    async def stop(self) -> None:
        for held in self._sockets:
            held.close()


def _filler(port: int) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
    client.connect_ex((LOOPBACK, port))
    return client


class _NoRoute:
    address = _NO_ROUTE

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def reset(accepted: socket.socket) -> None:
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _WITHOUT_LINGERING)


async def _answer_with(answer: bytes, accepted: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_recv(accepted, FIRST_BYTES)
    await loop.sock_sendall(accepted, answer)


async def _stall(accepted: socket.socket) -> None:  # noqa: ARG001 - nothing is done with it, on purpose
    await asyncio.Event().wait()


FAULTS: dict[Fault, Callable[[], Port]] = {
    Fault.CONNECTION_REFUSED: ClosedPort,
    Fault.BLACK_HOLE: _BlackHole,
    Fault.UNREACHABLE: _NoRoute,
    Fault.RESET: partial(Listener, reset),
    Fault.NAME_REFUSED: partial(Listener, partial(_answer_with, _UNRECOGNIZED_NAME)),
    Fault.PLAIN_HTTP: partial(Listener, partial(_answer_with, _BAD_REQUEST)),
    Fault.STALL: partial(Listener, _stall),
}
