"""How fields are displayed: units, value mappings and thresholds.

A colour never stands alone: each value with a colour of its own also has a text, or is printed as a number.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

from grafana.thresholds import RenewalState

Json = dict[str, Any]

GOOD, DEGRADED, BAD, NEUTRAL = "green", "orange", "red", "blue"


@dataclass(frozen=True, slots=True)
class ValueMapping:
    """Maps the values from `low` to `high`, both included, to a text and its colour."""

    low: float
    high: float
    text: str
    colour: str

    def json(self, index: int) -> Json:
        """Return the mapping as Grafana stores it; `index` is its position in the list."""
        result = {"text": self.text, "color": self.colour, "index": index}
        if self.low == self.high:
            return {"type": "value", "options": {f"{self.low:g}": result}}
        return {"type": "range", "options": {"from": self.low, "to": self.high, "result": result}}


@dataclass(frozen=True, slots=True)
class FieldStyle:
    """The display of a field: its unit, and either value mappings or thresholds.

    Value mappings work in every kind of panel. Thresholds belong in panels that print the number.
    """

    unit: str = "none"
    mappings: tuple[ValueMapping, ...] = ()
    thresholds: tuple[tuple[float, str], ...] = ()
    """Each with the colour that applies from it upwards."""
    base_colour: str = NEUTRAL
    """The colour below every threshold."""
    minimum: float | None = None
    maximum: float | None = None
    width: int = 90
    """Of a column with such values, in pixels."""
    no_value: str = ""
    """What is shown in place of a value that does not exist, if that means something."""

    def or_else(self, no_value: str) -> Self:
        """Return the style with what a missing value means: `never`, if it is the time of something that never was."""
        return replace(self, no_value=no_value)

    @property
    def has_colours(self) -> bool:
        return bool(self.mappings or self.thresholds)

    def field_options(self, no_value: str = "no data") -> Json:
        """Return Grafana's field options, as in `fieldConfig.defaults`."""
        limits = {"min": self.minimum, "max": self.maximum}
        return {
            "unit": self.unit,
            "noValue": self.no_value or no_value,
            "mappings": [mapping.json(index) for index, mapping in enumerate(self.mappings)],
            "thresholds": {"mode": "absolute", "steps": self._threshold_steps()},
            **{name: value for name, value in limits.items() if value is not None},
        }

    def _threshold_steps(self) -> list[Json]:
        base: Json = {"color": self.base_colour, "value": None}
        return [base, *({"color": colour, "value": value} for value, colour in self.thresholds)]


def _ratio(*thresholds: tuple[float, str], base_colour: str = NEUTRAL) -> FieldStyle:
    return FieldStyle("percentunit", thresholds=thresholds, base_colour=base_colour, minimum=0, maximum=1)


def _count(*thresholds: tuple[float, str], base_colour: str = NEUTRAL) -> FieldStyle:
    return FieldStyle("short", thresholds=thresholds, base_colour=base_colour, minimum=0)


# ---------------------------------------------------------------- numbers

COUNT = _count()
FAILURE_COUNT = _count((1, BAD), base_colour=GOOD)
WARNING_COUNT = _count((1, DEGRADED), base_colour=GOOD)
CORES = FieldStyle("none", minimum=0)
DURATION = FieldStyle("s", minimum=0)
BYTES = FieldStyle("bytes", minimum=0)
PER_SECOND = FieldStyle("ops", minimum=0)
RATIO = _ratio()
TIME_LEFT = FieldStyle("dtdurations", width=115)
DAYS_LEFT = FieldStyle("none")
"""Of graphs, whose axis would say "2 months" at every line."""
DATE = FieldStyle("dateTimeAsIso", width=165)
TIME_AGO = FieldStyle("dateTimeFromNow", width=138, no_value="never")

_SEVERE = 10  # times the failures that the alert tolerates: bad, and not only degraded


def availability(tolerated_failures: float) -> FieldStyle:
    """Return the style of a success ratio, given the ratio of failures above which the alert fires."""
    degraded, good = (round(1 - factor * tolerated_failures, 9) for factor in (_SEVERE, 1))
    return _ratio((degraded, DEGRADED), (good, GOOD), base_colour=BAD)


# ---------------------------------------------------------------- states

_ALMOST_NONE, _ALMOST_ALL = 0.0001, 0.9999


def _average_success(all_text: str, some_text: str, none_text: str, width: int = 90) -> FieldStyle:
    """Return the style of the average of several successes, each 0 or 1."""
    return FieldStyle(
        mappings=(
            ValueMapping(1, 1, all_text, GOOD),
            ValueMapping(_ALMOST_NONE, _ALMOST_ALL, some_text, DEGRADED),
            ValueMapping(0, 0, none_text, BAD),
        ),
        width=width,
    )


def _either(true_text: str, false_text: str, width: int = 90) -> FieldStyle:
    return FieldStyle(mappings=(ValueMapping(1, 1, true_text, GOOD), ValueMapping(0, 0, false_text, BAD)), width=width)


FEDERATION = _average_success("✓ federates", "! in part", "✗ does not federate", width=150)
FEDERATION_SYMBOL = _average_success("✓", "!", "✗")
"""FEDERATION, for cells that have room for one character."""
SUCCESS = _average_success("✓ ok", "~ partial", "✗ failing")
VALIDITY = _either("✓ valid", "✗ invalid")
EXPECTATION = _either("✓ as expected", "✗ unexpected")
UP = _either("✓ up", "✗ down", width=80)
CONFIG_RELOAD = _either("✓ in use", "✗ rejected", width=150)
FAILING = FieldStyle(mappings=(ValueMapping(1, 1, "✗ failing", BAD),))
WARNING = FieldStyle(mappings=(ValueMapping(1, 1, "! warning", DEGRADED),))
RENEWAL = FieldStyle(
    mappings=tuple(
        ValueMapping(state, state, text, colour)
        for state, text, colour in (
            (RenewalState.EXPIRED, "✗ expired", BAD),
            (RenewalState.RENEW_NOW, "✗ renew now", BAD),
            (RenewalState.RENEW_SOON, "~ renew soon", DEGRADED),
            (RenewalState.NOT_DUE, "✓ not due", GOOD),
        )
    ),
    width=115,
)
_SEVERITIES = (("critical", "✗ critical", BAD), ("warning", "! warning", DEGRADED), ("info", "info", NEUTRAL))
SEVERITY: Json = {
    "mappings": [
        {"type": "value", "options": {severity: {"text": text, "color": colour, "index": index}}}
        for index, (severity, text, colour) in enumerate(_SEVERITIES)
    ],
    "custom.cellOptions": {"type": "color-text"},
    "custom.width": 110,
}
"""The options of a column with the severities of alerts."""
