"""Durations, parsed and written by the rules of Prometheus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import durations
from tests.properties import PATIENT

YEAR = 365 * 24 * 60 * 60
UNITS = "follow each number with one of the units y, w, d, h, m, s, ms"


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
def test_parses_a_duration(text: str, seconds: float) -> None:
    """Every unit of Prometheus is accepted, alone and combined."""
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", UNITS),
        ("300", "add a unit, as in 300s"),
        ("0", "add a unit, as in 0s"),
        ("5 m", "remove the spaces"),
        ("5m\n", "remove the spaces"),
        ("1.5h", "write whole numbers, as in 1h30m for an hour and a half"),
        ("-5m", UNITS),
        ("m", UNITS),
        ("5M", UNITS),
        ("5min", UNITS),
        ("5m30", UNITS),
        ("\N{ARABIC-INDIC DIGIT FIVE}m", UNITS),
        ("30s1m", "write each unit at most once, in the order y, w, d, h, m, s, ms"),
        ("1m1m", "write each unit at most once, in the order y, w, d, h, m, s, ms"),
        ("0s", "it must be longer than 0"),
        ("1y1ms", "it must not be longer than a year"),
        ("9999999999999999s", "it must not be longer than a year"),
        ("9" * 10_000 + "s", "it must not be longer than a year"),
    ],
)
def test_rejects_other_texts(text: str, message: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(durations.InvalidDurationError) as caught:
        durations.parse(text)
    assert str(caught.value) == message


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
def test_writes_seconds_as_prometheus_does(seconds: float, text: str) -> None:
    """Years and weeks are used only without a remainder."""
    assert durations.text(seconds) == text


@PATIENT
@given(st.integers(min_value=1, max_value=YEAR * 1000))
def test_parses_what_it_writes(milliseconds: int) -> None:
    """A duration survives the round trip to the millisecond."""
    assert durations.parse(durations.text(milliseconds / 1000)) == milliseconds / 1000
