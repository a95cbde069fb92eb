"""The history in a database, used by a thread of its own: the event loop never waits for the disk."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Self, TypeVar

from exporter.history.changes import Change
from exporter.history.history import Entry
from exporter.history.incidents import Incident
from exporter.history.memory import ServerMemory
from exporter.history.storage.database import Database, RenderReport
from exporter.history.strips import Strip
from exporter.model.names import ServerName

_WAIT_SECONDS = 10.0  # until results are written that are like those before
_MAX_WAITING = 50_000  # entries that wait to be written
_MEMORY_BYTES = 64 * 1024 * 1024

_Result = TypeVar("_Result")


class Storage:
    """Implements History. What is read includes everything that was recorded before."""

    def __init__(self, render: RenderReport, now: Callable[[], datetime]) -> None:
        """`render` returns a report as JSON. `now` is in UTC."""
        self._render = render
        self._now = now
        self._thread = ThreadPoolExecutor(1, "storage")
        self._waiting: deque[Entry] = deque(maxlen=_MAX_WAITING)
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        self._database: Database

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer:
            self._timer.cancel()
        await self._run(Database.close)
        self._thread.shutdown()

    def _open(self) -> None:
        self._database = Database(None, self._render, _MEMORY_BYTES)

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
        return await self._run(lambda database: database.strips(server_name, self._now()))

    async def first_failure(self, incident: Incident) -> dict[str, object] | None:
        return await self._run(lambda database: database.first_failure(incident))

    async def _run(self, query: Callable[[Database], _Result]) -> _Result:
        """Write what waits, and then run a query, both in the thread."""
        entries = tuple(self._waiting)
        self._waiting.clear()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write_and_run, entries, query)

    def _write_and_run(self, entries: Sequence[Entry], query: Callable[[Database], _Result]) -> _Result:
        if entries:
            self._database.write(entries)
        return query(self._database)
