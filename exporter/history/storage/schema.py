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
        PRIMARY KEY (server, began),
        FOREIGN KEY (server, began) REFERENCES incidents ON DELETE CASCADE
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


class _UnsuitableError(sqlite3.DatabaseError):
    """The database cannot be used by this version of the exporter, and is left as it is."""


def prepare(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Set the connection up, and migrate the database. Raises sqlite3.Error.

    With a write-ahead log that is not synchronized at every commit, what was committed survives the end of the process,
    however it ends; if the machine crashes, the last commits may be lost, but the database stays intact.
    """
    _version(connection)  # before anything is changed
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = MEMORY")  # the rest of the file system may be read-only
    connection.execute("PRAGMA foreign_keys = ON")
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    connection.execute(f"PRAGMA max_page_count = {max_bytes // page_bytes}")
    _migrate(connection)


def require_current(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.Error unless the database has today's schema."""
    if _version(connection) < len(_MIGRATIONS):
        raise _UnsuitableError("an earlier version of the exporter has written it, and `serve` has not migrated it yet")


def _migrate(connection: sqlite3.Connection) -> None:
    """Apply the migrations that are missing, all or none of them. This fails if the database cannot be written to."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for migration in _MIGRATIONS[_version(connection) :]:
            for statement in migration.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    """Return the version of the schema; 0 if the database is empty. Raises sqlite3.Error if it is not one of ours."""
    version: int
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version > len(_MIGRATIONS):
        known = f"the version of its schema is {version}, and this exporter knows those up to {len(_MIGRATIONS)}"
        raise _UnsuitableError(f"a later version of the exporter has written it: {known}")
    if version == 0 and tables:
        raise _UnsuitableError("it belongs to another program")
    return version
