"""The board: the state of every watched server."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from types import MappingProxyType
from typing import Final

from exporter.history.history import Entry
from exporter.history.memory import ServerMemory
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.servers import WatchedServer
from exporter.reports.server_state import ServerState, history_entry
from exporter.reports.summary import Summary, summarize

_NOTHING: Final[Mapping[ServerName, ServerMemory]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RenderedLines:
    """The lines of one server on `/metrics`, without what a scrape puts into them."""

    server_labels: bytes
    families: tuple[bytes, ...]
    """An entry for every metric family, in the order of the table of families."""


@dataclass(frozen=True, slots=True)
class RenderedState:
    """A state, with what was rendered from it when it changed."""

    state: ServerState
    lines: RenderedLines
    fresh_until: datetime
    """The time from which on the report is stale."""
    summary: Summary
    number: int = field(default_factory=count().__next__, compare=False)
    """No two of them have the same."""

    @classmethod
    def of(cls, state: ServerState, lines: RenderedLines) -> "RenderedState":
        return cls(state, lines, state.fresh_until, summarize(state))


@dataclass(frozen=True, slots=True)
class WatchChanges:
    """How the servers that are to be watched differ from those that are."""

    added: Sequence[WatchedServer]
    """Those that are new, or have other settings."""
    removed: Sequence[ServerName]
    order: Sequence[ServerName]
    """All that are to be watched."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All states at one time, in the order in which the servers are watched."""

    taken_at: datetime
    states: tuple[RenderedState, ...]

    def compare(self, watched: Sequence[WatchedServer]) -> WatchChanges:
        """Return what has to change so that these servers are watched. It takes a while, and any thread may do it."""
        before = {rendered.state.watched.server_name: rendered.state.watched for rendered in self.states}
        names = {server.server_name for server in watched}
        return WatchChanges(
            added=[server for server in watched if before.get(server.server_name) != server],
            removed=[name for name in before if name not in names],
            # The same objects as before are found in half the time.
            order=[before.get(server.server_name, server).server_name for server in watched],
        )


class Board:
    """Holds the latest states. Only one thread may use it; what it returns is immutable and safe for other threads."""

    def __init__(
        self,
        render: Callable[[ServerState], RenderedLines],
        now: Callable[[], datetime],
        record: Callable[[Entry], None] = lambda _: None,
    ) -> None:
        """`render` is called once for every change, so that a scrape has nothing left to compute. `now` is in UTC.
        `record` keeps what each report adds to the history.
        """
        self._render_lines = render
        self.now = now
        self._record = record
        self.follow: Callable[[WatchedServer], None] = lambda _: None
        """Plans the next probe of a server, after each report. It may be replaced."""
        self._rendered: dict[ServerName, RenderedState] = {}
        self.latest: datetime | None = None
        """When the latest report was recorded."""

    def __repr__(self) -> str:
        reported = sum(rendered.state.report is not None for rendered in self._rendered.values())
        return f"<{type(self).__name__} {len(self._rendered)} servers, {reported} with a report>"

    @property
    def size(self) -> int:
        """The number of watched servers."""
        return len(self._rendered)

    def new_among(self, servers: Iterable[WatchedServer]) -> Sequence[ServerName]:
        """Return the names of the servers that are not watched yet."""
        return [server.server_name for server in servers if server.server_name not in self._rendered]

    def add(self, servers: Iterable[WatchedServer], memories: Mapping[ServerName, ServerMemory] = _NOTHING) -> None:
        """Watch more servers, or watch some with other settings. To render one takes up to 0.5 ms.

        `memories` is what is remembered of servers that are new to the board.
        """
        self._rendered |= {server.server_name: self._kept(server, memories) for server in servers}

    def remove(self, server_names: Iterable[ServerName]) -> None:
        """Stop watching some servers. To free the state of one takes 10 µs."""
        for name in server_names:
            del self._rendered[name]

    def arrange(self, order: Iterable[ServerName]) -> None:
        """Put the watched servers in order, which takes half a microsecond for each."""
        self._rendered = {name: self._rendered[name] for name in order}

    def watch(self, watched: Iterable[WatchedServer]) -> None:
        """Replace the set of watched servers, if there are few. Servers that remain keep their results."""
        changes = self.snapshot().compare(tuple(watched))
        self.remove(changes.removed)
        self.add(changes.added)
        self.arrange(changes.order)

    def put(self, report: Report) -> bool:
        """Record a report. Return False, without recording it, if the server is not watched any more."""
        rendered = self._rendered.get(report.server_name)
        if rendered is None:
            return False
        state = rendered.state.with_report(report)
        self._rendered[report.server_name] = self._render(state)
        self.latest = self.now()
        self._record(history_entry(rendered.state, state, report))
        self.follow(state.scheduled)
        return True

    def state(self, server_name: ServerName) -> ServerState | None:
        """Return None if the server is not watched."""
        rendered = self._rendered.get(server_name)
        return rendered.state if rendered else None

    def snapshot(self) -> Snapshot:
        """Return the states of all watched servers."""
        return Snapshot(self.now(), tuple(self._rendered.values()))

    def scheduled(self) -> Iterator[WatchedServer]:
        """Return the watched servers with the intervals in force as they are now. Any thread may iterate over them."""
        return (rendered.state.scheduled for rendered in tuple(self._rendered.values()))

    def _kept(self, watched: WatchedServer, memories: Mapping[ServerName, ServerMemory] = _NOTHING) -> RenderedState:
        """Return the state of a server that is to be watched. There are three cases:

        - The server is new: its state is empty, apart from what is remembered of it.
        - The server and its settings are the same: its state is not even rendered again.
        - The settings have changed: its results remain, and are rendered again.
        """
        rendered = self._rendered.get(watched.server_name)
        if rendered is None:
            return self._render(ServerState(watched, memories.get(watched.server_name, ServerMemory())))
        if rendered.state.watched == watched:
            return rendered
        return self._render(replace(rendered.state, watched=watched))

    def _render(self, state: ServerState) -> RenderedState:
        return RenderedState.of(state, self._render_lines(state))
