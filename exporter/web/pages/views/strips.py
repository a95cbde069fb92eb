"""Strips of results, as shapes of an SVG. The worse a result, the higher its bar, so that no colour is needed. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from exporter.history.strips import Counts, Strip
from exporter.reports.phrases import count_of
from exporter.reports.server_state import RESULTS_KEPT
from exporter.reports.summary import State

_CELL_WIDTH: Final = 8  # of which the bar takes all but the gap
_GAP: Final = 2
HEIGHT: Final = 20
_FLAT: Final = 2
_BAR_HEIGHTS: Final = {State.FULL: 8, State.PARTIAL: 13, State.NONE: HEIGHT, State.UNKNOWN: _FLAT}
_MIN_SHARE = 0.25  # of the difference in height: a single failure of many must be visible


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, measured from the upper left corner."""

    kind: str
    """A state, or `empty`."""
    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Cell:
    """The bars of one result, or of a time span, with what they mean."""

    title: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A strip. Its label says in words what it shows."""

    label: str
    width: int
    cells: tuple[Cell, ...]


def draw_results(results: Sequence[State]) -> Drawing:
    """Return the strip of single results. The newest is given first, and drawn at the right."""
    label = f"The last {count_of(len(results), 'result')}: {_in_words(results)}" if results else "No results yet"
    first = RESULTS_KEPT - len(results)
    cells = (Cell("", (_bar(state, first + number),)) for number, state in enumerate(reversed(results)))
    return Drawing(label, _width(RESULTS_KEPT), tuple(cells))


def draw_strip(strip: Strip) -> Drawing:
    """Return the strip of a time span."""
    cells = tuple(_draw_counts(strip, number) for number in range(len(strip.counts)))
    totals = [sum(getattr(counts, state) for counts in strip.counts) for state in _COUNTED.values()]
    words = ", ".join(f"{total:,} {_WORDS[state]}" for state, total in zip(_COUNTED, totals, strict=True) if total)
    return Drawing(words or "no results yet", _width(len(cells)), cells)


def _draw_counts(strip: Strip, number: int) -> Cell:
    counts, began = strip.counts[number], strip.began + number * strip.bucket
    when = (
        f"{began:%Y-%m-%d}" if strip.bucket >= timedelta(days=1) else f"{began:%H:%M} to {began + strip.bucket:%H:%M}"
    )
    states = {state: getattr(counts, name) for state, name in _COUNTED.items()}
    words = ", ".join(f"{count} {_WORDS[state]}" for state, count in states.items() if count)
    return Cell(f"{when}: {words or 'no results'}", tuple(_bars(counts, number)))


def _bars(counts: Counts, number: int) -> Iterator[Bar]:
    """Yield a bar for the worst state, whose height also depends on its share, and one for the good results below."""
    results = counts.full + counts.partial + counts.none
    if not results:
        yield Bar("unknown" if counts.offline else "empty", number * _CELL_WIDTH, HEIGHT - _FLAT, _FLAT)
        return
    if bad := counts.none + counts.partial:
        worst = State.NONE if counts.none else State.PARTIAL
        share = max(_MIN_SHARE, bad / results)
        good = _BAR_HEIGHTS[State.FULL]
        height = round(good + (_BAR_HEIGHTS[worst] - good) * share, 1)
        yield Bar(worst, number * _CELL_WIDTH, HEIGHT - height, height - (good if counts.full else 0))
    if counts.full:
        yield _bar(State.FULL, number)


def _bar(state: State, number: int) -> Bar:
    height = _BAR_HEIGHTS[state]
    return Bar(state, number * _CELL_WIDTH, HEIGHT - height, height)


def _width(cells: int) -> int:
    return cells * _CELL_WIDTH - _GAP


_COUNTED: Final = {State.NONE: "none", State.PARTIAL: "partial", State.FULL: "full", State.UNKNOWN: "offline"}
"""The field of `Counts` for each state, the worst first."""
_WORDS: Final = {
    State.NONE: "failed",
    State.PARTIAL: "in part",
    State.FULL: "good",
    State.UNKNOWN: "while the exporter was offline",
}


def _in_words(states: Iterable[State]) -> str:
    seen = list(states)
    return ", ".join(f"{seen.count(state)} {word}" for state, word in _WORDS.items() if state in seen)
