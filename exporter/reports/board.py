"""The board: the state of every watched server."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from itertools import count
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from exporter.history.history import Entry
from exporter.history.memory import ServerMemory
from exporter.judging.verdict import Federation
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.servers import WatchedServer
from exporter.reports.server_state import ServerState, history_entry
from exporter.reports.summary import Summary, summarize
from exporter.runtime.packing import Packer

_NOTHING: Final[Mapping[ServerName, ServerMemory]] = MappingProxyType({})


# What is packed: everything but the server with its settings, which all of its states share.
_results_of = attrgetter(*(each.name for each in fields(ServerState) if each.name != "watched"))
StatePacker: TypeAlias = Packer[tuple[Any, ...]]
"""Packs states to a tenth of their size. To pack or unpack one takes 0.07 ms."""


@dataclass(frozen=True, slots=True)
class RenderedLines:
    """The lines of one server on `/metrics`, without what a scrape puts into them."""

    server_labels: bytes
    families: tuple[bytes, ...]
    """An entry for every metric family, in the order of the table of families."""


@dataclass(frozen=True, slots=True, eq=False)
class RenderedState:
    """What is kept of a state: packed, it takes little memory. The rest was derived from it when it changed."""

    watched: WatchedServer
    packed: bytes
    packer: StatePacker
    interval: float
    """The one in force, in seconds."""
    server_labels: bytes
    families: tuple[bytes, ...]
    """The lines, as `RenderedLines` has them."""
    fresh_until: datetime
    """The time from which on the report is stale."""
    summary: Summary
    number: int = field(default_factory=count().__next__)
    """No two of them have the same."""

    @classmethod
    def of(cls, state: ServerState, lines: RenderedLines, packer: StatePacker) -> "RenderedState":
        packed, summary = packer.pack(_results_of(state), typical=state.federation is Federation.FULL), summarize(state)
        return cls(
            state.watched,
            packed,
            packer,
            state.interval,
            lines.server_labels,
            lines.families,
            state.fresh_until,
            summary,
        )

    @property
    def state(self) -> ServerState:
        """The state, which is unpacked each time."""
        return ServerState(self.watched, *self.packer.unpack(self.packed))

    @property
    def scheduled(self) -> WatchedServer:
        """The server with the interval in force."""
        is_usual = self.interval == self.watched.interval
        return self.watched if is_usual else replace(self.watched, interval=self.interval)


@dataclass(frozen=True, slots=True)
class WatchChanges:
    """How the servers that are to be watched differ from those that are."""

    added: Sequence[WatchedServer]
    """Those that are new, or have other settings."""
    removed: Sequence[ServerName]
    order: Sequence[ServerName]
    """All that are to be watched; none if removing and adding leaves them in their order."""
    size: int
    """How many are to be watched."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All states at one time, in the order in which the servers are watched."""

    taken_at: datetime
    states: tuple[RenderedState, ...]

    def compare(self, watched: Sequence[WatchedServer]) -> WatchChanges:
        """Return what has to change so that these servers are watched. It takes a while, and any thread may do it."""
        before = {rendered.watched.server_name: rendered.watched for rendered in self.states}
        # The same objects as before are found in half the time.
        order = {before.get(server.server_name, server).server_name: None for server in watched}
        added = [server for server in watched if before.get(server.server_name) != server]
        unarranged = dict.fromkeys([name for name in before if name in order] + [each.server_name for each in added])
        return WatchChanges(
            added=added,
            removed=[name for name in before if name not in order],
            order=[] if list(unarranged) == list(order) else list(order),
            size=len(order),
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
        self._packer = StatePacker()
        self._rendered: dict[ServerName, RenderedState] = {}
        self._unpacked: tuple[RenderedState, ServerState] | None = None
        """The latest state that was read: what follows a probe reads that of its server several times."""
        self.latest: datetime | None = None
        """When the latest report was recorded."""

    def __repr__(self) -> str:
        reported = sum(rendered.summary.checked is not None for rendered in self._rendered.values())
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

    def move_to_end(self, server_names: Iterable[ServerName]) -> None:
        """Move some of the watched servers to the end of the order. To move one takes 0.6 µs."""
        for name in server_names:
            self._rendered[name] = self._rendered.pop(name)

    def watch(self, watched: Iterable[WatchedServer]) -> None:
        """Replace the set of watched servers, if there are few. Servers that remain keep their results."""
        changes = self.snapshot().compare(tuple(watched))
        self.remove(changes.removed)
        self.add(changes.added)
        self.move_to_end(changes.order)

    def put(self, report: Report) -> bool:
        """Record a report. Return False, without recording it, if the server is not watched any more."""
        before = self.state(report.server_name)
        if before is None:
            return False
        state = before.with_report(report)
        rendered = self._rendered[report.server_name] = self._render(state)
        self.latest = self.now()
        self._record(history_entry(before, state, report))
        self.follow(rendered.scheduled)
        return True

    def state(self, server_name: ServerName) -> ServerState | None:
        """Return None if the server is not watched."""
        rendered = self._rendered.get(server_name)
        if rendered is None:
            return None
        if self._unpacked is None or self._unpacked[0] is not rendered:
            self._unpacked = rendered, rendered.state
        return self._unpacked[1]

    def snapshot(self) -> Snapshot:
        """Return the states of all watched servers."""
        return Snapshot(self.now(), tuple(self._rendered.values()))

    def scheduled(self) -> Iterator[WatchedServer]:
        """Return the watched servers with the intervals in force as they are now. Any thread may iterate over them."""
        return (rendered.scheduled for rendered in tuple(self._rendered.values()))

    def _kept(self, watched: WatchedServer, memories: Mapping[ServerName, ServerMemory] = _NOTHING) -> RenderedState:
        """Return the state of a server that is to be watched. There are three cases:

        - The server is new: its state is empty, apart from what is remembered of it.
        - The server and its settings are the same: its state is not even rendered again.
        - The settings have changed: its results remain, and are rendered again.
        """
        rendered = self._rendered.get(watched.server_name)
        if rendered is None:
            return self._render(ServerState(watched, memories.get(watched.server_name, ServerMemory())))
        if rendered.watched == watched:
            return rendered
        return self._render(replace(rendered.state, watched=watched))

    def _render(self, state: ServerState) -> RenderedState:
        return RenderedState.of(state, self._render_lines(state), self._packer)
