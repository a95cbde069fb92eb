"""The log events of a probe."""

from collections.abc import Iterator

import structlog

from exporter.judging import verdict
from exporter.model.report import Report
from exporter.model.sanitize import printable

log = structlog.get_logger()
MAX_DETAIL_CHARACTERS = 300  # of text that a remote server may have chosen


def log_probe(before: Report | None, report: Report) -> None:
    """Log the outcome of a probe and its failures: at level info if the outcome has changed, and at level debug if not.

    `before` is the latest report before this one.
    """
    log_event = log.info if _has_changed(before, report) else log.debug
    server_name = report.server_name.text
    for stage, reason, detail in failures(report):
        log_event("stage failed", server_name=server_name, stage=stage, reason=reason, detail=detail)
    event = "probe succeeded" if verdict.federates(report) else "probe failed"
    log_event(event, server_name=server_name, seconds=round(report.seconds, 3))


def _has_changed(before: Report | None, report: Report) -> bool:
    """Whether the outcome is another one than before. The first outcome is a change unless it is a plain success."""
    return _outcome(report) != (_outcome(before) if before else (True, frozenset()))


def _outcome(report: Report) -> tuple[bool, frozenset[tuple[str, str]]]:
    return verdict.federates(report), frozenset((stage, reason) for stage, reason, _ in failures(report))


def failures(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yield stage, reason and detail of each failure; once if several endpoints have the same stage and reason."""
    details: dict[tuple[str, str], str] = {}
    for located in verdict.problems(report):
        details.setdefault((located.stage.value, located.problem.reason.value), located.problem.detail)
    for (stage, reason), detail in details.items():
        yield stage, reason, printable(detail, MAX_DETAIL_CHARACTERS)
