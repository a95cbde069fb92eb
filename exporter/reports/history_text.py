"""What happened to a server as text for people. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from rich.text import Text
from rich.tree import Tree

from exporter.history.changes import Change
from exporter.history.incidents import Incident, Phase, PhaseProblem

_MOST_SHOWN = 10  # of the incidents, and of the changes

_Event = TypeVar("_Event", Incident, Change)


def build_history_tree(incidents: Sequence[Incident], changes: Sequence[Change]) -> Tree:
    """Return the latest incidents and changes, the newest first. Times are UTC."""
    root = Tree("history", guide_style="dim")
    _add(root, "incidents", incidents, (_incident_line(each) for each in incidents))
    _add(root, "changes", changes, (_change_line(each) for each in changes))
    return root


def _add(root: Tree, title: str, events: Sequence[_Event], lines: Iterator[str]) -> None:
    hidden = len(events) - _MOST_SHOWN
    branch = root.add(title if events else f"{title}: none")
    for _, line in zip(range(_MOST_SHOWN), lines, strict=False):
        branch.add(Text(line))
    if hidden > 0:
        branch.add(f"and {hidden} earlier")


def _incident_line(incident: Incident) -> str:
    return f"{_time(incident.began)} {_until(incident)}: {', then '.join(map(_phase, incident.phases))}"


def _until(incident: Incident) -> str:
    """The date is only repeated if it is another one."""
    if incident.ended is None:
        return "until now"
    return f"to {_time(incident.ended).removeprefix(f'{incident.began:%Y-%m-%d} ')}"


def _phase(phase: Phase) -> str:
    return ", ".join(map(_problem, phase.problems)) or f"federation {phase.federation}"


def _problem(problem: PhaseProblem) -> str:
    where = f" at {problem.broken} of {problem.endpoints} endpoints" if problem.endpoints else ""
    return f"{problem.stage} {problem.reason}{where}"


def _change_line(change: Change) -> str:
    return f"{_time(change.at)} {change.subject.replace('_', ' ')}: {change.before} → {change.after}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
