"""Which of the watched servers a list shows, and in which order. Pure.

There may be 20,000 of them. No step takes more than a few milliseconds, so that a thread that makes a list does not
hold up the event loop. The keys of all orders are attributes of the summaries: to compute them takes longer than to
sort.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from exporter.model.servers import Labels
from exporter.reports.board import RenderedState
from exporter.reports.summary import State

_CHUNK = 1000  # servers


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
    group: str = ""
    """The name of the group; empty for all."""
    labels: Labels = ()
    """Each of these is among the labels of the server."""
    order: Order = Order.STATE


@dataclass(frozen=True, slots=True)
class Listing:
    """The servers that a query selects."""

    totals: Mapping[State, int]
    """All servers, by state."""
    found: Mapping[State, int]
    """Those that contain the words, and are in the group and have the labels, by state."""
    count: int
    """How many servers the query selects."""
    servers: Sequence[RenderedState]
    """Those from `start` to `stop`."""


def select(servers: Sequence[RenderedState], query: Query, start: int, stop: int) -> Listing:
    """Return the servers of a query, in its order."""
    found, totals = servers, _count(servers)
    if query.group:
        found = [each for each in found if each.watched.group == query.group]
    for label in query.labels:
        found = [each for each in found if label in each.watched.labels]
    for word in query.words.lower().split():
        found = [each for each in found if word in each.summary.searched]
    by_state = totals if found is servers else _count(found)
    of_state = [each for each in found if each.summary.state is query.state] if query.state else found
    return Listing(totals, by_state, len(of_state), _sort(of_state, _KEYS[query.order], start, stop))


def _count(servers: Sequence[RenderedState]) -> Mapping[State, int]:
    counts = dict.fromkeys(State, 0)
    for chunk in _chunks(servers):
        for state, count in Counter(map(_STATE, chunk)).items():
            counts[state] += count
    return counts


def _sort(
    servers: Sequence[RenderedState], key: Callable[[RenderedState], Any], start: int, stop: int
) -> Sequence[RenderedState]:
    """Return a part of the servers in order. No two have the same key. The parts are merged from the nearer end."""
    count = len(servers)
    if backwards := start > count // 2:
        start, stop = max(0, count - stop), count - start
    chunks = (sorted(chunk, key=key, reverse=backwards) for chunk in _chunks(servers))
    part = tuple(islice(merge(*chunks, key=key, reverse=backwards), start, max(start, stop)))
    return part[::-1] if backwards else part


def _chunks(servers: Sequence[RenderedState]) -> Iterator[Sequence[RenderedState]]:
    """Yield parts that are handled at a stretch. Between two of them, the event loop can take its turn."""
    return (servers[start : start + _CHUNK] for start in range(0, len(servers), _CHUNK))


_STATE: Final = attrgetter("summary.state")
_KEYS: Final[Mapping[Order, Callable[[RenderedState], Any]]] = {
    Order.STATE: attrgetter("summary.by_state"),
    Order.NAME: attrgetter("summary.name"),
    Order.SINCE: attrgetter("summary.by_change"),
    Order.EXPIRY: attrgetter("summary.by_expiry"),
    Order.CHECKED: attrgetter("summary.by_age"),
}
