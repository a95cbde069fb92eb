"""Ports that fail below HTTP: a closed one, one behind a firewall, and one that speaks plain HTTP."""

import asyncio
import socket

from exporter.demo.authority import Authority
from exporter.demo.listener import LOOPBACK, Listener, Port

FIRST_BYTES = 65536  # as much as is read of what a client sends first
_FILLERS = 4  # more than an accept queue of length 0 holds
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class ClosedPort:
    """A port that is bound, so that no other program gets it, but does not listen: the kernel refuses connections."""

    def __init__(self) -> None:
        self.address = ""

    async def start(self) -> None:
        self._socket = socket.socket()
        self._socket.bind((LOOPBACK, 0))
        self.address = f"{LOOPBACK}:{self._socket.getsockname()[1]}"

    async def stop(self) -> None:
        self._socket.close()


class _BlackHole:
    """A port that listens with an accept queue that is already full: Linux then drops every SYN silently."""

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


async def answer_in_plain_http(accepted: socket.socket) -> None:
    """Respond with status 400 to the first bytes of the client."""
    loop = asyncio.get_running_loop()
    await loop.sock_recv(accepted, FIRST_BYTES)
    await loop.sock_sendall(accepted, _BAD_REQUEST)


# ---------------------------------------------------------------- what a table of servers names


def refuse_connections(_: Authority) -> Port:
    return ClosedPort()


def drop_packets(_: Authority) -> Port:
    return _BlackHole()


def speak_plain_http(_: Authority) -> Port:
    return Listener(answer_in_plain_http)
