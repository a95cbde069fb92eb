"""Batches of servers, which keep their compressed lines until the state of one of them changes.

Between two scrapes, a twentieth to a fifth of the servers change: those that were due. As the board holds servers in
the order in which they are due, they are in few batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, repeat
from operator import is_
from typing import Final, Self

from exporter.metrics.families import FAMILIES, LINE_START
from exporter.metrics.gzip_stream import Deflated
from exporter.reports.board import RenderedLines, RenderedState, Snapshot

_LINE_START: Final = LINE_START.encode()
_LINE_STARTS: Final = [family.line_start.encode() for family in FAMILIES]
_SERVERS: Final = 256  # in a batch; more are compressed again without need, fewer are compressed badly


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The lines of servers that are next to each other on the board. Their states need not be kept until a scrape."""

    every: tuple[RenderedLines, ...]
    fresh: tuple[RenderedLines, ...]
    """Of the servers whose result is not too old."""
    _deflated: dict[int, Deflated] = field(default_factory=dict, repr=False)
    """By the index of the family."""

    @classmethod
    def of(cls, states: tuple[RenderedState, ...], at: datetime) -> Self:
        fresh = [rendered.lines for rendered in states if rendered.fresh_until >= at]
        return cls(tuple([rendered.lines for rendered in states]), tuple(fresh))

    def is_same(self, other: "Batch") -> bool:
        """Whether it has the same lines. Those that change are replaced; to compare their contents takes long."""
        return _are_same(self.every, other.every) and _are_same(self.fresh, other.fresh)

    def lines(self, family: int) -> bytes:
        """Return the lines of the family with this index. A server whose result is too old has few families."""
        servers = self.every if FAMILIES[family].kept_when_stale else self.fresh
        return b"".join([lines[family] for lines in servers]).replace(_LINE_START, _LINE_STARTS[family])

    def deflated(self, family: int) -> Deflated:
        if family not in self._deflated:
            self._deflated[family] = Deflated.of(self.lines(family))
        return self._deflated[family]


def _are_same(left: Sequence[object], right: Sequence[object]) -> bool:
    return len(left) == len(right) and all(map(is_, left, right))


def batches_of(snapshot: Snapshot) -> Iterator[Batch]:
    for start in range(0, len(snapshot.states), _SERVERS):
        yield Batch.of(snapshot.states[start : start + _SERVERS], snapshot.taken_at)


class RecentBatches:
    """The batches of the latest scrape."""

    def __init__(self) -> None:
        self._batches: Sequence[Batch] = ()

    def update(self, snapshot: Snapshot) -> Sequence[Batch]:
        """Return the batches of a snapshot. Those that are the same as before keep what was compressed of them."""
        pairs = zip(batches_of(snapshot), chain(self._batches, repeat(None)), strict=False)
        self._batches = [old if old and new.is_same(old) else new for new, old in pairs]
        return self._batches
