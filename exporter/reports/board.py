"""The latest report of every watched server, and a short memory of those before it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.servers import Watched
from exporter.reports.server_state import Standing

Lines: TypeAlias = tuple[bytes, ...]
"""What `/metrics` says of one server: an entry for every metric family, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A standing, and what was drawn from it when it changed."""

    standing: Standing
    lines: Lines
    fresh_until: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    taken_at: datetime
    posted: tuple[Posted, ...]


class Board:
    """Belongs to one thread; what it hands out is immutable and may be read by any."""

    def __init__(self, draw: Callable[[Standing], Lines], now: Callable[[], datetime]) -> None:
        """`draw` is called once for every change, so that a scrape has nothing left to compute. `now` is in UTC."""
        self._draw = draw
        self._now = now
        self._posted: dict[ServerName, Posted] = {}

    def watch(self, watched: Iterable[Watched]) -> None:
        """Replaces the whole set of watched servers. Those that stay keep their results."""
        self._posted = {server.server_name: self._kept(server) for server in watched}

    def put(self, report: Report) -> bool:
        """False, and nothing is kept, where the server is no longer watched: a probe may outlive its removal."""
        posted = self._posted.get(report.server_name)
        if posted is None:
            return False
        self._posted[report.server_name] = self._post(posted.standing.after(report))
        return True

    def standing(self, server_name: ServerName) -> Standing | None:
        posted = self._posted.get(server_name)
        return posted.standing if posted else None

    def snapshot(self) -> Snapshot:
        """All watched servers, in the order in which they were given."""
        return Snapshot(self._now(), tuple(self._posted.values()))

    def _kept(self, watched: Watched) -> Posted:
        posted = self._posted.get(watched.server_name)
        if posted is None:
            return self._post(Standing(watched))
        if posted.standing.watched == watched:
            return posted
        return self._post(replace(posted.standing, watched=watched))

    def _post(self, standing: Standing) -> Posted:
        return Posted(standing, self._draw(standing), standing.fresh_until)
