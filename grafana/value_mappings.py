"""What values mean, in words first and then in colour: whoever sees no colours, or other ones, misses nothing."""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

GOOD, DOUBTFUL, BAD, NEUTRAL = "green", "orange", "red", "blue"

# Shares of the lifetime left, as in the alerts, which cap them in days besides. Renewal is usual at a third.
RENEW_SOON, RENEW_NOW = 0.2, 0.08
FOR_EVER = 1e12


@dataclass(frozen=True, slots=True)
class Word:
    """What is shown for the values from `low` to `high`, both included."""

    low: float
    high: float
    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Look:
    """How values are shown: as `words`, or as numbers with a colour from each of `limits` upwards.

    Words go with every kind of panel, limits only with those that print the number.
    """

    unit: str = "none"
    words: tuple[Word, ...] = ()
    limits: tuple[tuple[float, str], ...] = ()
    lowest: str = NEUTRAL
    """The colour below all limits."""
    bounds: Json = field(default_factory=dict)
    """`min` and `max` of axes and bars."""

    def settings(self) -> Json:
        """As Grafana's field options."""
        return {
            "unit": self.unit,
            "noValue": "no data",
            "mappings": [mapping(index, word) for index, word in enumerate(self.words)],
            "thresholds": {"mode": "absolute", "steps": self._steps()},
            **self.bounds,
        }

    def _steps(self) -> list[Json]:
        lowest: Json = {"color": self.lowest, "value": None}
        return [lowest, *({"color": colour, "value": value} for value, colour in self.limits)]


def mapping(index: int, word: Word) -> Json:
    result = {"text": word.text, "color": word.colour, "index": index}
    if word.low == word.high:
        return {"type": "value", "options": {f"{word.low:g}": result}}
    return {"type": "range", "options": {"from": word.low, "to": word.high, "result": result}}


def counted(*limits: tuple[float, str], lowest: str = NEUTRAL) -> Look:
    return Look(unit="short", limits=limits, lowest=lowest, bounds={"min": 0})


ALMOST_ALL, ALMOST_NONE = 0.9999, 0.0001
COUNT = counted()
NONE_WANTED = counted((1, BAD), lowest=GOOD)
FEW_WANTED = counted((1, DOUBTFUL), lowest=GOOD)
SECONDS = Look(unit="s", bounds={"min": 0})
TIME_LEFT = Look(unit="dtdurations")
INSTANT = Look(unit="dateTimeAsIso")
AGO = Look(unit="dateTimeFromNow")
BYTES = Look(unit="bytes", bounds={"min": 0})
PER_SECOND = Look(unit="ops", bounds={"min": 0})
SHARE = Look(unit="percentunit", bounds={"min": 0, "max": 1})
AVAILABILITY = Look(
    unit="percentunit", lowest=BAD, limits=((0.99, DOUBTFUL), (0.999, GOOD)), bounds={"min": 0, "max": 1}
)
LIFETIME_SHARE = Look(
    unit="percentunit", lowest=BAD, limits=((RENEW_NOW, DOUBTFUL), (RENEW_SOON, GOOD)), bounds={"min": 0, "max": 1}
)

SUCCESS = Look(
    words=(
        Word(1, 1, "✓ ok", GOOD),
        Word(ALMOST_NONE, ALMOST_ALL, "~ in part", DOUBTFUL),
        Word(0, 0, "✗ fails", BAD),
    )
)
SIGN = Look(
    words=(Word(1, 1, "✓", GOOD), Word(ALMOST_NONE, ALMOST_ALL, "~", DOUBTFUL), Word(0, 0, "✗", BAD)),
)
"""SUCCESS, where there is room for one character only."""
VALIDITY = Look(words=(Word(1, 1, "✓ valid", GOOD), Word(0, 0, "✗ invalid", BAD)))
RENEWAL = Look(
    words=(
        Word(-FOR_EVER, 0, "✗ expired", BAD),
        Word(0, RENEW_NOW, "✗ renew now", BAD),
        Word(RENEW_NOW, RENEW_SOON, "~ renew soon", DOUBTFUL),
        Word(RENEW_SOON, FOR_EVER, "✓ in time", GOOD),
    )
)
EXPECTATION = Look(words=(Word(1, 1, "✓ as expected", GOOD), Word(0, 0, "✗ not as expected", BAD)))
REACHED = Look(words=(Word(1, 1, "✓ up", GOOD), Word(0, 0, "✗ down", BAD)))
CONNECTED = Look(words=(Word(1, 1, "✓ up", GOOD), Word(0, 0, "✗ lost", BAD)))
IN_USE = Look(words=(Word(1, 1, "✓ in use", GOOD), Word(0, 0, "✗ refused", BAD)))
PROBLEM = Look(words=(Word(1, 1, "✗ fails", BAD),))
CAUTION = Look(words=(Word(1, 1, "! holds", DOUBTFUL),))
