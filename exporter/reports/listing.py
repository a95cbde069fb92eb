"""Which of the watched servers a list shows, and in which order. Pure.

There may be 20,000 of them. Nothing here takes more than a millisecond at a stretch, so that a thread that makes a list
does not hold up the event loop.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from heapq import merge
from itertools import islice
from typing import Any, Final

from exporter.reports.board import RenderedState
from exporter.reports.summary import State

_CHUNK = 1000  # servers that are sorted at a stretch


class Order(StrEnum):
    """By what a list is sorted."""

    STATE = "state"
    """The worst first; among these, the latest change of the state."""
    NAME = "name"
    SINCE = "since"
    """The latest change of the state first."""
    EXPIRY = "expiry"
    """The certificate that expires first."""
    CHECKED = "checked"
    """The oldest result first."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a list shows."""

    words: str = ""
    """Each of these words is part of the name, of a stage, a reason, a warning or the software."""
    state: State | None = None
    order: Order = Order.STATE


@dataclass(frozen=True, slots=True)
class Listing:
    """The servers that a query selects."""

    totals: Mapping[State, int]
    """All servers, by state."""
    found: Mapping[State, int]
    """Those that contain the words, by state."""
    count: int
    """How many servers the query selects."""
    servers: Sequence[RenderedState]
    """Those from `start` to `stop`."""


def select(servers: Sequence[RenderedState], query: Query, start: int, stop: int) -> Listing:
    """Return the servers of a query, in its order."""
    found = [each for each in servers if _contains(each, query.words.lower().split())] if query.words else servers
    totals, by_state = _count(servers), _count(found)
    of_state = [each for each in found if each.summary.state is query.state] if query.state else found
    return Listing(totals, by_state, len(of_state), tuple(islice(_sort(of_state, _KEYS[query.order]), start, stop)))


def _count(servers: Iterable[RenderedState]) -> Mapping[State, int]:
    counts = Counter(each.summary.state for each in servers)
    return {state: counts[state] for state in State}


def _contains(server: RenderedState, words: Sequence[str]) -> bool:
    return all(word in server.summary.searched for word in words)


def _sort(servers: Sequence[RenderedState], key: Callable[[RenderedState], Any]) -> Iterator[RenderedState]:
    chunks = (sorted(servers[start : start + _CHUNK], key=key) for start in range(0, len(servers), _CHUNK))
    return merge(*chunks, key=key)


def _seconds(at: datetime | None) -> float:
    """Return a time as a number. What has none comes last."""
    return at.timestamp() if at else math.inf


_KEYS: Final[Mapping[Order, Callable[[RenderedState], Any]]] = {
    Order.STATE: lambda each: each.summary.rank,
    Order.NAME: lambda each: each.summary.name,
    Order.SINCE: lambda each: each.summary.rank[1:],
    Order.EXPIRY: lambda each: (_seconds(each.summary.expires), each.summary.name),
    Order.CHECKED: lambda each: (
        _seconds(each.state.report.ended_at if each.state.report else None),
        each.summary.name,
    ),
}
