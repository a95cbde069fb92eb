"""Incidents: from the first failing result of a server to the first good one. Pure."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

from exporter.judging import peers, verdict
from exporter.judging.verdict import Federation
from exporter.model.enums import Stage
from exporter.model.names import ServerName
from exporter.model.reasons import Reason
from exporter.model.report import LocatedProblem, Report

_MAX_PHASES = 10  # of an incident: the first, and the latest of the others
_MAX_PROBLEMS = 8  # of a phase


@dataclass(frozen=True, slots=True)
class PhaseProblem:
    """A reason for which a stage fails."""

    stage: Stage
    reason: Reason
    broken: int
    """The endpoints where it fails. 0 for the stages before `tcp`, which are not about endpoints."""
    endpoints: int
    """All endpoints; 0 likewise."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What failed from a time on, while an incident lasted."""

    since: datetime
    federation: Federation
    """NONE, or PARTIAL if one of Synapse and Dendrite gets through."""
    problems: tuple[PhaseProblem, ...]


@dataclass(frozen=True, slots=True)
class Incident:
    """The time from the first failing result to the first good one. A failing result is one with `probe_success` 0."""

    server_name: ServerName
    began: datetime
    """When the first failing probe ended, in UTC. There is one incident of a server that began then."""
    ended: datetime | None
    """When the first good probe ended, or None if the incident lasts."""
    phases: tuple[Phase, ...]
    """The oldest first."""


def follow(incident: Incident | None, report: Report, federation: Federation, *, failed: bool) -> Incident | None:
    """Return the incident that lasts after a report, or None if there is none."""
    if not failed:
        return None
    phase = Phase(report.ended_at, federation, _problems(report))
    if incident is None:
        return Incident(report.server_name, report.ended_at, None, (phase,))
    first, *others = incident.phases
    if replace(incident.phases[-1], since=phase.since) == phase:
        return incident
    return replace(incident, phases=(first, *[*others, phase][1 - _MAX_PHASES :]))


def _problems(report: Report) -> tuple[PhaseProblem, ...]:
    """Return the problems of the stages, or what stops the implementations if no stage fails."""
    located = verdict.problems(report) or [each.problem for each in peers.obstacles(report) if each.problem]
    broken = Counter((each.stage, each.problem.reason) for each in {_key(each): each for each in located}.values())
    at_endpoints = {each.stage for each in located if each.endpoint}
    return tuple(
        PhaseProblem(stage, reason, *((count, len(report.endpoints)) if stage in at_endpoints else (0, 0)))
        for (stage, reason), count in list(broken.items())[:_MAX_PROBLEMS]
    )


def _key(located: LocatedProblem) -> tuple[Stage, Reason, object]:
    """An endpoint may fail several times for the same reason."""
    return located.stage, located.problem.reason, located.endpoint
