"""The listening sockets, which are bound before anything else starts."""

import errno
import os
import socket
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

from exporter.config import HostPort
from exporter.web.connection import client_network

_ERRNO_ADVICE = {
    errno.EADDRINUSE: "another program is already listening there: stop it, or choose another address",
    errno.EADDRNOTAVAIL: "this machine does not have the address: choose one that it has, or 0.0.0.0 or [::] for all",
    errno.EACCES: "ports below 1024 require privileges: choose a higher port",
}
CHOOSE_ADDRESS = "choose the address with --web.listen-address, or with `web.listen` in the configuration"

MAX_PENDING = 64  # connections per socket; a handshake takes a few milliseconds, unless the client stalls


class Pending(NamedTuple):
    """A connection whose handshake is not complete."""

    connection: socket.socket
    network: str
    """That of its client."""


class ListeningSocket(socket.socket):
    """A listening socket that limits the number of pending connections.

    A connection is pending until its TLS handshake is complete; without TLS, it is pending only for a moment. When too
    many are pending, one is closed, because file descriptors are limited and probes need them: of the client network
    that has the most, the one that has been pending for longest.
    """

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(fileno=listening.detach())
        self.pending: dict[int, Pending] = {}
        """By file descriptor, the oldest first. The server removes a connection once it is established."""

    def __repr__(self) -> str:
        address = "closed" if self.fileno() < 0 else bound_address(self)
        return f"<{type(self).__name__} {address}: {len(self.pending)} pending>"

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and close another one if too many are pending then."""
        connection, address = super().accept()
        self.pending = {number: each for number, each in self.pending.items() if each.connection.fileno() == number}
        if len(self.pending) >= MAX_PENDING:
            self._drop_one()
        self.pending[connection.fileno()] = Pending(connection, client_network(address[:2]))
        return connection, address

    def _drop_one(self) -> None:
        """Shut a connection down. The event loop then reads the end of the stream, and closes it."""
        by_network = Counter(each.network for each in self.pending.values())
        busiest = max(by_network, key=lambda network: by_network[network])
        descriptor = next(number for number, each in self.pending.items() if each.network == busiest)
        with suppress(OSError):  # the client may have disconnected
            self.pending.pop(descriptor).connection.shutdown(socket.SHUT_RDWR)


class ListenError(Exception):
    """The exporter cannot listen on an address. The message says which address, why, and what to do."""


def bind(addresses: Iterable[HostPort], advice: str = CHOOSE_ADDRESS) -> list[ListeningSocket]:
    """Bind all addresses or none. Raises ListenError, whose message ends with the advice.

    Clients can connect as soon as this returns; they wait until a server accepts their connections.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(_open_listener(address, advice)) for address in addresses]
        stack.pop_all()
    return sockets


def _open_listener(listen: HostPort, advice: str) -> ListeningSocket:
    """If a name has several addresses, bind one of them, preferably an IPv4 address."""
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(found, key=lambda candidate: candidate[0] != socket.AF_INET)
        return ListeningSocket(socket.create_server(address[:2], family=family))
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: the name is not valid in DNS
        raise ListenError(f"cannot listen on {listen}: the name does not resolve ({advice})") from error
    except OSError as error:
        reason = _ERRNO_ADVICE.get(error.errno or 0, os.strerror(error.errno or 0))
        raise ListenError(f"cannot listen on {listen}: {reason} ({advice})") from error


def bound_address(sock: socket.socket) -> HostPort:
    """Return the address of a bound socket, with the real port if it was bound to port 0."""
    host, port, *_ = sock.getsockname()
    return HostPort(host, port)
