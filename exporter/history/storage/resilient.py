"""A database in a file and, for as long as the file cannot be used, one in memory. Only one thread may use it."""

import sqlite3
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import structlog

from exporter.config import StorageSettings
from exporter.history.changes import Change
from exporter.history.history import Entry
from exporter.history.incidents import Incident
from exporter.history.memory import ServerMemory
from exporter.history.storage import database
from exporter.history.storage.database import Database, RenderReport
from exporter.history.strips import SCALES, Counts, Scale, Strip
from exporter.model.names import ServerName

_FAILURES: Final = (sqlite3.Error, OSError, ValueError, TypeError, LookupError, AttributeError, zlib.error)
"""What a disk, a damaged file or one that somebody else has written may cause."""
_RETRY_SECONDS = 30.0  # until a file that failed is tried again
_PRUNE_SECONDS = 3600.0

_Found = TypeVar("_Found")

log = structlog.get_logger()


class ResilientDatabase:
    """Writes to the file if possible. Otherwise it writes to memory, logs why, and moves what is there to the file
    once it can be used again. What is read is what both of them know.

    Without a path, everything is in memory. None of the functions raises an error of the storage.
    """

    def __init__(self, settings: StorageSettings, render: RenderReport, now: Callable[[], datetime]) -> None:
        self._path = path = settings.path
        self._retention = timedelta(seconds=settings.retention)
        self._render = render
        self._now = now
        self._file: Database | None = None
        self._memory: Database | None = None
        self._failed_at: float | None = None
        """When the file last failed, on the monotonic clock; None if it can be used."""
        self._pruned_at = time.monotonic()
        if path is not None:
            self._attempt(lambda: self._open(path))

    @property
    def up(self) -> bool:
        """Whether what happens is written to the file, if there is to be one."""
        return self._path is None or self._failed_at is None

    @property
    def size(self) -> int:
        """The size of the file and its log, in bytes. 0 if there is none."""
        return database.size(self._path) if self._path else 0

    def close(self) -> None:
        for each in (self._file, self._memory):
            if each:
                each.close()

    # ------------------------------------------------------------ writing

    def write(self, entries: Sequence[Entry]) -> None:
        self._recover_if_due()
        self._attempt(self._prune_if_due)
        file = self._file
        if not entries or (file and self.up and self._attempt(lambda: file.write(entries))):
            return
        self._memory = self._memory or Database.in_memory(self._render)
        try:
            self._memory.write(entries)
        except sqlite3.Error as error:
            self._drop(entries, error)

    def _drop(self, entries: Sequence[Entry], error: sqlite3.Error) -> None:
        """Go on without these entries: there is no memory left for them."""
        log.error("history not kept", entries=len(entries), error=str(error))

    def _recover_if_due(self) -> None:
        path = self._path
        if path is None or self._failed_at is None or time.monotonic() - self._failed_at < _RETRY_SECONDS:
            return
        if self._attempt(lambda: self._recover(path)):
            self._failed_at = None
            log.info("storage available again", path=str(path))

    def _recover(self, path: Path) -> None:
        """Move what was written to memory to the file."""
        if self._file is None:
            self._open(path)
        if self._memory:
            self._memory.move_to(path)
            self._memory.close()
            self._memory = None

    def _open(self, path: Path) -> None:
        self._file = Database.in_file(path, self._render)

    def _prune_if_due(self) -> None:
        """Also if a database is nearly full."""
        databases = tuple(self._all())
        due = time.monotonic() - self._pruned_at >= _PRUNE_SECONDS
        if due or any(each.nearly_full for each in databases):
            self._pruned_at = time.monotonic()
            for each in databases:
                each.prune(self._now(), self._retention)

    def _attempt(self, work: Callable[[], None]) -> bool:
        """Do something with the file, and return whether it succeeded. Log why not, once until it can be used again.

        A file that is damaged is closed. One that is full or read-only can still be read.
        """
        try:
            work()
        except _FAILURES as error:
            self._fail(error)
            return False
        return True

    def _fail(self, error: Exception) -> None:
        if self._failed_at is None:
            log.error("storage unavailable, continuing in memory", path=str(self._path), error=str(error))
        self._failed_at = time.monotonic()
        if self._file and not isinstance(error, sqlite3.OperationalError):
            self._file.close()
            self._file = None

    # ------------------------------------------------------------ reading

    def recall(self, server_names: Sequence[ServerName]) -> dict[ServerName, ServerMemory]:
        return {
            name: memory
            for found in self._read(lambda each: each.recall(server_names))
            for name, memory in found.items()
        }

    def incidents(self, server_name: ServerName | None, since: datetime, limit: int) -> Sequence[Incident]:
        found = self._read(lambda each: each.incidents(server_name, since, limit))
        latest = {(incident.server_name, incident.began): incident for some in found for incident in some}
        return sorted(latest.values(), key=lambda incident: incident.began, reverse=True)[:limit]

    def changes(self, server_name: ServerName | None, since: datetime, limit: int) -> Sequence[Change]:
        found = [change for some in self._read(lambda each: each.changes(server_name, since, limit)) for change in some]
        return sorted(found, key=lambda change: change.at, reverse=True)[:limit]

    def strips(self, server_name: ServerName) -> tuple[Strip, Strip]:
        now = self._now()
        day, quarter = (scale.strip(now, self._counts(server_name, scale, now)) for scale in SCALES)
        return day, quarter

    def _counts(self, server_name: ServerName, scale: Scale, now: datetime) -> dict[int, Counts]:
        total: defaultdict[int, Counts] = defaultdict(Counts)
        for found in self._read(lambda each: each.counts(server_name, scale, now)):
            for bucket, counts in found.items():
                total[bucket] += counts
        return total

    def first_failure(self, incident: Incident) -> dict[str, object] | None:
        return next(filter(None, self._read(lambda each: each.first_failure(incident))), None)

    def _all(self) -> Iterator[Database]:
        yield from filter(None, (self._file, self._memory))

    def _read(self, query: Callable[[Database], _Found]) -> Iterable[_Found]:
        """Yield what each database has found, that in memory last: it is newer."""
        for each in list(self._all()):
            try:
                found = query(each)
            except _FAILURES as error:
                self._fail(error)
            else:
                yield found
