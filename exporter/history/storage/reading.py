"""Reads the history of some servers from a file, while an exporter may be writing to it."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exporter.history.changes import Change
from exporter.history.incidents import Incident
from exporter.history.storage.database import Database
from exporter.model.names import ServerName

_ALWAYS: Final = datetime.fromtimestamp(0, UTC)
_MOST = 100  # incidents of a server, and changes


class UnreadableHistoryError(Exception):
    """The message says why."""


@dataclass(frozen=True, slots=True)
class ServerHistory:
    """What happened to one server, the latest first."""

    incidents: tuple[Incident, ...] = ()
    changes: tuple[Change, ...] = ()


def read_histories(path: Path, server_names: Iterable[ServerName]) -> dict[ServerName, ServerHistory]:
    """Return the history of each server; it is empty if the server has none. Raises UnreadableHistoryError."""
    try:
        database = Database.to_read(path)
        try:
            return {name: _read(database, name) for name in server_names}
        finally:
            database.close()
    except (sqlite3.Error, ValueError) as error:
        raise UnreadableHistoryError(f"cannot read the history in {path}: {error}") from error


def _read(database: Database, name: ServerName) -> ServerHistory:
    return ServerHistory(tuple(database.incidents(name, _ALWAYS, _MOST)), tuple(database.changes(name, _ALWAYS, _MOST)))
