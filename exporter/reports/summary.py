"""What a list of servers shows of each, and searches and sorts by. It is derived once from every report. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from exporter.judging import peers, verdict
from exporter.judging.verdict import Federation
from exporter.judging.warnings import WarningName
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from exporter.model.report import LocatedProblem, Report
from exporter.reports.server_state import ServerState


class State(StrEnum):
    """The state of a server in a list: the verdict, if there is one. The worst comes first."""

    NONE = Federation.NONE.value
    PARTIAL = Federation.PARTIAL.value
    UNKNOWN = "unknown"
    """There is no result yet."""
    FULL = Federation.FULL.value


_SEVERITY: Final = {state: number for number, state in enumerate(State)}
_MAX_SHARED: Final = 1024  # sequences of results


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list shows of a server."""

    name: str
    state: State
    since: datetime | None
    """The time since which the verdict has been the same."""
    causes: tuple[tuple[Stage, Reason], ...]
    """What stops homeservers, and then the other problems, in the order of the stages."""
    warnings: tuple[WarningName, ...]
    expires: datetime | None
    """When the first certificate of the server expires, or one that verifies it."""
    searched: str
    """The texts that a search looks into, in lower case."""
    checked: datetime | None
    """When the latest report was made."""
    results: tuple[State, ...]
    """The latest results, the newest first. Servers that have the same share one object."""

    @property
    def exporter_offline(self) -> bool:
        """Whether the exporter was offline during the latest probe, so that the report is older."""
        return self.results[:1] == (State.UNKNOWN,)

    # What is not known comes last in all orders.

    @property
    def by_state(self) -> tuple[int, float, str]:
        """Sorts the worst state first, and then the latest change of the state."""
        return _SEVERITY[self.state], *self.by_change

    @property
    def by_change(self) -> tuple[float, str]:
        return -self.since.timestamp() if self.since else 0.0, self.name

    @property
    def by_expiry(self) -> tuple[float, str]:
        return _seconds(self.expires), self.name

    @property
    def by_age(self) -> tuple[float, str]:
        """Sorts the oldest result first."""
        return _seconds(self.checked), self.name


def summarize(state: ServerState) -> Summary:
    """Return the summary of a state. It takes 0.1 ms."""
    name, listed = state.watched.server_name.text, State(state.federation or State.UNKNOWN)
    causes = find_causes(state.report, listed) if state.report else ()
    warned = tuple(dict.fromkeys(each.warning for each in state.warnings))
    expires = min(_expiries(state.report), default=None) if state.report else None
    return Summary(
        name=name,
        state=listed,
        since=state.since,
        causes=causes,
        warnings=warned,
        expires=expires,
        searched=" ".join((name, *(word for cause in causes for word in cause), *warned, *_software(state))).lower(),
        checked=state.report.ended_at if state.report else None,
        results=_states(state.history.federations),
    )


@lru_cache(_MAX_SHARED)
def _states(federations: tuple[Federation | None, ...]) -> tuple[State, ...]:
    return tuple(State(federation or State.UNKNOWN) for federation in federations)


def _seconds(at: datetime | None) -> float:
    return at.timestamp() if at else math.inf


def find_causes(report: Report, state: State) -> tuple[tuple[Stage, Reason], ...]:
    """Return every reason once for each stage."""
    stopping = () if state is State.FULL else (each.problem for each in peers.obstacles(report) if each.problem)
    in_order: list[LocatedProblem] = verdict.in_order([*stopping, *verdict.problems(report)])
    return tuple(dict.fromkeys((located.stage, located.problem.reason) for located in in_order))


def _expiries(report: Report) -> Iterator[datetime]:
    for sessions in verdict.tls_sessions(report).values():
        yield from (min(each.certificate.not_after, each.certificate.chain_not_after) for each in sessions)


def _software(state: ServerState) -> Iterator[str]:
    software = verdict.software(state.report) if state.report else None
    if software:
        yield from filter(None, (software.name, software.version))
