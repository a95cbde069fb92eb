"""The state of one watched server: its latest report, and a short history."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from exporter.history.changes import Change, Subject
from exporter.history.history import Entry, entry
from exporter.history.memory import ServerMemory
from exporter.history.results import Result, Results
from exporter.judging import verdict, warnings
from exporter.judging.verdict import Federation
from exporter.judging.warnings import ActiveWarning
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import WatchedServer

_STALE_AFTER_INTERVALS = 3  # one probe may be skipped and the next one late before a result counts as stale
_STALE_AFTER_AT_LEAST = timedelta(minutes=5)  # the lookback of Prometheus
_MAX_CONFIRMATIONS = 10  # in a row: a server whose verdict changes with every probe is not probed ten times as often
RESULTS_KEPT, FAILURES_KEPT = 10, 5
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of one watched server. Counters start at 0 when the exporter starts to watch the server."""

    watched: WatchedServer
    memory: ServerMemory = field(default_factory=ServerMemory)
    """What is remembered of the server, over restarts too."""
    report: Report | None = None
    """The latest report, without those that were made while the exporter was offline."""
    federation: Federation | None = None
    """The verdict on `report`. None if there is no report."""
    warnings: tuple[ActiveWarning, ...] = ()
    """Those about `report`, which may also depend on earlier reports."""
    disagreements: int = 0
    """How many results in a row had another verdict than the one before. 0 once two agree. A first failure counts."""
    last_success: datetime | None = None
    probes: int = 0
    failures: int = 0
    changes: tuple[Change, ...] = ()
    """What the latest report changed."""
    change_counts: Mapping[Subject, int] = field(default_factory=dict)
    """How often each subject has changed; those that never have are missing."""
    history: Results = Results()  # noqa: RUF009 - it is frozen
    """The latest results, the newest first."""
    last_failures: Results = Results()  # noqa: RUF009 - likewise
    """The latest failures, the newest first. They are separate, so that successes do not displace them."""

    def with_report(self, report: Report) -> "ServerState":
        """Return the state after another probe.

        A report that was made while the exporter was offline only counts as a probe, and is kept in the history.
        """
        if report.exporter_offline:
            return self._with_offline_report(report)
        report = report.with_looks_from(self.report)
        succeeded, federation = verdict.federates(report), verdict.federation(report)
        result = Result(report.ended_at, report.seconds, succeeded, federation, _failure_reasons(report))
        memory, changes = self.memory.after(report, federation, failed=not succeeded)
        return replace(
            self,
            memory=memory,
            report=report,
            federation=federation,
            warnings=warnings.warnings(report, memory.well_known_last_seen),
            disagreements=0 if federation is (self.memory.federation or Federation.FULL) else self.disagreements + 1,
            last_success=report.ended_at if succeeded else self.last_success,
            probes=self.probes + 1,
            failures=self.failures + (not succeeded),
            changes=changes,
            change_counts=_count(self.change_counts, changes),
            history=self.history.with_newest(result, RESULTS_KEPT),
            last_failures=self.last_failures if succeeded else self.last_failures.with_newest(result, FAILURES_KEPT),
        )

    def _with_offline_report(self, report: Report) -> "ServerState":
        result = Result(
            report.ended_at, report.seconds, federates=False, federation=None, problems=_failure_reasons(report)
        )
        return replace(self, probes=self.probes + 1, changes=(), history=self.history.with_newest(result, RESULTS_KEPT))

    @property
    def since(self) -> datetime | None:
        """The time since which the verdict has been the same. None if there is no verdict."""
        return self.memory.since

    @property
    def well_known_last_seen(self) -> datetime | None:
        """When a valid well-known was last seen."""
        return self.memory.well_known_last_seen

    @property
    def exporter_offline(self) -> bool:
        """Whether the exporter was offline during the latest probe, so that `report` is older."""
        return bool(self.history) and self.history[0].exporter_offline

    def includes(self, report: Report) -> bool:
        """Whether the report, or a later one, is part of this state."""
        return bool(self.history) and self.history[0].ended_at >= report.ended_at

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the next probe has to confirm the verdict soon.

        Nothing is confirmed while the exporter is offline: its probes would tell nothing, and all come at once.
        """
        return 0 < self.disagreements <= _MAX_CONFIRMATIONS and not self.exporter_offline

    @property
    def is_dormant(self) -> bool:
        """Whether the server has failed for so long that it is probed rarely, until one probe succeeds.

        What counts is the latest result that says something about the server: an outage makes nobody dormant.
        """
        incident = self.memory.incident
        if self.report is None or incident is None:
            return False
        return (self.report.ended_at - incident.began).total_seconds() >= self.watched.cadence.dormant_after

    @property
    def usual_interval(self) -> float:
        """The interval in force while there is nothing to confirm, in seconds."""
        interval = self.watched.interval
        return max(interval, self.watched.cadence.dormant_interval) if self.is_dormant else interval

    @property
    def interval(self) -> float:
        """The interval in force, in seconds."""
        usual = self.usual_interval
        return min(usual, self.watched.cadence.confirm_after) if self.is_unconfirmed else usual

    @property
    def fresh_until(self) -> datetime:
        """The time from which on the report is stale and not exposed."""
        if self.report is None:
            return NEVER
        allowed = timedelta(seconds=_STALE_AFTER_INTERVALS * self.usual_interval)
        return self.report.ended_at + max(allowed, _STALE_AFTER_AT_LEAST)


def history_entry(before: ServerState, after: ServerState, report: Report) -> Entry:
    """Return what a report adds to the history, from the states before and after it."""
    if report.exporter_offline:
        return entry(before.memory, after.memory, report, None, ())
    return entry(before.memory, after.memory, after.report or report, after.federation, after.changes)


def _failure_reasons(report: Report) -> tuple[tuple[Stage, Reason], ...]:
    """Return every reason once for each stage."""
    found_now = ((located.stage, located.problem.reason) for located in verdict.problems(report))
    return tuple(dict.fromkeys(found_now))


def _count(counts: Mapping[Subject, int], changes: tuple[Change, ...]) -> Mapping[Subject, int]:
    return {**counts, **{each.subject: counts.get(each.subject, 0) + 1 for each in changes}} if changes else counts
