"""Lists of servers, incidents and changes as plain JSON values, for other programs. Pure.

Times are UTC (RFC 3339). Those of incidents and changes are exact, because they identify them.
"""

from datetime import UTC, datetime
from typing import Any, TypeAlias

from exporter.history.changes import Change
from exporter.history.incidents import Incident, Phase, PhaseProblem
from exporter.reports.board import RenderedState

JsonObject: TypeAlias = dict[str, Any]


def server_json(server: RenderedState, now: datetime) -> JsonObject:
    """Return what a list says of a server."""
    watched, summary = server.watched, server.summary
    return {
        "server_name": summary.name,
        "group": watched.group,
        "labels": dict(watched.labels),
        "state": summary.state,
        "since": _rfc3339(summary.since),
        "checked_at": _rfc3339(summary.checked),
        "stale": summary.checked is not None and server.fresh_until < now,
        "exporter_offline": summary.exporter_offline,
        "causes": [{"stage": stage, "reason": reason} for stage, reason in summary.causes],
        "warnings": list(summary.warnings),
        "first_expiry": _rfc3339(summary.expires),
    }


def incident_json(incident: Incident) -> JsonObject:
    return {
        "server_name": incident.server_name.text,
        "began": _exact(incident.began),
        "ended": _exact(incident.ended) if incident.ended else None,
        "phases": [_phase_json(phase) for phase in incident.phases],
    }


def _phase_json(phase: Phase) -> JsonObject:
    return {
        "since": _exact(phase.since),
        "federation": phase.federation,
        "problems": [_problem_json(problem) for problem in phase.problems],
    }


def _problem_json(problem: PhaseProblem) -> JsonObject:
    """Only from `tcp` on, stages are about endpoints."""
    at_endpoints = problem.endpoints > 0
    return {
        "stage": problem.stage,
        "reason": problem.reason,
        "broken_endpoints": problem.broken if at_endpoints else None,
        "endpoints": problem.endpoints if at_endpoints else None,
    }


def change_json(change: Change) -> JsonObject:
    return {
        "server_name": change.server_name.text,
        "at": _exact(change.at),
        "subject": change.subject,
        "before": change.before,
        "after": change.after,
    }


def _exact(at: datetime) -> str:
    """Return a UTC time in the format of RFC 3339, to the microsecond."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _rfc3339(at: datetime | None) -> str | None:
    """Return a time to the second."""
    return _exact(at.replace(microsecond=0)) if at else None
