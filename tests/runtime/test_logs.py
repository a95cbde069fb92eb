"""The log: its two formats, its levels, and the events of probes."""

import io
import json
import logging
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from structlog.testing import capture_logs

from exporter.model.outcomes import Failed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from exporter.scheduling import probe_log
from tests.sample_reports import delegated_by_well_known, expired_certificate, nothing_resolved, two_families


@pytest.fixture
def stream(restored_logging: None) -> io.StringIO:
    return io.StringIO()


def test_logfmt_begins_with_time_level_and_message(stream: io.StringIO) -> None:
    """The time is in UTC."""
    logs.configure(LogLevel.INFO, LogFormat.LOGFMT, stream)
    structlog.get_logger().info("probe failed", server_name="example.org", seconds=0.25, ok=False, why=None)
    time, rest = stream.getvalue().split(" ", 1)
    assert rest == 'level=info msg="probe failed" server_name=example.org seconds=0.25 ok=false why=\n'
    written = datetime.fromisoformat(time.removeprefix("time="))
    assert (time[-1], abs(datetime.now(UTC) - written) < timedelta(minutes=1)) == ("Z", True)


def test_json_has_one_object_for_each_line(stream: io.StringIO) -> None:
    """Its fields are those of logfmt."""
    logs.configure(LogLevel.INFO, LogFormat.JSON, stream)
    structlog.get_logger().warning("probe failed", server_name="example.org", seconds=0.25)
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    del entry["time"]
    assert entry == {"level": "warning", "msg": "probe failed", "server_name": "example.org", "seconds": 0.25}


HOSTILE = "\x1b[2J\r\n\x00\x7f\x9b\u202e\u2028 level=info"


@pytest.mark.parametrize("form", LogFormat)
def test_control_characters_are_escaped(form: LogFormat, stream: io.StringIO) -> None:
    """Text of remote servers can neither control a terminal nor begin a line, in whatever value it is."""
    logs.configure(LogLevel.INFO, form, stream)
    structlog.get_logger().info(HOSTILE, detail=HOSTILE, many=[HOSTILE], error=ValueError(HOSTILE))
    logging.getLogger("library").error("%s", HOSTILE)
    text = stream.getvalue()
    lines = text.splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert all("[2J" in line for line in lines)


@pytest.mark.parametrize("form", LogFormat)
def test_a_traceback_is_one_line(form: LogFormat, stream: io.StringIO) -> None:
    """Errors of the exporter and of libraries are logged alike."""
    logs.configure(LogLevel.INFO, form, stream)
    for logger in (structlog.get_logger(), logging.getLogger("library")):
        logger.error("it failed", exc_info=RuntimeError("a fault"))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all("it failed" in line and "RuntimeError: a fault" in line for line in lines)


@pytest.mark.parametrize(
    ("level", "logged"),
    [
        (LogLevel.DEBUG, ["debug", "info", "warning", "error", "access"]),
        (LogLevel.INFO, ["info", "warning", "error"]),
        (LogLevel.WARNING, ["warning", "error"]),
        (LogLevel.ERROR, ["error"]),
    ],
)
def test_events_below_the_level_are_not_logged(level: LogLevel, logged: list[str], stream: io.StringIO) -> None:
    """The access log is at level debug. The warnings of uvicorn and APScheduler are never logged."""
    logs.configure(level, LogFormat.JSON, stream)
    log = structlog.get_logger()
    for method in ("debug", "info", "warning", "error"):
        getattr(log, method)(method)
    logging.getLogger("uvicorn.access").info("%s", "access")
    logging.getLogger("uvicorn.error").warning("an invalid request")
    logging.getLogger("apscheduler.scheduler").warning("noise")
    assert [json.loads(line)["msg"] for line in stream.getvalue().splitlines()] == logged


def test_warnings_are_logged(stream: io.StringIO) -> None:
    """Warnings of Python go to the log, and not to standard error directly."""
    logs.configure(LogLevel.INFO, LogFormat.JSON, stream)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # the tests turn them into errors
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (line,) = stream.getvalue().splitlines()
    assert "DeprecationWarning: old" in json.loads(line)["msg"]


# ---------------------------------------------------------------- probes


SUCCESS, EXPIRED = (
    delegated_by_well_known(),
    replace(expired_certificate(), server_name=delegated_by_well_known().server_name),
)
DNS_FAILED = replace(SUCCESS, dns=Failed(0.1, (Problem(Reason.DNS_FAILURE, "SERVFAIL"),)), endpoints=())


def levels(before: Report | None, report: Report) -> set[str]:
    """Return the levels of the events that a report causes."""
    with capture_logs() as logged:
        probe_log.log_probe(before, report)
    return {entry["log_level"] for entry in logged}


@pytest.mark.parametrize(
    ("before", "report", "level"),
    [
        (None, SUCCESS, "debug"),
        (SUCCESS, SUCCESS, "debug"),
        (EXPIRED, EXPIRED, "debug"),
        (EXPIRED, replace(EXPIRED, seconds=9), "debug"),
        (None, EXPIRED, "info"),
        (SUCCESS, EXPIRED, "info"),
        (EXPIRED, DNS_FAILED, "info"),
        (EXPIRED, SUCCESS, "info"),
    ],
)
def test_a_changed_outcome_is_logged_at_level_info(before: Report | None, report: Report, level: str) -> None:
    """An unchanged outcome is logged at level debug, as a thousand servers have many of them."""
    assert levels(before, report) == {level}


def test_every_failure_is_logged() -> None:
    """A failure that several endpoints share is logged once. The outcome follows."""
    with capture_logs() as logged:
        probe_log.log_probe(None, two_families())
    common = {"server_name": "dual.example.org", "log_level": "info"}
    assert logged == [
        {
            "event": "stage failed",
            "stage": "well_known",
            "reason": "http_status",
            "detail": "expected 200, found 500",
            **common,
        },
        {
            "event": "stage failed",
            "stage": "tcp",
            "reason": "connect_refused",
            "detail": "connection refused",
            **common,
        },
        {"event": "probe succeeded", "seconds": 0.75, **common},
    ]


def test_failure_and_success_have_different_messages() -> None:
    """So they can be searched for."""
    events = []
    for report in (nothing_resolved(), SUCCESS):
        with capture_logs() as logged:
            probe_log.log_probe(None, report)
        events.append(logged[-1]["event"])
    assert events == ["probe failed", "probe succeeded"]


def test_details_are_truncated() -> None:
    """A remote server may have written them."""
    report = replace(SUCCESS, dns=Failed(0.1, (Problem(Reason.DNS_FAILURE, "x" * 10_000),)))
    with capture_logs() as logged:
        probe_log.log_probe(None, report)
    assert len(logged[0]["detail"]) == probe_log.MAX_DETAIL_CHARACTERS
