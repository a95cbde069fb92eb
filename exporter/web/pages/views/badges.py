"""What a badge says: the state of a server now, or how much of the last 30 days it federated. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor
from typing import Final

from exporter.history.strips import Counts, Strip
from exporter.reports.summary import State

_DAYS = 30
_PADDING = 6  # pixels on either side of a text
_WIDTHS: Final = {4: "fijlrtI.,:!' ", 9: "%", 10: "mwMW✓✗"}
"""Of characters in a sans-serif font of 11 pixels, generously; all others take 7. Browsers stretch texts to fit."""
_OTHER_WIDTH = 7

_TEXTS: Final = {
    State.FULL: "✓ federates",
    State.PARTIAL: "! only in part",
    State.NONE: "✗ does not federate",
    State.UNKNOWN: "no recent result",
}
# White text has a contrast of at least 4.5 on each of them.
_COLORS: Final = {State.FULL: "#1a7f37", State.PARTIAL: "#8a5a00", State.NONE: "#b42318", State.UNKNOWN: "#57606a"}
_GOOD_SHARE, _FAIR_SHARE = 0.999, 0.99


@dataclass(frozen=True, slots=True)
class Badge:
    """A text on a colour, to the right of the label."""

    label: str
    text: str
    color: str

    @property
    def label_width(self) -> int:
        return _width(self.label)

    @property
    def text_width(self) -> int:
        return _width(self.text)


def state_badge(state: State) -> Badge:
    return Badge("Matrix federation", _TEXTS[state], _COLORS[state])


def uptime_badge(days: Strip) -> Badge:
    """Return the share of the results of the last 30 days in which the server federated, at least in part.

    `days` has a bucket for each day. What the exporter could not see, because its own network was down, does not count.
    """
    label = f"federates, {_DAYS} days"
    share = _share(days.counts[-_DAYS:])
    if share is None:
        return Badge(label, "no result", _COLORS[State.UNKNOWN])
    state = State.FULL if share >= _GOOD_SHARE else State.PARTIAL if share >= _FAIR_SHARE else State.NONE
    return Badge(label, f"{_percentage(share)} %", _COLORS[state])


def _share(counts: Iterable[Counts]) -> float | None:
    """Return None if there is no result."""
    good = bad = 0
    for each in counts:
        good += each.full + each.partial
        bad += each.none
    return good / (good + bad) if good + bad else None


def _percentage(share: float) -> str:
    """Return a percentage, rounded down: only what never failed has 100 %."""
    hundredths = floor(share * 10_000)
    return "100" if hundredths == 10_000 else f"{hundredths / 100:.2f}"


def _width(text: str) -> int:
    """Return the width in pixels, with some space on either side."""
    return 2 * _PADDING + sum(
        next((width for width, characters in _WIDTHS.items() if character in characters), _OTHER_WIDTH)
        for character in text
    )
