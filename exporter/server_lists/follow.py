"""Each list at its own interval; what was read last counts until it can be read again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.names import ServerName
from exporter.server_lists.fetch import ListError
from exporter.server_lists.source import Names, ServerList

RETRY_SECONDS = 60.0  # after a failure; most are short

log = structlog.get_logger()


@dataclass(slots=True)
class _FollowedList:
    """What is known of one list."""

    source: ServerList
    due: float
    """When it is read again, on the clock of the event loop."""
    names: Names = ()
    """Of its last good answer."""
    failure: str = ""
    """What was last said of it; empty where the latest answer was good."""


class ListFollower:
    """The server names on all lists. `changed` is called whenever they are others than before.

    A list that cannot be read keeps the names of its last good answer.
    """

    def __init__(self, changed: Callable[[], Awaitable[None]], exporter_metrics: ExporterMetrics) -> None:
        self._changed = changed
        self._exporter_metrics = exporter_metrics
        self._by_url: dict[str, _FollowedList] = {}
        self._replaced = asyncio.Event()

    @property
    def names(self) -> tuple[ServerName, ...]:
        """Sorted; each once."""
        return tuple(sorted({name for each in self._by_url.values() for name in each.names}, key=str))

    def follow(self, sources: Iterable[ServerList]) -> None:
        """Replaces all lists. What stays keeps its names, and its time unless it is asked in another way."""
        before = self._by_url
        self._by_url = {source.url: self._followed(source, before.get(source.url)) for source in sources}
        for url in before.keys() - self._by_url.keys():
            self._exporter_metrics.forget_list(url)
        self._replaced.set()

    def _followed(self, source: ServerList, before: _FollowedList | None) -> _FollowedList:
        if before and before.source == source:
            return before
        self._exporter_metrics.begin_list(source.url)
        return _FollowedList(source, due=0.0, names=before.names if before else ())

    async def keep_reading(self) -> None:
        """Until it is cancelled. Raises what was not foreseen."""
        while True:
            self._replaced.clear()
            async with asyncio.TaskGroup() as group:
                reading = [group.create_task(self._read_again_and_again(each)) for each in self._by_url.values()]
                await self._replaced.wait()
                for task in reading:
                    task.cancel()

    async def _read_again_and_again(self, followed: _FollowedList) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(followed.due - loop.time())
            wait = await self._read(followed)
            followed.due = loop.time() + wait

    async def _read(self, followed: _FollowedList) -> float:
        """How long to wait for the next time, in seconds."""
        source = followed.source
        try:
            names = await source.names()
        except ListError as error:
            if self._follows(followed):
                self._failed(followed, str(error))
            return min(source.refresh_interval, RETRY_SECONDS)
        if self._follows(followed):
            await self._succeeded(followed, names)
        return source.refresh_interval

    def _follows(self, followed: _FollowedList) -> bool:
        """Still: an answer may come in the moment in which its list is given up."""
        return self._by_url.get(followed.source.url) is followed

    def _failed(self, followed: _FollowedList, complaint: str) -> None:
        url = followed.source.url
        self._exporter_metrics.list_failures.labels(url).inc()
        if complaint != followed.failure:
            log.warning("list not put to use", list=url, complaint=complaint)
        followed.failure = complaint

    async def _succeeded(self, followed: _FollowedList, names: Names) -> None:
        url, before = followed.source.url, (followed.names, followed.failure)
        followed.names, followed.failure = names, ""
        self._exporter_metrics.list_was_read(url, len(names))
        if before != (names, ""):
            log.info("list read", list=url, servers=len(names))
        if before[0] != names:
            await self._changed()
