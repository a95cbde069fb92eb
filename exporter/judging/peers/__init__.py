"""What real homeservers make of a server: a verdict of each implementation, derived from one report. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from types import MappingProxyType
from typing import Final

from exporter.judging.peers.conduit import Conduit
from exporter.judging.peers.dendrite import Dendrite
from exporter.judging.peers.peer import Peer, PeerVerdict
from exporter.judging.peers.synapse import Synapse
from exporter.model.enums import Implementation
from exporter.model.report import EndpointReport, LocatedProblem, Report, Way

_DECISIVE: Final[tuple[Peer, ...]] = (Synapse(), Dendrite())
"""Those that `verdict.federates` depends on: the Conduit family is modelled from its library for discovery alone."""
PEERS: Final[tuple[Peer, ...]] = (*_DECISIVE, Conduit())
_REPORTS_KEPT = 4  # a probe makes a few, each from the one before
DECISIVE: Final = frozenset(peer.implementation for peer in _DECISIVE)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A problem, and the implementations that it stops."""

    names: tuple[str, ...]
    """As people write them."""
    problem: LocatedProblem | None
    """None if nothing is known about it."""

    def __str__(self) -> str:
        who = join_names(self.names)
        text = f"{who[0].upper()}{who[1:]} {'fails' if len(self.names) == 1 else 'fail'}"
        if self.problem is None:
            return text
        found, endpoint = self.problem.problem, self.problem.endpoint
        of_endpoint = f" of {endpoint.address}" if endpoint else ""
        return f"{text} at {self.problem.stage}{of_endpoint} ({found.reason}): {found.detail}"


def verdicts(report: Report) -> Mapping[Implementation, PeerVerdict]:
    """Return the verdict of each implementation. Those on the latest reports are kept: one after the other, the state,
    the warnings, the log and the metrics of a server begin with them.
    """
    return _verdicts(_Same(report))


class _Same:
    """A report that equals itself alone, as comparing two of them costs more than a verdict."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def __hash__(self) -> int:
        return id(self.report)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.report is self.report


@lru_cache(_REPORTS_KEPT)
def _verdicts(same: _Same) -> Mapping[Implementation, PeerVerdict]:
    return MappingProxyType({peer.implementation: peer.verdict(same.report) for peer in PEERS})


def obstacles(report: Report) -> list[Obstacle]:
    """Return what stops each implementation that does not get through. Those that it stops alike share one."""
    stopped = [(peer, of.problem) for peer in PEERS if not (of := peer.verdict(report)).federates]
    return [
        Obstacle(tuple(peer.name for peer, _ in alike), problem)
        for problem, alike in groupby(stopped, key=lambda each: each[1])
    ]


def detours(report: Report) -> list[tuple[tuple[str, ...], Way]]:
    """Return the ways that lead to other endpoints than the specification, and the names of those who take them."""
    usual = [seen.endpoint for seen in report.endpoints]
    taken = [(peer, way) for peer in PEERS if (way := report.detours.get(peer.implementation))]
    return [
        (tuple(peer.name for peer, _ in alike), way)
        for way, alike in groupby(taken, key=lambda each: each[1])
        if way.endpoints and [seen.endpoint for seen in way.endpoints] != usual
    ]


def fault_at(endpoint: EndpointReport) -> LocatedProblem | None:
    """Return what stops Synapse or Dendrite at an endpoint that accepts connections."""
    return next((fault for peer in _DECISIVE if (fault := peer.endpoint_fault(endpoint))), None)


def names_without_cipher(cipher: str) -> list[str]:
    """Return the implementations that do not offer a cipher suite in TLS 1.2, which has its name of OpenSSL."""
    return [peer.name for peer in PEERS if not peer.offers(cipher)]


def join_names(names: Sequence[str]) -> str:
    """Return `A`, `A and B` or `A, B and C`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
