"""The problems of a report, with what to do: each once, however many endpoints have it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.judging import peers, remedies, verdict
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from exporter.model.report import LocatedProblem, Report


@dataclass(frozen=True, slots=True)
class PeerView:
    """Whether an implementation gets through."""

    name: str
    """As people write it."""
    federates: bool
    problem: LocatedProblem | None
    """What stops it; None if it federates, or if that is not known."""


@dataclass(frozen=True, slots=True)
class ProblemView:
    """A reason at a stage, with everything that was found about it."""

    stage: Stage
    reason: Reason
    remedy: str
    stops: str
    """The implementations that it stops, such as `Synapse and Dendrite`. Empty if it stops none."""
    endpoints: int
    """How many endpoints have it. 0 for the stages before `tcp`, which are not about endpoints."""
    details: tuple[tuple[str, str], ...]
    """Sentences, each with the addresses of the endpoints that it is about."""


def peer_views(report: Report) -> list[PeerView]:
    """Return the verdict of every implementation."""
    verdicts = peers.verdicts(report)
    of = [(peer.name, verdicts[peer.implementation]) for peer in peers.PEERS]
    return [PeerView(f"{name[0].upper()}{name[1:]}", each.federates, each.problem) for name, each in of]


def problem_views(report: Report) -> list[ProblemView]:
    """Return what stops homeservers, and all other problems, in the order of the stages."""
    stopped = {obstacle.problem: obstacle.names for obstacle in peers.obstacles(report) if obstacle.problem}
    kinds: dict[tuple[Stage, Reason, str], list[LocatedProblem]] = {}
    for located in dict.fromkeys(verdict.in_order([*stopped, *verdict.problems(report)])):
        kind = located.stage, located.problem.reason, remedies.remedy(report, located)
        kinds.setdefault(kind, []).append(located)
    return [
        ProblemView(*kind, _stops([name for each in alike for name in stopped.get(each, ())]), *_found(alike))
        for kind, alike in kinds.items()
    ]


def _stops(names: Sequence[str]) -> str:
    return peers.join_names(list(dict.fromkeys(names))) if names else ""


def _found(alike: Sequence[LocatedProblem]) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Return the number of endpoints, and the details with their addresses."""
    addresses: dict[str, list[str]] = {}
    for located in alike:
        of_detail = addresses.setdefault(located.problem.detail, [])
        if located.endpoint:
            of_detail.append(located.endpoint.address)
    endpoints = {located.endpoint for located in alike if located.endpoint}
    return len(endpoints), tuple((detail, ", ".join(dict.fromkeys(at))) for detail, at in addresses.items())
