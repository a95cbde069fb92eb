"""What a probe writes to the log."""

from collections.abc import Iterator

import structlog

from exporter.judging import verdict
from exporter.model.report import Report
from exporter.model.sanitize import printable

log = structlog.get_logger()
MAX_DETAIL_CHARACTERS = 300  # of text that a remote server may have chosen


# ---------------------------------------------------------------- probes


def log_probe(before: Report | None, report: Report) -> None:
    """Says what came of a probe: aloud where that is news."""
    say = log.info if _is_news(before, report) else log.debug
    server_name = report.server_name.text
    for stage, reason, detail in failures(report):
        say("stage failed", server_name=server_name, stage=stage, reason=reason, detail=detail)
    success = verdict.federates(report)
    say("probe succeeded" if success else "probe failed", server_name=server_name, seconds=round(report.seconds, 3))


def _is_news(before: Report | None, report: Report) -> bool:
    """Another outcome than before; at first, any that is not plain success."""
    return _outcome(report) != (_outcome(before) if before else (True, frozenset()))


def _outcome(report: Report) -> tuple[bool, frozenset[tuple[str, str]]]:
    return verdict.federates(report), frozenset((stage, reason) for stage, reason, _ in failures(report))


def failures(report: Report) -> Iterator[tuple[str, str, str]]:
    """Stage, reason and detail: one of each kind, however many endpoints have it."""
    seen: dict[tuple[str, str], str] = {}
    for located in verdict.problems(report):
        seen.setdefault((located.stage.value, located.problem.reason.value), located.problem.detail)
    for (stage, reason), detail in seen.items():
        yield stage, reason, printable(detail, MAX_DETAIL_CHARACTERS)
