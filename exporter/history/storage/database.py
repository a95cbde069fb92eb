"""One SQLite database with a history. Only one thread may use it, and every function blocks on the disk."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from exporter.history.changes import Change, Subject
from exporter.history.history import Entry
from exporter.history.incidents import Incident
from exporter.history.memory import ServerMemory
from exporter.history.storage import encoding, schema
from exporter.history.strips import SCALES, Counts, Scale, Strip
from exporter.judging.verdict import Federation
from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.report import Report

_BUSY_SECONDS = 5.0  # that a write waits for another process, such as a backup

RenderReport: TypeAlias = Callable[[Report], Mapping[str, object]]

# ---------------------------------------------------------------- queries

_PUT_MEMORY: Final = """
    INSERT INTO servers (name, last_result, memory) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET last_result = excluded.last_result, memory = excluded.memory
"""
_ADD_RESULT: Final = """
    INSERT INTO results (bucket_seconds, bucket, server, full, partial, none, offline)
    VALUES (?, ?, (SELECT id FROM servers WHERE name = ?), ?, ?, ?, ?)
    ON CONFLICT (bucket_seconds, bucket, server) DO UPDATE SET
        full = full + excluded.full, partial = partial + excluded.partial,
        none = none + excluded.none, offline = offline + excluded.offline
"""
_END_EARLIER: Final = "UPDATE incidents SET ended = ? WHERE server = ? AND ended IS NULL AND began < ?"
_PUT_INCIDENT: Final = """
    INSERT INTO incidents (server, began, ended, phases) VALUES (?, ?, ?, ?)
    ON CONFLICT (server, began) DO UPDATE SET ended = excluded.ended, phases = excluded.phases
"""
_PUT_FIRST_FAILURE: Final = "INSERT OR REPLACE INTO first_failures (server, began, report) VALUES (?, ?, ?)"
_PUT_CHANGE: Final = """
    INSERT OR REPLACE INTO changes (server, at, subject, before, after)
    VALUES ((SELECT id FROM servers WHERE name = ?), ?, ?, ?, ?)
"""
_MEMORIES: Final = """
    SELECT name, memory, began, phases FROM servers LEFT JOIN incidents ON server = id AND ended IS NULL
    WHERE name IN (SELECT value FROM json_each(?)) ORDER BY began
"""
# First those that began later, in the order of one index; then those that began before and still lasted, by another.
_INCIDENTS: Final = """
    SELECT name, began, ended, phases FROM (
        SELECT * FROM (
            SELECT * FROM incidents WHERE began >= :since {of_server} ORDER BY began DESC LIMIT :limit
        )
        UNION ALL SELECT * FROM (
            SELECT * FROM incidents
            WHERE (ended IS NULL OR ended >= :since) AND began < :since {of_server}
            ORDER BY began DESC LIMIT :limit
        )
    ) JOIN servers ON id = server ORDER BY began DESC LIMIT :limit
"""
_CHANGES: Final = """
    SELECT name, at, subject, before, after FROM changes JOIN servers ON id = server
    WHERE at >= :since {of_server} ORDER BY at DESC, subject LIMIT :limit
"""
_COUNTS: Final = """
    SELECT bucket, full, partial, none, offline FROM results
    WHERE bucket_seconds = ? AND server = ? AND bucket IN (SELECT value FROM json_each(?))
