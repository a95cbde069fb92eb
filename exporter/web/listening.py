"""The sockets on which the exporter listens: bound before anything else begins."""

import errno
import os
import socket
from collections.abc import Iterable
from contextlib import ExitStack

from exporter.config import Place

ADVICE = {
    errno.EADDRINUSE: "another program listens there already: stop it, or choose another address",
    errno.EADDRNOTAVAIL: "this machine does not have the address: choose one that it has, or 0.0.0.0 or [::] for all",
    errno.EACCES: "ports below 1024 are for privileged programs: choose a higher one",
}
CHOOSE = "choose the address with --web.listen-address, or with `web.listen` in the configuration"


class ListenError(Exception):
    """An address that cannot be had; the message says which one, why, and what to do."""


def bind(places: Iterable[Place]) -> list[socket.socket]:
    """All of them, or none. From now on clients can connect; they wait until they are served. Raises ListenError."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(listening(place)) for place in places]
        stack.pop_all()
    return sockets


def listening(place: Place) -> socket.socket:
    """Where a name stands for several addresses, one is chosen, IPv4 first."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(found, key=lambda candidate: candidate[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family)
    except (socket.gaierror, UnicodeError) as error:  # the latter where DNS could not hold the name
        raise ListenError(f"cannot listen on {place}: the name is not known ({CHOOSE})") from error
    except OSError as error:
        reason = ADVICE.get(error.errno or 0, os.strerror(error.errno or 0))
        raise ListenError(f"cannot listen on {place}: {reason} ({CHOOSE})") from error


def place_of(sock: socket.socket) -> Place:
    host, port, *_ = sock.getsockname()
    return Place(host, port)
