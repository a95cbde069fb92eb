"""The listening sockets, which are bound before anything else starts."""

import errno
import os
import socket
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from exporter.config import ALL_ADDRESSES, HostPort, ListenAddress, UnixPath
from exporter.web.connection import client_network

_ERRNO_ADVICE = {
    errno.EADDRINUSE: "another program is already listening there: stop it, or choose another address",
    errno.EADDRNOTAVAIL: "this machine does not have the address: choose one that it has, or 0.0.0.0 or [::] for all",
    errno.EACCES: "ports below 1024 require privileges: choose a higher port",
}
CHOOSE_ADDRESS = "choose the address with --web.listen-address, or with `web.listen` in the configuration"

Listen: TypeAlias = ListenAddress | socket.socket
"""An address to listen on, or a socket that listens already."""

_SOCKET_MODE = 0o666  # as for a port: the folder decides who may connect

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

    def __init__(self, listening: socket.socket, own_file: Path | None = None) -> None:
        """`own_file` is removed when the socket is closed."""
        super().__init__(fileno=listening.detach())
        self._own_file = own_file
        self.pending: dict[int, Pending] = {}
        """By file descriptor, the oldest first. The server removes a connection once it is established."""

    def __repr__(self) -> str:
        address = "closed" if self.fileno() < 0 else describe([self])
        return f"<{type(self).__name__} {address}: {len(self.pending)} pending>"

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and close another one if too many are pending then."""
        connection, address = super().accept()
        client = address[:2] if isinstance(address, tuple) else None
        self.pending = {number: each for number, each in self.pending.items() if each.connection.fileno() == number}
        if len(self.pending) >= MAX_PENDING:
            self._drop_one()
        self.pending[connection.fileno()] = Pending(connection, client_network(client))
        return connection, address

    def close(self) -> None:
        super().close()
        if self._own_file:
            self._own_file.unlink(missing_ok=True)

    def _drop_one(self) -> None:
        """Shut a connection down. The event loop then reads the end of the stream, and closes it."""
        by_network = Counter(each.network for each in self.pending.values())
        busiest = max(by_network, key=lambda network: by_network[network])
        descriptor = next(number for number, each in self.pending.items() if each.network == busiest)
        with suppress(OSError):  # the client may have disconnected
            self.pending.pop(descriptor).connection.shutdown(socket.SHUT_RDWR)


class ListenError(Exception):
    """The exporter cannot listen on an address. The message says which address, why, and what to do."""


def bind(addresses: Iterable[Listen], advice: str = CHOOSE_ADDRESS) -> list[ListeningSocket]:
    """Bind all addresses or none. Raises ListenError, whose message ends with the advice.

    Clients can connect as soon as this returns; they wait until a server accepts their connections.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(_open_listener(address, advice)) for address in addresses]
        stack.pop_all()
    return sockets


def _open_listener(listen: Listen, advice: str) -> ListeningSocket:
    try:
        match listen:
            case UnixPath(path):
                return _listen_on_file(Path(path))
            case HostPort(host, port):
                return ListeningSocket(_listen_on_host(host, port))
        return _adopt(listen)
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: the name is not valid in DNS
        raise ListenError(f"cannot listen on {listen}: the name does not resolve ({advice})") from error
    except OSError as error:
        reason = _ERRNO_ADVICE.get(error.errno or 0, os.strerror(error.errno or 0))
        raise ListenError(f"cannot listen on {listen}: {reason} ({advice})") from error


def _listen_on_host(host: str, port: int) -> socket.socket:
    """If a name has several addresses, bind one of them, preferably an IPv4 address."""
    if host == ALL_ADDRESSES and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = min(found, key=lambda candidate: candidate[0] != socket.AF_INET)
    return socket.create_server(address[:2], family=family)


def _listen_on_file(path: Path) -> ListeningSocket:
    """A file that a killed exporter has left behind is replaced."""
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket(socket.AF_UNIX))
        try:
            sock.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_left_behind(path):
                raise
            path.unlink()
            sock.bind(str(path))
        path.chmod(_SOCKET_MODE)
        sock.listen()
        stack.pop_all()
    return ListeningSocket(sock, path)


def _is_left_behind(path: Path) -> bool:
    """Whether the file is a socket on which nobody listens."""
    with socket.socket(socket.AF_UNIX) as client:
        return path.is_socket() and client.connect_ex(str(path)) == errno.ECONNREFUSED


def _adopt(sock: socket.socket) -> ListeningSocket:
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ListenError(f"cannot listen on the socket {sock.getsockname()}: it does not accept connections")
    return ListeningSocket(sock)


def bound_address(sock: socket.socket) -> HostPort:
    """Return the address of a socket that has a port, with the real port if it was bound to port 0."""
    host, port, *_ = sock.getsockname()
    return HostPort(host, port)


def bound_addresses(sockets: Iterable[socket.socket]) -> tuple[HostPort, ...]:
    """Return the addresses of those sockets that have a port."""
    return tuple(bound_address(sock) for sock in sockets if sock.family != socket.AF_UNIX)


def describe(sockets: Iterable[socket.socket]) -> str:
    """Return where the sockets listen, for the log."""
    return ", ".join(
        str(UnixPath(sock.getsockname()) if sock.family == socket.AF_UNIX else bound_address(sock)) for sock in sockets
    )
