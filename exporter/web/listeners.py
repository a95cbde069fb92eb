"""The listening sockets, which are bound before anything else starts."""

import errno
import math
import os
import socket
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Any

from exporter.config import HostPort
from exporter.probing.problems import missing_resource

_ERRNO_ADVICE = {
    errno.EADDRINUSE: "another program is already listening there: stop it, or choose another address",
    errno.EADDRNOTAVAIL: "this machine does not have the address: choose one that it has, or 0.0.0.0 or [::] for all",
    errno.EACCES: "ports below 1024 require privileges: choose a higher port",
}
CHOOSE_ADDRESS = "choose the address with --web.listen-address, or with `web.listen` in the configuration"


SHORTAGE_SECONDS = 0.5  # a shortage is reported once in this time; the event loop tries again after a second
MAX_PENDING = 64  # connections per socket; a handshake takes a few milliseconds, unless the client stalls


class ListeningSocket(socket.socket):
    """A listening socket that limits the number of pending connections.

    A connection is pending until its TLS handshake is complete; without TLS, it is pending only for a moment. When too
    many are pending, the one that has been pending for longest is closed, because file descriptors are limited and
    probes need them.
    """

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(fileno=listening.detach())
        self.pending: dict[int, socket.socket] = {}
        """By file descriptor, the oldest first. The server removes a connection once it is established."""
        self._shortage_until = -math.inf

    def __repr__(self) -> str:
        address = "closed" if self.fileno() < 0 else bound_address(self)
        return f"<{type(self).__name__} {address}: {len(self.pending)} pending>"

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection, as asyncio does in a loop of as many rounds as the backlog is long.

        There are three cases:

        - A connection is accepted. If too many are pending then, the oldest one is closed.
        - Descriptors or memory are short. This raises OSError once, which asyncio logs with a traceback.
        - They were short a moment ago. This raises BlockingIOError, as if there were no connection, and so ends the
          loop of asyncio, which would otherwise log a traceback in every round.
        """
        if time.monotonic() < self._shortage_until:
            raise BlockingIOError
        try:
            connection, address = super().accept()
        except OSError as error:
            if missing_resource(error):
                self._shortage_until = time.monotonic() + SHORTAGE_SECONDS
            raise
        self.pending = {number: each for number, each in self.pending.items() if each.fileno() == number}
        if len(self.pending) >= MAX_PENDING:
            self._drop(next(iter(self.pending)))
        self.pending[connection.fileno()] = connection
        return connection, address

    def _drop(self, descriptor: int) -> None:
        """Shut the connection down. The event loop then reads the end of the stream, and closes it."""
        with suppress(OSError):  # the client may have disconnected
            self.pending.pop(descriptor).shutdown(socket.SHUT_RDWR)


class ListenError(Exception):
    """The exporter cannot listen on an address. The message says which address, why, and what to do."""


def bind(addresses: Iterable[HostPort]) -> list[ListeningSocket]:
    """Bind all addresses or none. Raises ListenError.

    Clients can connect as soon as this returns; they wait until a server accepts their connections.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(_open_listener(address)) for address in addresses]
        stack.pop_all()
    return sockets


def _open_listener(listen: HostPort) -> ListeningSocket:
    """If a name has several addresses, bind one of them, preferably an IPv4 address."""
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(found, key=lambda candidate: candidate[0] != socket.AF_INET)
        return ListeningSocket(socket.create_server(address[:2], family=family))
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: the name is not valid in DNS
        raise ListenError(f"cannot listen on {listen}: the name does not resolve ({CHOOSE_ADDRESS})") from error
    except OSError as error:
        reason = _ERRNO_ADVICE.get(error.errno or 0, os.strerror(error.errno or 0))
        raise ListenError(f"cannot listen on {listen}: {reason} ({CHOOSE_ADDRESS})") from error


def bound_address(sock: socket.socket) -> HostPort:
    """Return the address of a bound socket, with the real port if it was bound to port 0."""
    host, port, *_ = sock.getsockname()
    return HostPort(host, port)
