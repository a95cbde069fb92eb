"""Records what this process does with its sockets, from Python's own audit events (PEP 578), which miss nothing."""

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

_LOOKUPS: Final = frozenset(
    {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}
)
"""Functions of the operating system, which accept "127.1" and "2130706433" as addresses."""


@dataclass(slots=True)
class SocketActivity:
    dialled: set[tuple[str, int]] = field(default_factory=set)
    """Where TCP sockets were to be connected. No socket of any kind is connected beyond loopback."""
    looked_up: set[str] = field(default_factory=set)
    """Names that the operating system was asked for."""

    def record(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _LOOKUPS:
            self.looked_up.add(str(args[0]))
        elif event == "socket.connect" and args[0].family != socket.AF_UNIX:
            ip, port = args[1][:2]
            if args[0].type == socket.SOCK_STREAM:
                self.dialled.add((ip, port))
            if not ip_address(ip).is_loopback:
                raise OSError(errno.ENETUNREACH, "the tests do not connect to other machines")


_recording: Final[list[SocketActivity]] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    for activity in _recording:
        activity.record(event, args)


sys.addaudithook(_audit)  # an audit hook cannot be removed


@contextmanager
def recorded_activity() -> Iterator[SocketActivity]:
    """Record everything that happens within `with`."""
    activity = SocketActivity()
    _recording.append(activity)
    try:
        yield activity
    finally:
        _recording.remove(activity)
