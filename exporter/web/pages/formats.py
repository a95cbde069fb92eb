"""Times and numbers as the pages show them. All of them are filters of the templates. Pure."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from exporter.model import durations
from exporter.reports.phrases import count_of, format_duration, format_span

_UNITS: Final = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))
_SOON: Final = timedelta(days=7)  # the alert about certificates is critical then


def _moment(at: datetime) -> str:
    """Return `2026-11-28 02:13 UTC`."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _clock(at: datetime, now: datetime) -> str:
    """Return `02:13` today, `Nov 21` this year, and `2025-11-21` before."""
    if at.date() == now.date():
        return f"{at:%H:%M}"
    return f"{at:%b %-d}" if at.year == now.year else f"{at:%Y-%m-%d}"


def _short_span(time: timedelta) -> str:
    """Return a time span, rounded down, such as `17 min`. It is 2 or more of the unit, unless that is seconds."""
    for unit, size in _UNITS:
        if time >= 2 * size:
            return f"{time // size} {unit}"
    return f"{max(0, int(time.total_seconds()))} s"


def _expiry_state(at: datetime, now: datetime) -> str:
    """Return the state that an expiry is shown in."""
    if at <= now:
        return "none"
    return "partial" if at - now < _SOON else ""


def _end_of(end: datetime, began: datetime) -> str:
    """Return `02:41 UTC` on the same day, and the whole moment otherwise."""
    return f"{end:%H:%M} UTC" if end.date() == began.date() else _moment(end)


def _thousands(number: int) -> str:
    """Return `20,000`."""
    return f"{number:,}"


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "clock": _clock,
    "count_of": count_of,
    "duration": format_duration,
    "end_of": _end_of,
    "expiry_state": _expiry_state,
    "in_path": lambda name: quote(str(name), safe=""),
    "interval": durations.text,
    "isoformat": lambda at: at.isoformat(timespec="seconds"),
    "moment": _moment,
    "short_span": _short_span,
    "span": lambda time: format_span(max(time, timedelta(0))),  # the clock may have been set back
    "thousands": _thousands,
}
