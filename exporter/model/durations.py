"""Durations as Prometheus writes them: `90s`, `5m`, `1h30m`. Pure.

The rules are those of `model.ParseDuration` in prometheus/common, with bounds: more than nothing, at most a year.
"""

import re

_MILLISECONDS = {
    "y": 365 * 24 * 60 * 60 * 1000,
    "w": 7 * 24 * 60 * 60 * 1000,
    "d": 24 * 60 * 60 * 1000,
    "h": 60 * 60 * 1000,
    "m": 60 * 1000,
    "s": 1000,
    "ms": 1,
}
"""Of each unit, in the order in which they are written."""
_LONGEST = _MILLISECONDS["y"]
_MAX_DIGITS = 15  # a year has 11 in milliseconds; Python refuses to read very long numbers
_TOO_LONG = "it must not be longer than a year"
_WRITTEN_ONLY_EXACTLY = ("y", "w")  # 90d is easier to read than 12w6d

DURATION = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in _MILLISECONDS))
_PART = re.compile(r"([0-9]+)([^0-9]+)")


class InvalidDurationError(ValueError):
    """Not a duration; the message says what is wrong with it."""


def parse(text: str) -> float:
    """Seconds. Raises InvalidDurationError."""
    match = DURATION.fullmatch(text)
    if not text or match is None:
        raise InvalidDurationError(_complaint(text))
    counts = match.groups("0")
    if max(map(len, counts)) > _MAX_DIGITS:
        raise InvalidDurationError(_TOO_LONG)
    milliseconds = sum(int(count) * size for count, size in zip(counts, _MILLISECONDS.values(), strict=True))
    if milliseconds == 0:
        raise InvalidDurationError("it must be longer than nothing")
    if milliseconds > _LONGEST:
        raise InvalidDurationError(_TOO_LONG)
    return milliseconds / 1000


def text(seconds: float) -> str:
    """What `parse` reads as `seconds`, to the millisecond."""
    left, written = round(seconds * 1000), ""
    for unit, size in _MILLISECONDS.items():
        count, rest = divmod(left, size)
        if count and not (rest and unit in _WRITTEN_ONLY_EXACTLY):
            written, left = f"{written}{count}{unit}", rest
    return written or "0s"


def _complaint(text: str) -> str:
    """The most helpful sentence for a text that is no duration."""
    if text.isascii() and text.isdecimal():
        return f"add a unit, as in {text[:_MAX_DIGITS]}s"
    if any(character.isspace() for character in text):
        return "leave the spaces out"
    if "." in text or "," in text:
        return "write whole numbers, as in 1h30m for an hour and a half"
    parts = _PART.findall(text)
    unknown = [unit for _, unit in parts if unit not in _MILLISECONDS]
    if unknown or "".join(number + unit for number, unit in parts) != text or not parts:
        return f"write numbers, each with one of the units {', '.join(_MILLISECONDS)}"
    return f"write each unit at most once, in the order {', '.join(_MILLISECONDS)}"
