"""What this process does with its sockets, seen by Python's own audit events (PEP 578): nothing gets past them."""

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

OS_LOOKUPS: Final = frozenset(
    {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}
)
"""By which the operating system is asked, which reads "127.1" and "2130706433" as addresses."""


@dataclass(slots=True)
class Wire:
    dialled: set[tuple[str, int]] = field(default_factory=set)
    """Where a TCP socket was to be connected. Beyond loopback none is, of whatever kind."""
    looked_up: set[str] = field(default_factory=set)
    """What the operating system was asked for."""

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        if event in OS_LOOKUPS:
            self.looked_up.add(str(args[0]))
        elif event == "socket.connect" and args[0].family != socket.AF_UNIX:
            ip, port = args[1][:2]
            if args[0].type == socket.SOCK_STREAM:
                self.dialled.add((ip, port))
            if not ip_address(ip).is_loopback:
                raise OSError(errno.ENETUNREACH, "the tests do not leave this machine")


watching: Final[list[Wire]] = []


def hook(event: str, args: tuple[Any, ...]) -> None:
    for wire in watching:
        wire.note(event, args)


sys.addaudithook(hook)  # for good: there is no way to remove one


@contextmanager
def watched() -> Iterator[Wire]:
    wire = Wire()
    watching.append(wire)
    try:
        yield wire
    finally:
        watching.remove(wire)
