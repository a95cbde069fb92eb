"""How long a peer may cache a well-known (server-server API, 2.1, step 3; RFC 9111). Pure."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from exporter.probing.evidence import HttpResponse

DEFAULT_SECONDS = 24 * 3600  # "a sensible cache length", if the headers say nothing
MAX_SECONDS = 48 * 3600
FAILURE_SECONDS = 3600  # "no longer than an hour"
_SECONDS = re.compile(r"[0-9]{1,18}", re.ASCII)


def bounded_seconds(announced: int | None) -> int:
    """Return for how many seconds a valid well-known may be cached, given what its headers announce."""
    return DEFAULT_SECONDS if announced is None else min(announced, MAX_SECONDS)


def announced_seconds(response: HttpResponse, now: datetime) -> int | None:
    """Return the seconds that the headers announce, or None if they say nothing.

    Cache-Control takes precedence over Expires. A Cache-Control that cannot be parsed counts as missing.
    """
    by_cache_control = _parse_cache_control(response)
    return _parse_expires(response, now) if by_cache_control is None else by_cache_control


def _parse_cache_control(response: HttpResponse) -> int | None:
    """Read it as leniently as Synapse does: blanks, case and unknown text between directives do not matter."""
    directives: dict[str, str] = {}
    for directive in (response.header("cache-control") or "").split(","):
        name, _, value = directive.partition("=")
        directives[name.strip().lower()] = value.strip().strip('"')
    if "no-store" in directives:
        return 0
    age = directives.get("max-age", "")
    return int(age) if _SECONDS.fullmatch(age) else None


def _parse_expires(response: HttpResponse, now: datetime) -> int | None:
    """Return 0 for a date that cannot be parsed: it counts as past (RFC 9111, section 5.3)."""
    text = response.header("expires")
    if text is None:
        return None
    try:
        expires = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0
    if expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return max(0, round((expires - now).total_seconds()))
