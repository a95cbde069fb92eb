"""The entries of a feed: incidents and changes, as sentences. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote
from uuid import UUID, uuid5

from exporter.history.changes import Change
from exporter.history.incidents import Incident, Phase, PhaseProblem
from exporter.judging.verdict import Federation
from exporter.reports.phrases import format_span

_NAMESPACE: Final = UUID("6c1c6f0a-5f0b-4c57-9d0e-8f2f6a1f3f5e")  # of the IDs of all feeds and entries; never change it


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. All texts are plain."""

    id: str
    """The same for the same incident or change, whatever becomes of it."""
    title: str
    lines: tuple[str, ...]
    published: datetime
    updated: datetime
    link: str
    """Relative to `/`."""


def permanent_id(*what: str) -> str:
    """Return an ID that is derived from what it identifies."""
    return uuid5(_NAMESPACE, " ".join(what)).urn


def entries(incidents: Sequence[Incident], changes: Sequence[Change]) -> list[Entry]:
    """Return an entry for each of them, the latest update first."""
    unordered = [*map(_incident_entry, incidents), *map(_change_entry, changes)]
    return sorted(unordered, key=lambda entry: (entry.updated, entry.id), reverse=True)


def _incident_entry(incident: Incident) -> Entry:
    name = incident.server_name.text
    return Entry(
        id=permanent_id("incident", name, incident.began.isoformat()),
        title=_incident_title(incident),
        lines=tuple(_incident_lines(incident)),
        published=incident.began,
        updated=incident.ended or incident.phases[-1].since,
        link=f"servers/{quote(name, safe='')}/incidents/{quote(incident.began.isoformat(), safe='')}",
    )


def _incident_title(incident: Incident) -> str:
    if incident.ended:
        return f"{incident.server_name} federates again, after {format_span(incident.ended - incident.began)}"
    return f"{incident.server_name} {_verdict(incident.phases[-1])}"


def _incident_lines(incident: Incident) -> Iterator[str]:
    for phase in incident.phases:
        yield f"{phase.since:%Y-%m-%d %H:%M} UTC: {_verdict(phase)}"
    if incident.ended:
        yield f"{incident.ended:%Y-%m-%d %H:%M} UTC: federates again"


def _verdict(phase: Phase) -> str:
    verdict = "does not federate" if phase.federation is Federation.NONE else "federates only in part"
    causes = ", ".join(map(_cause, phase.problems))
    return f"{verdict}: {causes}" if causes else verdict


def _cause(problem: PhaseProblem) -> str:
    where = f" at {problem.broken} of {problem.endpoints} endpoints" if problem.endpoints > 1 else ""
    return f"{problem.stage} {problem.reason}{where}"


def _change_entry(change: Change) -> Entry:
    name, subject = change.server_name.text, change.subject.replace("_", " ")
    return Entry(
        id=permanent_id("change", name, change.at.isoformat(), change.subject),
        title=f"{name} changed: {subject}",
        lines=(f"before: {change.before}", f"after: {change.after}"),
        published=change.at,
        updated=change.at,
        link=f"servers/{quote(name, safe='')}",
    )
