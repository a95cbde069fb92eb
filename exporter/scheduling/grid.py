"""The times at which servers are due. Pure.

A server has a phase, which is derived from a hash of its name. It is due whenever the time since the epoch is the phase
modulo its interval. So probes are spread evenly, and keep their times over reloads and restarts.

Phases are whole ticks. Among thousands of servers, a few are due at each tick: probes that run together take less CPU
time than one after the other, as code and data are still in the caches, and APScheduler wakes up once for all of them.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from exporter.model.names import ServerName
from exporter.model.servers import WatchedServer

TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class ScheduleChanges:
    """The differences between two sets of watched servers that matter to the schedule."""

    added: tuple[WatchedServer, ...]
    rescheduled: tuple[WatchedServer, ...]
    """Servers whose interval has changed."""
    removed: tuple[ServerName, ...]


def diff(intervals: Mapping[ServerName, float], new: Iterable[WatchedServer]) -> ScheduleChanges:
    """Return how servers differ from those that have been watched, at these intervals."""
    after = {server.server_name: server for server in new}
    return ScheduleChanges(
        added=tuple(server for name, server in after.items() if name not in intervals),
        rescheduled=tuple(
            server for name, server in after.items() if intervals.get(name, server.interval) != server.interval
        ),
        removed=tuple(name for name in intervals if name not in after),
    )


def fraction(name: ServerName, purpose: bytes = b"") -> float:
    """Return a number from 0 to 1, evenly distributed over all names, which never changes for a name and a purpose."""
    digest = hashlib.sha256(name.text.encode() + purpose).digest()
    return int.from_bytes(digest[:8]) / 2**64


def tick(when: float) -> float:
    """Return the latest tick that is not after `when`."""
    return math.floor(when / TICK_SECONDS) * TICK_SECONDS


def order(server: WatchedServer) -> tuple[float, float]:
    """Return a key that sorts servers so that those that are due one after the other are next to each other."""
    return server.interval, fraction(server.server_name)


@dataclass(frozen=True, slots=True)
class Grid:
    """The times at which a server is due: `phase` seconds after each multiple of `interval` since the epoch."""

    interval: float
    phase: float

    @classmethod
    def of(cls, server: WatchedServer) -> Self:
        return cls(server.interval, tick(fraction(server.server_name) * server.interval))

    def at_or_after(self, when: float) -> float:
        """Return the first due time that is not before `when`."""
        return self.phase + math.ceil((when - self.phase) / self.interval) * self.interval

    def following(self, start: float) -> float:
        """Return the due time after a start, which may be off the grid: at least half an interval later."""
        return self.at_or_after(start + self.interval / 2)

    def skipped_between(self, due: float, following: float) -> int:
        """Return how many due times were skipped because a probe that was due at `due` started late.

        On the grid, the intervals in between less one. A first probe that is off the grid is followed after half an
        interval to one and a half, and a little more if it started a little late: no due time is skipped by that.
        """
        return max(0, math.floor((following - due) / self.interval - 0.75))

    def missed_by(self, due: float, now: float) -> int:
        """Return how many due times there were from `due` until `now`, both included."""
        return max(0, math.floor((now - due) / self.interval) + 1)
