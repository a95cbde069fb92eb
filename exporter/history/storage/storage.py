"""The history in a database, used by a thread of its own: the event loop never waits for the disk."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

from exporter.config import StorageSettings
from exporter.history.changes import Change
from exporter.history.history import Entry
from exporter.history.incidents import Incident
from exporter.history.memory import ServerMemory
from exporter.history.storage.database import RenderReport
from exporter.history.storage.resilient import ResilientDatabase
from exporter.history.strips import Strip
from exporter.model.names import ServerName

_WAIT_SECONDS = 10.0  # until results are written that are like those before
_MAX_WAITING = 50_000  # entries that wait to be written, if the disk is too slow

_Found = TypeVar("_Found")


class Storage:
    """Implements History, between the start and the end of `open`. What is read includes what was recorded before."""

    def __init__(
        self,
        render: RenderReport,
        now: Callable[[], datetime],
        on_health: Callable[[bool, int], None] = lambda _up, _size: None,
    ) -> None:
        """`render` returns a report as JSON. `now` is in UTC. `on_health` is told whether the file, if there is one, is
        written to, and its size in bytes.
        """
        self._render = render
        self._now = now
        self._on_health = on_health
        self._waiting: deque[Entry] = deque(maxlen=_MAX_WAITING)
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        self._thread: ThreadPoolExecutor
        self._database: ResilientDatabase

    @asynccontextmanager
    async def open(self, settings: StorageSettings) -> AsyncIterator[None]:
        """Use the file of the settings, or memory only if there is none."""
        with ThreadPoolExecutor(1, "storage") as self._thread:
            self._database = await self._in_thread(lambda: ResilientDatabase(settings, self._render, self._now))
            await self._run(lambda _: None)
            try:
                yield
            finally:
                if self._timer:
                    self._timer.cancel()
                while self._writing:
                    await asyncio.wait([self._writing])
                await self._run(ResilientDatabase.close)

    # ------------------------------------------------------------ writing

    def record(self, entry: Entry) -> None:
        """Write an entry soon: immediately if it is urgent. It never blocks."""
        self._waiting.append(entry)
        if entry.urgent and self._writing is None:
            self._write()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_WAIT_SECONDS, self._write)

    def _write(self) -> None:
        """Write what waits, and then what has become urgent meanwhile."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._run(lambda _: None))
            self._writing.add_done_callback(self._written)

    def _written(self, _: object) -> None:
        self._writing = None
        if any(entry.urgent for entry in self._waiting):
            self._write()

    # ------------------------------------------------------------ reading

    async def recall(self, server_names: Sequence[ServerName]) -> dict[ServerName, ServerMemory]:
        """Return what is remembered of those servers of which something is."""
        if not server_names:
            return {}
        return await self._run(lambda database: database.recall(server_names))

    async def incidents(self, server_name: ServerName | None, since: datetime, limit: int) -> Sequence[Incident]:
        return await self._run(lambda database: database.incidents(server_name, since, limit))

    async def changes(self, server_name: ServerName | None, since: datetime, limit: int) -> Sequence[Change]:
        return await self._run(lambda database: database.changes(server_name, since, limit))

    async def strips(self, server_name: ServerName) -> tuple[Strip, Strip]:
        return await self._run(lambda database: database.strips(server_name))

    async def first_failure(self, incident: Incident) -> dict[str, object] | None:
        return await self._run(lambda database: database.first_failure(incident))

    async def _run(self, query: Callable[[ResilientDatabase], _Found]) -> _Found:
        """Write what waits, and then run a query, both in the thread."""
        entries, database = tuple(self._waiting), self._database
        self._waiting.clear()

        def write_and_query() -> tuple[_Found, bool, int]:
            database.write(entries)
            return query(database), database.up, database.size

        found, up, size = await self._in_thread(write_and_query)
        self._on_health(up, size)
        return found

    async def _in_thread(self, work: Callable[[], _Found]) -> _Found:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
