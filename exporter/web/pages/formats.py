"""Times and numbers as the pages show them. All of them are filters of the templates. Pure."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from exporter.reports.phrases import count_of, format_duration, format_span


def _moment(at: datetime) -> str:
    """Return `2026-11-28 02:13 UTC`."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _thousands(number: int) -> str:
    """Return `20,000`."""
    return f"{number:,}"


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "count_of": count_of,
    "duration": format_duration,
    "isoformat": lambda at: at.isoformat(timespec="seconds"),
    "moment": _moment,
    "span": format_span,
    "thousands": _thousands,
}
