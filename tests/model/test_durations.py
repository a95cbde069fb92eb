"""Durations, by the rules of Prometheus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import durations

YEAR = 365 * 24 * 60 * 60


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1ms", 0.001),
        ("500ms", 0.5),
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1d", 86400.0),
        ("1w2d3h4m5s6ms", 788645.006),
        ("090s", 90.0),
        ("0h5m", 300.0),
        ("1y", 365 * 86400.0),
    ],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    """Every unit of Prometheus, alone and together."""
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write numbers, each with one of the units y, w, d, h, m, s, ms"),
        ("300", "add a unit, as in 300s"),
        ("0", "add a unit, as in 0s"),
        ("5 m", "leave the spaces out"),
        ("5m\n", "leave the spaces out"),
        ("1.5h", "write whole numbers, as in 1h30m for an hour and a half"),
        ("-5m", "write numbers, each with one of the units y, w, d, h, m, s, ms"),
        ("m", "write numbers, each with one of the units y, w, d, h, m, s, ms"),
        ("5M", "write numbers, each with one of the units y, w, d, h, m, s, ms"),
        ("5min", "write numbers, each with one of the units y, w, d, h, m, s, ms"),
        ("5m30", "write numbers, each with one of the units y, w, d, h, m, s, ms"),
        ("\N{ARABIC-INDIC DIGIT FIVE}m", "write numbers, each with one of the units y, w, d, h, m, s, ms"),
        ("30s1m", "write each unit at most once, in the order y, w, d, h, m, s, ms"),
        ("1m1m", "write each unit at most once, in the order y, w, d, h, m, s, ms"),
        ("0s", "it must be longer than nothing"),
        ("1y1ms", "it must not be longer than a year"),
        ("9999999999999999s", "it must not be longer than a year"),
        ("9" * 10_000 + "s", "it must not be longer than a year"),
    ],
)
def test_what_is_no_duration_is_told_why(text: str, message: str) -> None:
    """Each refusal says what to write instead."""
    with pytest.raises(durations.InvalidDurationError) as refusal:
        durations.parse(text)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.001, "1ms"),
        (1.5, "1s500ms"),
        (90.0, "1m30s"),
        (300.0, "5m"),
        (36 * 3600.0, "1d12h"),
        (7 * 86400.0, "1w"),
        (90 * 86400.0, "90d"),
        (YEAR, "1y"),
    ],
)
def test_seconds_are_written_as_prometheus_writes_them(seconds: float, text: str) -> None:
    """Years and weeks only where nothing is left over."""
    assert durations.text(seconds) == text


@given(st.integers(min_value=1, max_value=YEAR * 1000))
def test_what_is_written_is_read_again(milliseconds: int) -> None:
    """To the millisecond."""
    assert durations.parse(durations.text(milliseconds / 1000)) == milliseconds / 1000
