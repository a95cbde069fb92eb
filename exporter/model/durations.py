"""Durations as Prometheus writes them: `90s`, `5m`, `1h30m`. Pure.

The rules are those of `model.ParseDuration` in prometheus/common, with two bounds: more than 0, and at most a year.
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
"""The length of each unit, in the order in which units are written."""
_MAX_MILLISECONDS = _MILLISECONDS["y"]
_MAX_DIGITS = 15  # a year in milliseconds has 11; Python refuses to parse very long numbers
_TOO_LONG = "it must not be longer than a year"
_ONLY_WITHOUT_REMAINDER = ("y", "w")  # 90d is easier to read than 12w6d

DURATION = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in _MILLISECONDS))
_PART = re.compile(r"([0-9]+)([^0-9]+)")


class InvalidDurationError(ValueError):
    """The text is not a duration. The message says what to write instead."""


def parse(text: str) -> float:
    """Return the duration in seconds. Raises InvalidDurationError."""
    match = DURATION.fullmatch(text)
    if not text or match is None:
        raise InvalidDurationError(_complaint(text))
    counts = match.groups("0")
    if max(map(len, counts)) > _MAX_DIGITS:
        raise InvalidDurationError(_TOO_LONG)
    milliseconds = sum(int(count) * size for count, size in zip(counts, _MILLISECONDS.values(), strict=True))
    if milliseconds == 0:
        raise InvalidDurationError("it must be longer than 0")
    if milliseconds > _MAX_MILLISECONDS:
        raise InvalidDurationError(_TOO_LONG)
    return milliseconds / 1000


def text(seconds: float) -> str:
    """Return the text that `parse` reads as `seconds`, rounded to the millisecond."""
    remaining, written = round(seconds * 1000), ""
    for unit, size in _MILLISECONDS.items():
        count, remainder = divmod(remaining, size)
        if count and not (remainder and unit in _ONLY_WITHOUT_REMAINDER):
            written, remaining = f"{written}{count}{unit}", remainder
    return written or "0s"


def _complaint(text: str) -> str:
    """Return the most helpful advice for a text that is not a duration."""
    if text.isascii() and text.isdecimal():
        return f"add a unit, as in {text[:_MAX_DIGITS]}s"
    if any(character.isspace() for character in text):
        return "remove the spaces"
    if "." in text or "," in text:
        return "write whole numbers, as in 1h30m for an hour and a half"
    parts = _PART.findall(text)
    unknown_units = [unit for _, unit in parts if unit not in _MILLISECONDS]
    if unknown_units or "".join(number + unit for number, unit in parts) != text or not parts:
        return f"follow each number with one of the units {', '.join(_MILLISECONDS)}"
    return f"write each unit at most once, in the order {', '.join(_MILLISECONDS)}"