"""

# ---------------------------------------------------------------- the database


class Database:
    """A connection to a database, which is created or migrated if necessary. Raises sqlite3.Error."""

    def __init__(self, path: Path | None, render: RenderReport, max_bytes: int) -> None:
        """`path` is None for a database in memory. `render` returns a report as JSON."""
        self._render = render
        self._connection = sqlite3.connect(
            path or ":memory:", timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            schema.prepare(self._connection, max_bytes)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    # ------------------------------------------------------------ writing

    def write(self, entries: Sequence[Entry]) -> None:
        """Write all entries or none."""
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            latest = {entry.server_name: entry for entry in entries}
            connection.executemany(_PUT_MEMORY, map(_memory_row, latest.values()))
            connection.executemany(_ADD_RESULT, (row for entry in entries for row in _result_rows(entry)))
            for entry in entries:
                if entry.incident:
                    self._write_incident(entry.incident, entry.first_failure)
                connection.executemany(_PUT_CHANGE, map(_change_row, entry.changes))

    def _write_incident(self, incident: Incident, first_failure: Report | None) -> None:
        """A new incident ends one that was left open, because storage was unavailable when it ended."""
        began = encoding.encode_time(incident.began)
        server = self._server_id(incident.server_name)
        ended = None if incident.ended is None else encoding.encode_time(incident.ended)
        self._connection.execute(_END_EARLIER, (began, server, began))
        self._connection.execute(_PUT_INCIDENT, (server, began, ended, encoding.encode_phases(incident.phases)))
        if first_failure and (compressed := encoding.encode_report(self._render(first_failure))):
            self._connection.execute(_PUT_FIRST_FAILURE, (server, began, compressed))

    # ------------------------------------------------------------ reading

    def recall(self, server_names: Sequence[ServerName]) -> dict[ServerName, ServerMemory]:
        """Return what is remembered of those servers of which something is."""
        by_text = {name.text: name for name in server_names}
        rows = self._connection.execute(_MEMORIES, (json.dumps(list(by_text)),))
        return {by_text[text]: _read_memory(by_text[text], *remembered) for text, *remembered in rows}

    def incidents(self, server_name: ServerName | None, since: datetime, limit: int) -> list[Incident]:
        """Return the incidents that lasted at `since` or later, the newest first."""
        rows = self._select(_INCIDENTS, server_name, since, limit)
        return [_read_incident(names.parse(name), *incident) for name, *incident in rows]

    def changes(self, server_name: ServerName | None, since: datetime, limit: int) -> list[Change]:
        """Return the changes at `since` or later, the newest first."""
        return [
            Change(names.parse(name), encoding.decode_time(at), Subject(subject), before, after)
            for name, at, subject, before, after in self._select(_CHANGES, server_name, since, limit)
        ]

    def _select(self, query: str, server_name: ServerName | None, since: datetime, limit: int) -> sqlite3.Cursor:
        values = {"since": encoding.encode_time(since), "limit": limit}
        if server_name is None:
            return self._connection.execute(query.format(of_server=""), values)
        of_server = {"server": self._server_id(server_name)}
        return self._connection.execute(query.format(of_server="AND server = :server"), values | of_server)

    def strips(self, server_name: ServerName, now: datetime) -> tuple[Strip, Strip]:
        """Return the strips that end now: the last 24 hours, and the last 90 days."""
        day, quarter = (scale.strip(now, self._counts(server_name, scale, now)) for scale in SCALES)
        return day, quarter

    def _counts(self, server_name: ServerName, scale: Scale, now: datetime) -> dict[int, Counts]:
        buckets = json.dumps(list(scale.range(now)))
        rows = self._connection.execute(_COUNTS, (_seconds(scale), self._server_id(server_name), buckets))
        return {bucket: Counts(*counts) for bucket, *counts in rows}

    def first_failure(self, incident: Incident) -> dict[str, object] | None:
        """Return the first failing report of an incident, or None if it is not kept."""
        row = self._connection.execute(
            "SELECT report FROM first_failures WHERE server = ? AND began = ?",
            (self._server_id(incident.server_name), encoding.encode_time(incident.began)),
        ).fetchone()
        return encoding.decode_report(row[0]) if row else None

    def _server_id(self, server_name: ServerName) -> int | None:
        """Return None if nothing is known of the server."""
        row = self._connection.execute("SELECT id FROM servers WHERE name = ?", (server_name.text,)).fetchone()
        return row[0] if row else None


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


def _change_row(change: Change) -> tuple[object, ...]:
    return change.server_name.text, encoding.encode_time(change.at), change.subject, change.before, change.after


def _read_incident(name: ServerName, began: int, ended: int | None, phases: str) -> Incident:
    last = None if ended is None else encoding.decode_time(ended)
    return Incident(name, encoding.decode_time(began), last, encoding.decode_phases(phases))


def _read_memory(name: ServerName, text: str, began: int | None, phases: str) -> ServerMemory:
    """`began` is None if no incident lasts."""
    memory = encoding.decode_memory(text)
    return memory if began is None else memory.with_incident(_read_incident(name, began, None, phases))
