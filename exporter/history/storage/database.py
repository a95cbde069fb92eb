"""One SQLite database with a history. Only one thread may use it, and every function blocks on the disk."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self, TypeAlias

from exporter.history.changes import Change, Subject
from exporter.history.history import Entry
from exporter.history.incidents import Incident
from exporter.history.memory import ServerMemory
from exporter.history.storage import encoding, queries, schema
from exporter.history.strips import SCALES, Counts, Scale
from exporter.judging.verdict import Federation
from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.report import Report

_BUSY_SECONDS = 5.0  # that a write waits for another process, such as a backup
_MAX_FILE_BYTES = 2 * 1024**3  # 20,000 servers take a fifth of it in a year, see docs/benchmarks.md
_MAX_MEMORY_BYTES = 64 * 1024**2  # what 20,000 servers take in a month
_NEARLY_FULL = 0.9
_KEPT_INCIDENTS, _KEPT_FIRST_FAILURES, _KEPT_CHANGES = 1000, 50, 1000  # of each server
_ABANDONED = timedelta(days=2)  # without a result: the server is no longer watched

RenderReport: TypeAlias = Callable[[Report], Mapping[str, object]]


class Database:
    """A connection to a database. Raises sqlite3.Error, and what the content of a damaged one causes."""

    def __init__(self, connection: sqlite3.Connection, render: RenderReport, max_bytes: int) -> None:
        """`render` returns a report as JSON."""
        self._connection = connection
        self._render = render
        self._max_bytes = max_bytes

    @classmethod
    def in_file(cls, path: Path, render: RenderReport) -> Self:
        """Open a file, and create or migrate it if necessary."""
        return cls._prepared(path.absolute().as_uri(), render, _MAX_FILE_BYTES)

    @classmethod
    def in_memory(cls, render: RenderReport) -> Self:
        return cls._prepared(":memory:", render, _MAX_MEMORY_BYTES)

    @classmethod
    def to_read(cls, path: Path) -> Self:
        """Open a file that an exporter may be writing to."""
        connection = _connect(f"{path.absolute().as_uri()}?mode=ro")
        try:
            schema.require_current(connection)
        except BaseException:
            connection.close()
            raise
        return cls(connection, lambda _: {}, _MAX_FILE_BYTES)

    @classmethod
    def _prepared(cls, path: str, render: RenderReport, max_bytes: int) -> Self:
        connection = _connect(path)
        try:
            schema.prepare(connection, max_bytes)
        except BaseException:
            connection.close()
            raise
        return cls(connection, render, max_bytes)

    def close(self) -> None:
        self._connection.close()

    # ------------------------------------------------------------ writing

    def write(self, entries: Sequence[Entry]) -> None:
        """Write all entries or none."""
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            latest = {entry.server_name: entry for entry in entries}
            connection.executemany(queries.PUT_MEMORY, map(_memory_row, latest.values()))
            connection.executemany(queries.ADD_RESULT, (row for entry in entries for row in _result_rows(entry)))
            for entry in entries:
                if entry.incident:
                    self._write_incident(entry.incident, entry.first_failure)
                if entry.changes:
                    self._write_changes(entry.server_name, entry.changes)

    def _write_incident(self, incident: Incident, first_failure: Report | None) -> None:
        """A new incident ends one that was left open, because storage was unavailable when it ended."""
        began = encoding.encode_time(incident.began)
        server = self._server_id(incident.server_name)
        ended = None if incident.ended is None else encoding.encode_time(incident.ended)
        self._connection.execute(queries.END_EARLIER, (began, server, began))
        self._connection.execute(queries.PUT_INCIDENT, (server, began, ended, encoding.encode_phases(incident.phases)))
        if first_failure and (compressed := encoding.encode_report(self._render(first_failure))):
            self._connection.execute(queries.PUT_FIRST_FAILURE, (server, began, compressed))
            self._connection.execute(queries.KEEP_FIRST_FAILURES, (server, server, _KEPT_FIRST_FAILURES))
        self._connection.execute(queries.KEEP_INCIDENTS, (server, server, _KEPT_INCIDENTS))

    def _write_changes(self, server_name: ServerName, changes: Sequence[Change]) -> None:
        server = self._server_id(server_name)
        rows = [(server, encoding.encode_time(each.at), each.subject, each.before, each.after) for each in changes]
        self._connection.executemany(queries.PUT_CHANGE, rows)
        self._connection.execute(queries.KEEP_CHANGES, (server, server, _KEPT_CHANGES))

    def prune(self, now: datetime, retention: timedelta) -> None:
        """Delete what is older than `retention`, and the oldest if the database is nearly full."""
        times = {"oldest": encoding.encode_time(now - retention), "abandoned": encoding.encode_time(now - _ABANDONED)}
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in (queries.END_ABANDONED, *queries.FORGET):
                connection.execute(statement, times)
            for scale in SCALES:
                connection.execute(queries.FORGET_RESULTS, (_seconds(scale), scale.range(now)[0]))
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Forget what is missed least, until the database is no longer nearly full."""
        for scale in reversed(SCALES):
            if self.nearly_full:
                self._connection.execute(queries.FORGET_OLDEST_RESULTS, {"seconds": _seconds(scale)})
        for statement in (queries.FORGET_OLDEST_CHANGES, queries.FORGET_OLDEST_INCIDENTS):
            if self.nearly_full:
                self._connection.execute(statement)

    @property
    def nearly_full(self) -> bool:
        """Whether it has nearly reached the size that it may have."""
        pages, free, page_bytes = (self._pragma(name) for name in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * page_bytes > _NEARLY_FULL * self._max_bytes

    def _pragma(self, name: str) -> int:
        value: int = self._connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def move_to(self, path: Path) -> None:
        """Add everything to the database in a file, whose servers may have other IDs."""
        self._connection.execute("ATTACH ? AS file", (str(path),))
        try:
            with self._connection as connection:
                connection.execute("BEGIN IMMEDIATE")
                for statement in queries.MOVE:
                    connection.execute(statement)
        finally:
            self._connection.execute("DETACH file")

    # ------------------------------------------------------------ reading

    def recall(self, server_names: Sequence[ServerName]) -> dict[ServerName, ServerMemory]:
        """Return what is remembered of those servers of which something is."""
        by_text = {name.text: name for name in server_names}
        rows = self._connection.execute(queries.MEMORIES, (json.dumps(list(by_text)),))
        return {by_text[text]: _read_memory(by_text[text], *remembered) for text, *remembered in rows}

    def incidents(self, server_name: ServerName | None, since: datetime, limit: int) -> list[Incident]:
        """Return the incidents that lasted at `since` or later, the newest first."""
        rows = self._select(queries.INCIDENTS, server_name, since, limit)
        return [_read_incident(names.parse(name), *incident) for name, *incident in rows]

    def changes(self, server_name: ServerName | None, since: datetime, limit: int) -> list[Change]:
        """Return the changes at `since` or later, the newest first."""
        return [
            Change(names.parse(name), encoding.decode_time(at), Subject(subject), before, after)
            for name, at, subject, before, after in self._select(queries.CHANGES, server_name, since, limit)
        ]

    def _select(self, query: str, server_name: ServerName | None, since: datetime, limit: int) -> sqlite3.Cursor:
        values = {"since": encoding.encode_time(since), "limit": limit}
        if server_name is None:
            return self._connection.execute(query.format(of_server=""), values)
        of_server = {"server": self._server_id(server_name)}
        return self._connection.execute(query.format(of_server="AND server = :server"), values | of_server)

    def counts(self, server_name: ServerName, scale: Scale, now: datetime) -> dict[int, Counts]:
        """Return the results of a server by the number of their bucket, for a strip that ends now."""
        buckets = json.dumps(list(scale.range(now)))
        rows = self._connection.execute(queries.COUNTS, (_seconds(scale), self._server_id(server_name), buckets))
        return {bucket: Counts(*counts) for bucket, *counts in rows}

    def first_failure(self, incident: Incident) -> dict[str, object] | None:
        """Return the first failing report of an incident, or None if it is not kept."""
        row = self._connection.execute(
            queries.FIRST_FAILURE,
            (self._server_id(incident.server_name), encoding.encode_time(incident.began)),
        ).fetchone()
        return encoding.decode_report(row[0]) if row else None

    def _server_id(self, server_name: ServerName) -> int | None:
        """Return None if nothing is known of the server."""
        row = self._connection.execute(queries.SERVER, (server_name.text,)).fetchone()
        return row[0] if row else None


def _connect(path: str) -> sqlite3.Connection:
    """Transactions begin and end where the code says so."""
    return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True)


def size(path: Path) -> int:
    """Return the bytes of the file and of its write-ahead log. What is missing has none."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _seconds(scale: Scale) -> int:
    return scale.bucket // timedelta(seconds=1)


_KINDS: Final = (Federation.FULL, Federation.PARTIAL, Federation.NONE, None)
"""The kinds of results, in the order of the columns."""


def _memory_row(entry: Entry) -> tuple[object, ...]:
    return entry.server_name.text, encoding.encode_time(entry.at), encoding.encode_memory(entry.memory)


def _result_rows(entry: Entry) -> Iterator[tuple[object, ...]]:
    counts = [entry.federation is kind for kind in _KINDS]
    for scale in SCALES:
        yield _seconds(scale), scale.index(entry.at), entry.server_name.text, *counts


def _read_incident(name: ServerName, began: int, ended: int | None, phases: str) -> Incident:
    last = None if ended is None else encoding.decode_time(ended)
    return Incident(name, encoding.decode_time(began), last, encoding.decode_phases(phases))


def _read_memory(name: ServerName, text: str, began: int | None, phases: str) -> ServerMemory:
    """`began` is None if no incident lasts."""
    memory = encoding.decode_memory(text)
    return memory if began is None else memory.with_incident(_read_incident(name, began, None, phases))
