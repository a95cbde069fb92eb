"""The latest report of every watched server, and a short memory of those before it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.servers import WatchedServer
from exporter.reports.server_state import ServerState

RenderedLines: TypeAlias = tuple[bytes, ...]
"""What `/metrics` says of one server: an entry for every metric family, in the order of the table."""


@dataclass(frozen=True, slots=True)
class RenderedState:
    """A state, and what was drawn from it when it changed."""

    state: ServerState
    lines: RenderedLines
    fresh_until: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    taken_at: datetime
    states: tuple[RenderedState, ...]


class Board:
    """Belongs to one thread; what it hands out is immutable and may be read by any."""

    def __init__(self, draw: Callable[[ServerState], RenderedLines], now: Callable[[], datetime]) -> None:
        """`draw` is called once for every change, so that a scrape has nothing left to compute. `now` is in UTC."""
        self._draw = draw
        self._now = now
        self._rendered: dict[ServerName, RenderedState] = {}

    def watch(self, watched: Iterable[WatchedServer]) -> None:
        """Replaces the whole set of watched servers. Those that stay keep their results."""
        self._rendered = {server.server_name: self._kept(server) for server in watched}

    def put(self, report: Report) -> bool:
        """False, and nothing is kept, where the server is no longer watched: a probe may outlive its removal."""
        rendered = self._rendered.get(report.server_name)
        if rendered is None:
            return False
        self._rendered[report.server_name] = self._render(rendered.state.with_report(report))
        return True

    def state(self, server_name: ServerName) -> ServerState | None:
        rendered = self._rendered.get(server_name)
        return rendered.state if rendered else None

    def snapshot(self) -> Snapshot:
        """All watched servers, in the order in which they were given."""
        return Snapshot(self._now(), tuple(self._rendered.values()))

    def _kept(self, watched: WatchedServer) -> RenderedState:
        rendered = self._rendered.get(watched.server_name)
        if rendered is None:
            return self._render(ServerState(watched))
        if rendered.state.watched == watched:
            return rendered
        return self._render(replace(rendered.state, watched=watched))

    def _render(self, state: ServerState) -> RenderedState:
        return RenderedState(state, self._draw(state), state.fresh_until)
