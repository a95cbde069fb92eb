"""What is remembered of a server from one report to the next, and over restarts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from exporter.history import changes, incidents
from exporter.history.changes import Change, Observation, Subject
from exporter.history.incidents import Incident
from exporter.judging.verdict import Federation
from exporter.model.outcomes import found
from exporter.model.report import Report


@dataclass(frozen=True, slots=True)
class ServerMemory:
    """What is remembered of one server."""

    federation: Federation | None = None
    """The latest verdict. None if there is none yet."""
    since: datetime | None = None
    """The time since which the verdict has been the same."""
    well_known_last_seen: datetime | None = None
    """When a valid well-known was last seen."""
    incident: Incident | None = None
    """The incident that lasts."""
    observed: Mapping[Subject, Observation] = field(default_factory=dict)
    """What the latest good observation of each subject showed."""

    def after(
        self, report: Report, federation: Federation, *, failed: bool
    ) -> tuple["ServerMemory", tuple[Change, ...]]:
        """Return what is remembered after a report and the verdicts on it, and what the report changed."""
        observed, changed = changes.observe(self.observed, report)
        memory = replace(
            self,
            federation=federation,
            since=self.since if federation is self.federation else report.ended_at,
            well_known_last_seen=report.ended_at if _has_delegation(report) else self.well_known_last_seen,
            incident=incidents.follow(self.incident, report, federation, failed=failed),
            observed=observed,
        )
        return memory, changed

    def with_incident(self, incident: Incident) -> "ServerMemory":
        return replace(self, incident=incident)


def _has_delegation(report: Report) -> bool:
    delegation = found(report.well_known)
    return delegation is not None and delegation.server is not None
