"""What a report adds to the history, and what can be read from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from exporter.history.changes import Change
from exporter.history.incidents import Incident
from exporter.history.memory import ServerMemory
from exporter.history.strips import Strip
from exporter.judging.verdict import Federation
from exporter.model.names import ServerName
from exporter.model.report import Report


@dataclass(frozen=True, slots=True)
class Entry:
    """What one result of a watched server adds to the history."""

    server_name: ServerName
    at: datetime
    federation: Federation | None
    """The verdict. None if the exporter was offline, so that there is none."""
    memory: ServerMemory
    """What is remembered afterwards."""
    incident: Incident | None = None
    """The incident that began, changed or ended."""
    changes: tuple[Change, ...] = ()
    first_failure: Report | None = None
    """The report, if the incident began with it."""
    urgent: bool = False
    """Something happened that must be stored immediately; otherwise, it is one more result like those before."""


def entry(
    before: ServerMemory,
    after: ServerMemory,
    report: Report,
    federation: Federation | None,
    changes: tuple[Change, ...],
) -> Entry:
    """Return what a report adds, from what was remembered before and after it."""
    incident = after.incident
    if before.incident and incident is None:
        incident = replace(before.incident, ended=report.ended_at)
    happened = incident if after.incident is not before.incident else None
    return Entry(
        report.server_name,
        report.ended_at,
        federation,
        after,
        happened,
        changes,
        first_failure=report if happened and before.incident is None else None,
        urgent=happened is not None or bool(changes) or after.since != before.since,
    )


class History(Protocol):
    """What happened, in memory or in a file."""

    async def incidents(self, server_name: ServerName | None, since: datetime, limit: int) -> Sequence[Incident]:
        """Return the incidents of a server, or of all, that lasted at `since` or later, the newest first."""
        ...

    async def changes(self, server_name: ServerName | None, since: datetime, limit: int) -> Sequence[Change]:
        """Return the changes of a server, or of all, at `since` or later, the newest first."""
        ...

    async def strips(self, server_name: ServerName) -> tuple[Strip, Strip]:
        """Return the results of the last 24 hours in half hours, and those of the last 90 days in days."""
        ...

    async def first_failure(self, incident: Incident) -> dict[str, object] | None:
        """Return the first failing report of an incident as JSON, or None if it is not kept."""
        ...
