"""Probes that several requests wait for, and what is registered about them while they last."""

import asyncio
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from exporter.model.names import ServerName
from exporter.model.report import Report

NEARLY_ALL = 0.95  # of the time that a probe could have: the rest may have been spent on waiting for a probe slot

FlightKey: TypeAlias = tuple[str, ServerName]
"""The group over whose network a server is probed, and the server: after a move, nobody joins a probe from before."""

_Entry = TypeVar("_Entry")


@dataclass(frozen=True, slots=True)
class _Shared:
    """What several requests may wait for."""

    deadline: float
    """On the event loop's clock; infinite if it has all the time that a probe may have."""

    def is_for(self, deadline: float) -> bool:
        """Whether it has as much time left as a request until this deadline, or nearly: otherwise it may time out where
        a probe of the request's own would not.
        """
        now = asyncio.get_running_loop().time()
        return self.deadline - now >= NEARLY_ALL * (deadline - now)


@dataclass(frozen=True, slots=True)
class OnDemand(_Shared):
    """A request for a probe, from the wait for a slot to the report."""

    report: asyncio.Task[Report]


@dataclass(frozen=True, slots=True)
class Flight(_Shared):
    """A probe that is in flight."""

    report: asyncio.Future[Report]
    """Done when the probe has ended. It is cancelled if there is no report."""
    finished: asyncio.Task[bool]
    """Done when the deep look that may follow has ended too; its result is whether the report went to the board."""


def register_until_done(
    table: dict[FlightKey, _Entry], key: FlightKey, entry: _Entry, future: asyncio.Future[Any]
) -> _Entry:
    """Keep the entry in the table until the future is done, unless another entry replaces it. Return the entry."""

    def remove(_: object) -> None:
        if table.get(key) is entry:
            del table[key]

    table[key] = entry
    future.add_done_callback(remove)
    return entry
