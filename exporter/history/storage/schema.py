"""The tables, and how a database of an earlier version becomes one of today's."""

import sqlite3
from typing import Final

# One entry for each version of the schema; `PRAGMA user_version` says how many of them have been applied. Never change
# one that was released: add another. Times are microseconds since the epoch, in UTC.
_MIGRATIONS: Final = (
    """
    CREATE TABLE servers (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        last_result INTEGER NOT NULL,
        memory TEXT NOT NULL  -- JSON: what is remembered of the server, apart from the incident that lasts
    );
    CREATE TABLE incidents (
        server INTEGER NOT NULL,
        began INTEGER NOT NULL,
        ended INTEGER,  -- NULL while it lasts
        phases TEXT NOT NULL,  -- JSON: what failed since when
        PRIMARY KEY (server, began)
    ) WITHOUT ROWID;
    CREATE INDEX incidents_by_beginning ON incidents (began);
    CREATE INDEX incidents_by_end ON incidents (ended);
    CREATE TABLE first_failures (
        server INTEGER NOT NULL,
        began INTEGER NOT NULL,
        report BLOB NOT NULL,  -- JSON, compressed by zlib
        PRIMARY KEY (server, began)
    );
    CREATE TABLE changes (
        server INTEGER NOT NULL,
        at INTEGER NOT NULL,
        subject TEXT NOT NULL,
        before TEXT NOT NULL,
        after TEXT NOT NULL,
        PRIMARY KEY (server, at, subject)
    ) WITHOUT ROWID;
    CREATE INDEX changes_by_time ON changes (at);
    CREATE TABLE results (
        bucket_seconds INTEGER NOT NULL,
        bucket INTEGER NOT NULL,  -- the number of the bucket since the epoch
        server INTEGER NOT NULL,
        full INTEGER NOT NULL,
        partial INTEGER NOT NULL,
        none INTEGER NOT NULL,
        offline INTEGER NOT NULL,
        PRIMARY KEY (bucket_seconds, bucket, server)  -- what is written at the same time lies side by side
    ) WITHOUT ROWID;
    """,
)


class _NewerSchemaError(sqlite3.Error):
    """The database was written by a later version of the exporter."""


def prepare(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Set the connection up, and migrate the database. Raises sqlite3.Error, and _NewerSchemaError.

    With a write-ahead log that is not synchronized at every commit, what was committed survives the end of the process,
    however it ends; if the machine crashes, the last commits may be lost, but the database stays intact.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    connection.execute(f"PRAGMA max_page_count = {max_bytes // page_bytes}")
    _migrate(connection)


def _migrate(connection: sqlite3.Connection) -> None:
    """Apply the migrations that are missing, all or none of them."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(_MIGRATIONS):
            raise _NewerSchemaError(f"its schema has version {version}, and this exporter knows {len(_MIGRATIONS)}")
        for migration in _MIGRATIONS[version:]:
            for statement in migration.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
