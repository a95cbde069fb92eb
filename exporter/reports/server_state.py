"""What is known of one watched server: its latest report, and a short memory of those before it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from exporter.judging import verdict, warnings
from exporter.judging.warnings import ActiveWarning
from exporter.model.addresses import Target
from exporter.model.enums import Method, Stage
from exporter.model.outcomes import found
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import WatchedServer

_STALE_AFTER_INTERVALS = 3  # one probe may be skipped, and the next one late, before a result is thought old
_STALE_AFTER_AT_LEAST = timedelta(minutes=5)  # how long Prometheus itself looks back for a sample
RESULTS_KEPT, FAILURES_KEPT = 10, 5  # some 2 KiB for each server
NEVER = datetime.min.replace(tzinfo=UTC)

DelegatedTargets: TypeAlias = tuple[Method, frozenset[Target]]


@dataclass(frozen=True, slots=True)
class Result:
    """What is remembered of a report when a later one has taken its place."""

    ended_at: datetime
    seconds: float
    federates: bool
    problems: tuple[tuple[Stage, Reason], ...]
    exporter_offline: bool = False
    """The exporter's own network was down: neither a success nor a failure of the server."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """What is known of one watched server. Counters begin when the exporter, or the watching, begins."""

    watched: WatchedServer
    report: Report | None = None
    """The latest one that says anything about the server: none of those that were blind."""
    last_success: datetime | None = None
    probes: int = 0
    failures: int = 0
    delegation_changes: int = 0
    delegated: DelegatedTargets | None = None
    """The latest delegation that led anywhere."""
    well_known_last_seen: datetime | None = None
    """When a valid well-known was last seen."""
    history: tuple[Result, ...] = ()
    """The latest results, the newest first."""
    last_failures: tuple[Result, ...] = ()
    """The latest failures, the newest first: kept aside, so that many successes do not push them out."""

    def with_report(self, report: Report) -> "ServerState":
        if report.exporter_offline:
            return self._with_offline_report(report)
        report = report.with_deep_look_from(self.report)
        succeeded = verdict.federates(report)
        result = Result(report.ended_at, report.seconds, succeeded, _failure_reasons(report))
        delegated = _delegated_targets(report) or self.delegated
        moved = self.delegated is not None and delegated != self.delegated
        return replace(
            self,
            report=report,
            last_success=report.ended_at if succeeded else self.last_success,
            probes=self.probes + 1,
            failures=self.failures + (not succeeded),
            delegation_changes=self.delegation_changes + moved,
            delegated=delegated,
            history=(result, *self.history)[:RESULTS_KEPT],
            last_failures=self.last_failures if succeeded else (result, *self.last_failures)[:FAILURES_KEPT],
            well_known_last_seen=report.ended_at if _has_delegation(report) else self.well_known_last_seen,
        )

    def _with_offline_report(self, report: Report) -> "ServerState":
        result = Result(
            report.ended_at, report.seconds, federates=False, problems=_failure_reasons(report), exporter_offline=True
        )
        return replace(self, probes=self.probes + 1, history=(result, *self.history)[:RESULTS_KEPT])

    @property
    def exporter_offline(self) -> bool:
        """The latest probe saw nothing: what is known is older."""
        return bool(self.history) and self.history[0].exporter_offline

    def includes(self, report: Report) -> bool:
        """Itself, or a later one."""
        return bool(self.history) and self.history[0].ended_at >= report.ended_at

    def warnings(self) -> tuple[ActiveWarning, ...]:
        """Of the latest report, if there is one, in the light of those before it."""
        return warnings.warnings(self.report, self.well_known_last_seen) if self.report else ()

    @property
    def fresh_until(self) -> datetime:
        """From then on the report says nothing about today."""
        if self.report is None:
            return NEVER
        allowed = timedelta(seconds=_STALE_AFTER_INTERVALS * self.watched.interval)
        return self.report.ended_at + max(allowed, _STALE_AFTER_AT_LEAST)


def _failure_reasons(report: Report) -> tuple[tuple[Stage, Reason], ...]:
    found_now = ((located.stage, located.problem.reason) for located in verdict.problems(report))
    return tuple(dict.fromkeys(found_now))


def _has_delegation(report: Report) -> bool:
    delegation = found(report.well_known)
    return delegation is not None and delegation.server is not None


def _delegated_targets(report: Report) -> DelegatedTargets | None:
    """None where no target could be learnt: a lookup that failed is no change of the delegation."""
    route = report.route
    return (route.method, frozenset(route.targets)) if route.targets else None
