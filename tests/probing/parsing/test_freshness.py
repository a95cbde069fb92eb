"""How long a well-known may be cached."""

import time
from datetime import UTC, datetime

import pytest

from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing.freshness import announced_seconds, bounded_seconds

NOW = datetime(2019, 1, 30, 7, 35, 0, tzinfo=UTC)
IN_33_SECONDS = "Wed, 30 Jan 2019 07:35:33 GMT"


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("max-age=1000", 1000),
        ("MAX-AGE=1000", 1000),
        ('max-age="1000"', 1000),
        ("private, max-age=0, must-revalidate", 0),
        ("max-age=10 , public", 10),
        ("no-store", 0),
        ("no-store, max-age=1000", 0),
        ("s-maxage=60, max-age=1000", 1000),
        ('extension="max-age=5", max-age=1000', 1000),
        ("max-age=31536000, immutable", 172800),
        (f"max-age={'9' * 18}", 172800),
        (f"max-age={'9' * 19}", 86400),
        ("max-age=, bar", 86400),
        ("max-age=abc", 86400),
        ("max-age=-1", 86400),
        ("max-age=1.5", 86400),
        ("max-age=\N{ARABIC-INDIC DIGIT FIVE}", 86400),
        ("max-age = 1000", 1000),
        ("max-age=1000 junk, max-age=10", 10),
        ("; junk ;, Max-Age=1000", 1000),
        ("public", 86400),
        ("", 86400),
        (",;=", 86400),
    ],
)
def test_cache_control(cache_control: str, seconds: int) -> None:
    """The bound is 48 hours. A header that cannot be parsed counts as missing, which means a day."""
    assert (
        bounded_seconds(announced_seconds(HttpResponse(200, (("cache-control", cache_control),), b""), NOW)) == seconds
    )


@pytest.mark.parametrize("cache_control", ["a" * 60_000 + " b", " " * 60_000 + "=", 'a="' * 20_000, 'a="",' * 12_000])
def test_hostile_headers_are_parsed_quickly(cache_control: str) -> None:
    """Parsing blocks the event loop."""
    started = time.process_time()
    assert announced_seconds(HttpResponse(200, (("cache-control", cache_control),), b""), NOW) is None
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [
        (IN_33_SECONDS, 33),
        ("Wed, 30 Jan 2019 07:35:33 -0000", 33),
        ("Wed, 30 Jan 2019 08:35:33 +0100", 33),
        ("Wed, 30 Jan 2019 07:34:00 GMT", 0),
        ("Fri, 30 Jan 2099 00:00:00 GMT", 172800),
        ("0", 0),
        ("-1", 0),
        ("never", 0),
        ("", 0),
        ("Wed, 99 Jan 2019 07:35:33 GMT", 0),
        ("Wed, 30 Jan 2019 07:35:33 +9999999", 0),
    ],
)
def test_expires(expires: str, seconds: int) -> None:
    """A date that cannot be parsed counts as past (RFC 9111, section 5.3)."""
    assert bounded_seconds(announced_seconds(HttpResponse(200, (("expires", expires),), b""), NOW)) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((), None),
        ((("cache-control", "public"),), None),
        ((("cache-control", "max-age=31536000"),), 31_536_000),
        ((("cache-control", "no-store"),), 0),
        ((("expires", "Wed, 06 Feb 2019 07:35:00 GMT"),), 7 * 86400),
    ],
)
def test_the_announced_time_is_not_bounded(headers: tuple[tuple[str, str], ...], seconds: int | None) -> None:
    """It is None if the headers say nothing."""
    assert announced_seconds(HttpResponse(200, headers, b""), NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((), 86400),
        ((("cache-control", "max-age=10"), ("expires", IN_33_SECONDS)), 10),
        ((("cache-control", "max-age=abc"), ("expires", IN_33_SECONDS)), 33),
        ((("cache-control", "private"), ("cache-control", "max-age=10")), 10),
    ],
)
def test_cache_control_takes_precedence(headers: tuple[tuple[str, str], ...], seconds: int) -> None:
    """It may be split into several headers. Expires counts only if it says nothing."""
    assert bounded_seconds(announced_seconds(HttpResponse(200, headers, b""), NOW)) == seconds
