"""How long a peer may keep the answer of a well-known (server-server API, 2.1, step 3; RFC 9111). Pure."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from exporter.probing.evidence import HttpResponse

DEFAULT_SECONDS = 24 * 3600  # "a sensible cache length", where the answer says nothing
MAX_SECONDS = 48 * 3600
FAILURE_SECONDS = 3600  # "no longer than an hour"

# It begins after a comma only, and gives back nothing that it has matched: with hostile headers of 60 KB the time would
# grow with the square of their length.
_DIRECTIVE = re.compile(r'(?:^|,)\s*+(?P<name>[^\s=,]++)(?:=(?:"(?P<quoted>[^"]*+)"|(?P<token>[^\s,]*+)))?+\s*+(?=,|$)')
_SECONDS = re.compile(r"[0-9]{1,18}", re.ASCII)


def bounded_seconds(announced: int | None) -> int:
    """Seconds that a valid answer may be kept."""
    return DEFAULT_SECONDS if announced is None else min(announced, MAX_SECONDS)


def announced_seconds(answer: HttpResponse, now: datetime) -> int | None:
    """Seconds, by the headers alone. Cache-Control beats Expires; what cannot be read is as good as missing."""
    by_directive = _by_cache_control(answer)
    return _by_expires(answer, now) if by_directive is None else by_directive


def _by_cache_control(answer: HttpResponse) -> int | None:
    directives = {
        match["name"].lower(): match["quoted"] or match["token"] or ""
        for match in _DIRECTIVE.finditer(answer.header("cache-control") or "")
    }
    if "no-store" in directives:
        return 0
    age = directives.get("max-age", "")
    return int(age) if _SECONDS.fullmatch(age) else None


def _by_expires(answer: HttpResponse, now: datetime) -> int | None:
    """A date that cannot be read lies in the past (RFC 9111, section 5.3)."""
    text = answer.header("expires")
    if text is None:
        return None
    try:
        expires = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0
    if expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return max(0, round((expires - now).total_seconds()))
