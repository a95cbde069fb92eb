"""The sockets on which the exporter listens: bound before anything else begins."""

import errno
import math
import os
import socket
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Any

from exporter.config import HostPort
from exporter.probing.problems import RESOURCE_ERRNOS

_ERRNO_ADVICE = {
    errno.EADDRINUSE: "another program listens there already: stop it, or choose another address",
    errno.EADDRNOTAVAIL: "this machine does not have the address: choose one that it has, or 0.0.0.0 or [::] for all",
    errno.EACCES: "ports below 1024 are for privileged programs: choose a higher one",
}
HOW_TO_CHOOSE = "choose the address with --web.listen-address, or with `web.listen` in the configuration"


SHORT_SECONDS = 0.5  # in which the event loop is told of a shortage once; it tries again after a second
MAX_WAITING = 64  # connections at a listener; a handshake takes some milliseconds, or it stalls


class ListeningSocket(socket.socket):
    """A listening socket. Clients wait at it until their TLS handshake is done, those without TLS hardly at all.

    Where too many wait, the one that has waited longest is sent away: descriptors are finite, and probes need them.
    """

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(fileno=listening.detach())
        self.waiting: dict[int, socket.socket] = {}
        """By descriptor, the longest waiting first. Whoever lets a client in takes it out."""
        self._short_until = -math.inf

    def accept(self) -> tuple[socket.socket, Any]:
        """Asyncio answers a shortage with a traceback, and tries on for every place in the backlog: for the second try
        there is nobody at the listener.
        """
        if time.monotonic() < self._short_until:
            raise BlockingIOError
        try:
            connection, address = super().accept()
        except OSError as error:
            if error.errno in RESOURCE_ERRNOS:
                self._short_until = time.monotonic() + SHORT_SECONDS
            raise
        self.waiting = {number: one for number, one in self.waiting.items() if one.fileno() == number}
        if len(self.waiting) >= MAX_WAITING:
            self._drop(next(iter(self.waiting)))
        self.waiting[connection.fileno()] = connection
        return connection, address

    def _drop(self, descriptor: int) -> None:
        """The event loop, which reads from it, finds the end of what it sent."""
        with suppress(OSError):  # it may have left
            self.waiting.pop(descriptor).shutdown(socket.SHUT_RDWR)


class ListenError(Exception):
    """An address that cannot be had; the message says which one, why, and what to do."""


def bind(places: Iterable[HostPort]) -> list[ListeningSocket]:
    """All of them, or none. From now on clients can connect; they wait until they are served. Raises ListenError."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(_open_listener(place)) for place in places]
        stack.pop_all()
    return sockets


def _open_listener(place: HostPort) -> ListeningSocket:
    """Where a name stands for several addresses, one is chosen, IPv4 first."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(found, key=lambda candidate: candidate[0] != socket.AF_INET)
        return ListeningSocket(socket.create_server(address[:2], family=family))
    except (socket.gaierror, UnicodeError) as error:  # the latter where DNS could not hold the name
        raise ListenError(f"cannot listen on {place}: the name is not known ({HOW_TO_CHOOSE})") from error
    except OSError as error:
        reason = _ERRNO_ADVICE.get(error.errno or 0, os.strerror(error.errno or 0))
        raise ListenError(f"cannot listen on {place}: {reason} ({HOW_TO_CHOOSE})") from error


def bound_address(sock: socket.socket) -> HostPort:
    host, port, *_ = sock.getsockname()
    return HostPort(host, port)
