"""The incidents of a server: how each went. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.history.changes import Change
from exporter.history.incidents import Incident, Phase, PhaseProblem
from exporter.judging import peers


@dataclass(frozen=True, slots=True)
class PhaseView:
    """What failed from a time on."""

    phase: Phase
    problems: tuple[tuple[PhaseProblem, str], ...]
    """Each with where it was, such as `at 2 of 2 addresses`."""


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident, and what changed about the server while it lasted."""

    incident: Incident
    phases: tuple[PhaseView, ...]
    changed: str
    """Such as `certificate and addresses`. Empty if nothing changed."""


def incident_views(incidents: Sequence[Incident], changes: Sequence[Change]) -> list[IncidentView]:
    """Return the incidents in the given order."""
    return [
        IncidentView(incident, tuple(map(_phase_view, incident.phases)), _changed_during(incident, changes))
        for incident in incidents
    ]


def _phase_view(phase: Phase) -> PhaseView:
    return PhaseView(phase, tuple((problem, _where(problem)) for problem in phase.problems))


def _where(problem: PhaseProblem) -> str:
    if not problem.endpoints:
        return ""
    return f"at {problem.broken} of {problem.endpoints} address{'es' if problem.endpoints > 1 else ''}"


def _changed_during(incident: Incident, changes: Sequence[Change]) -> str:
    """Return what changed, including what the first good result showed."""
    subjects = [
        change.subject.replace("_", " ")
        for change in reversed(changes)
        if incident.began < change.at and (incident.ended is None or change.at <= incident.ended)
    ]
    return peers.join_names(list(dict.fromkeys(subjects))) if subjects else ""
