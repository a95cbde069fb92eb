"""Batches of servers, which keep their compressed lines until the state of one of them changes.

Between two scrapes, a twentieth to a fifth of the servers change: those that were due. As the board holds servers in
the order in which they are due, they are in few batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, repeat
from typing import Final, Self

from exporter.metrics.families import FAMILIES, LINE_START, SERVER_LABELS
from exporter.metrics.gzip_stream import Deflated
from exporter.reports.board import RenderedState, Snapshot

_LINE_START: Final = LINE_START.encode()
_SERVER_LABELS: Final = SERVER_LABELS.encode()
_LINE_STARTS: Final = [family.line_start.encode() for family in FAMILIES]
_SERVERS: Final = 256  # in a batch; more are compressed again without need, fewer are compressed badly


@dataclass(frozen=True, slots=True)
class Batch:
    """Servers that are next to each other on the board."""

    states: tuple[RenderedState, ...]
    fresh: tuple[RenderedState, ...]
    """Those whose result is not too old."""
    parts: dict[int, Deflated] = field(default_factory=dict)
    """What is compressed, by the index of the family."""

    @classmethod
    def of(cls, states: tuple[RenderedState, ...], at: datetime) -> Self:
        return cls(states, tuple([rendered for rendered in states if rendered.fresh_until >= at]))

    def lines(self, family: int) -> bytes:
        """Return the lines of the family with this index. A server whose result is too old has few families."""
        states = self.states if FAMILIES[family].kept_when_stale else self.fresh
        joined = b"".join([each.families[family].replace(_SERVER_LABELS, each.server_labels) for each in states])
        return joined.replace(_LINE_START, _LINE_STARTS[family])

    def deflated(self, family: int) -> Deflated:
        if family not in self.parts:
            self.parts[family] = Deflated.of(self.lines(family))
        return self.parts[family]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of a batch. It does not refer to the states, which would stay in memory after they were replaced."""

    numbers: list[int]
    """Those of the states."""
    fresh: int
    """How many of them are fresh. As one time decides for all, that says which."""
    parts: dict[int, Deflated]

    def restore(self, batch: Batch) -> Batch:
        """Return the batch, with what was compressed of it if it is the same as before."""
        is_same = self.fresh == len(batch.fresh) and self.numbers == _numbers(batch)
        return replace(batch, parts=self.parts) if is_same else batch

    @classmethod
    def of(cls, batch: Batch) -> Self:
        return cls(_numbers(batch), len(batch.fresh), batch.parts)


def _numbers(batch: Batch) -> list[int]:
    return [rendered.number for rendered in batch.states]


_NOTHING: Final = _Kept([], 0, {})


def batches_of(snapshot: Snapshot) -> Iterator[Batch]:
    for start in range(0, len(snapshot.states), _SERVERS):
        yield Batch.of(snapshot.states[start : start + _SERVERS], snapshot.taken_at)


class RecentBatches:
    """What is kept of the latest scrape."""

    def __init__(self) -> None:
        self._kept: Sequence[_Kept] = ()

    def restore(self, snapshot: Snapshot) -> Iterator[Batch]:
        """Yield the batches of a snapshot. Those that are the same as before have what was compressed of them."""
        kept = []
        for batch, before in zip(batches_of(snapshot), chain(self._kept, repeat(_NOTHING)), strict=False):
            restored = before.restore(batch)
            kept.append(_Kept.of(restored))
            yield restored
        self._kept = kept
