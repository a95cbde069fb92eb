"""The state of one watched server: its latest report, and a short history."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from exporter.judging import verdict, warnings
from exporter.judging.verdict import Federation
from exporter.judging.warnings import ActiveWarning
from exporter.model.addresses import Target
from exporter.model.enums import Method, Stage
from exporter.model.outcomes import found
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import WatchedServer

_STALE_AFTER_INTERVALS = 3  # one probe may be skipped and the next one late before a result counts as stale
_STALE_AFTER_AT_LEAST = timedelta(minutes=5)  # the lookback of Prometheus
RESULTS_KEPT, FAILURES_KEPT = 10, 5  # about 2 KiB for each server
NEVER = datetime.min.replace(tzinfo=UTC)

DelegatedTargets: TypeAlias = tuple[Method, frozenset[Target]]


@dataclass(frozen=True, slots=True)
class Result:
    """What is kept of a report in the history."""

    ended_at: datetime
    seconds: float
    federates: bool
    problems: tuple[tuple[Stage, Reason], ...]
    exporter_offline: bool = False
    """The exporter's own network was down: neither a success nor a failure of the server."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of one watched server. Counters start at 0 when the exporter starts to watch the server."""

    watched: WatchedServer
    report: Report | None = None
    """The latest report, without those that were made while the exporter was offline."""
    federation: Federation | None = None
    """The verdict on `report`. None if there is no report."""
    last_success: datetime | None = None
    probes: int = 0
    failures: int = 0
    delegation_changes: int = 0
    delegated: DelegatedTargets | None = None
    """The latest delegation that led to a target."""
    well_known_last_seen: datetime | None = None
    """When a valid well-known was last seen."""
    history: tuple[Result, ...] = ()
    """The latest results, the newest first."""
    last_failures: tuple[Result, ...] = ()
    """The latest failures, the newest first. They are separate, so that successes do not displace them."""

    def with_report(self, report: Report) -> "ServerState":
        """Return the state after another probe.

        A report that was made while the exporter was offline only counts as a probe, and is kept in the history.
        """
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
            federation=verdict.federation(report),
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
        """Whether the exporter was offline during the latest probe, so that `report` is older."""
        return bool(self.history) and self.history[0].exporter_offline

    def includes(self, report: Report) -> bool:
        """Whether the report, or a later one, is part of this state."""
        return bool(self.history) and self.history[0].ended_at >= report.ended_at

    def warnings(self) -> tuple[ActiveWarning, ...]:
        """Return the warnings about the latest report, which may also depend on earlier reports."""
        return warnings.warnings(self.report, self.well_known_last_seen) if self.report else ()

    @property
    def fresh_until(self) -> datetime:
        """The time from which on the report is stale and not exposed."""
        if self.report is None:
            return NEVER
        allowed = timedelta(seconds=_STALE_AFTER_INTERVALS * self.watched.interval)
        return self.report.ended_at + max(allowed, _STALE_AFTER_AT_LEAST)


def _failure_reasons(report: Report) -> tuple[tuple[Stage, Reason], ...]:
    """Return every reason once for each stage."""
    found_now = ((located.stage, located.problem.reason) for located in verdict.problems(report))
    return tuple(dict.fromkeys(found_now))


def _has_delegation(report: Report) -> bool:
    delegation = found(report.well_known)
    return delegation is not None and delegation.server is not None


def _delegated_targets(report: Report) -> DelegatedTargets | None:
    """Return None if a lookup has failed, because that does not count as a change of the delegation.

    There are two cases: no target was found, or the only targets are those of a server without a well-known, because
    the well-known did not answer in time.
    """
    route = report.route
    if not route.targets or verdict.well_known_ran_out_of_time(report):
        return None
    return route.method, frozenset(route.targets)
