"""Fetches each server list at its own interval. Its servers stay until it can be fetched again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import structlog

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.server_lists.fetch import ListError
from exporter.server_lists.merging import Overlap
from exporter.server_lists.source import Listing, ServerList

RETRY_SECONDS = 60.0  # after a failure, as most are short

log = structlog.get_logger()


@dataclass(slots=True)
class _FollowedList:
    """The state of one list."""

    source: ServerList
    due: float
    """When it is fetched next, on the event loop's clock."""
    listing: Listing = field(default_factory=Listing)
    """Its latest usable response."""
    failure: str = ""
    """Why it could not be fetched or used; empty if the latest response was usable."""

    def __repr__(self) -> str:
        failing = ", failing" if self.failure else ""
        return f"<_FollowedList: {self.source.url}, {len(self.listing.servers)} servers{failing}>"


class ListFollower:
    """Follows all lists. `on_change` is called whenever their servers have changed.

    A list that cannot be fetched keeps the servers of its latest valid response. Lists are fetched one at a time.
    """

    def __init__(self, on_change: Callable[[], Awaitable[None]], exporter_metrics: ExporterMetrics) -> None:
        self._on_change = on_change
        self._exporter_metrics = exporter_metrics
        self._by_url: dict[str, _FollowedList] = {}
        self._replaced = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        """Each list takes up to a dozen times its own size in memory."""

    def __repr__(self) -> str:
        failing = sum(bool(followed.failure) for followed in self._by_url.values())
        servers = sum(len(followed.listing.servers) for followed in self._by_url.values())
        return f"<ListFollower: {len(self._by_url)} lists, {failing} failing, {servers} servers>"

    def listing(self, url: str) -> Listing:
        """Return the latest usable response of a list, which is empty as long as there is none."""
        followed = self._by_url.get(url)
        return followed.listing if followed else Listing()

    def follow(self, sources: Iterable[ServerList]) -> None:
        """Replace all lists.

        There are three cases of a list, which is identified by its URL:

        - It is unchanged: it keeps its servers, and is fetched when it was due before.
        - Its settings have changed: it keeps its servers, and is fetched at once.
        - It is new: it has no servers yet, and is fetched at once.
        """
        before = self._by_url
        self._by_url = {source.url: self._followed(source, before.get(source.url)) for source in sources}
        for url in before.keys() - self._by_url.keys():
            self._exporter_metrics.remove_list(url)
        self._replaced.set()

    def _followed(self, source: ServerList, before: _FollowedList | None) -> _FollowedList:
        if before and before.source == source:
            return before
        self._exporter_metrics.add_list(source.url)
        return _FollowedList(source, due=0.0, listing=before.listing if before else Listing())

    async def run(self) -> None:
        """Fetch the lists until the task is cancelled. Exceptions other than ListError are raised."""
        while True:
            self._replaced.clear()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._fetch_regularly(followed)) for followed in self._by_url.values()]
                await self._replaced.wait()
                for task in tasks:
                    task.cancel()

    async def _fetch_regularly(self, followed: _FollowedList) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(followed.due - loop.time())
            pause = await self._fetch(followed)
            followed.due = loop.time() + pause

    async def _fetch(self, followed: _FollowedList) -> float:
        """Fetch a list, and return in how many seconds it is due again."""
        source = followed.source
        try:
            async with self._one_at_a_time:
                listing = await source.fetch()
            failure = "" if listing.is_usable else _first_complaint(listing)
        except ListError as error:
            listing, failure = followed.listing, str(error)
        if self._still_follows(followed):
            await self._record(followed, listing, failure)
        return min(source.refresh_interval, RETRY_SECONDS) if failure else source.refresh_interval

    def _still_follows(self, followed: _FollowedList) -> bool:
        """Whether the list has not been replaced: a response may come at the moment in which it is."""
        return self._by_url.get(followed.source.url) is followed

    async def _record(self, followed: _FollowedList, listing: Listing, failure: str) -> None:
        url, before = followed.source.url, (followed.listing, followed.failure)
        followed.failure = failure
        if not failure:
            followed.listing = listing
        servers = len(followed.listing.servers)
        self._exporter_metrics.record_list(url, servers, listing.rejected, is_applied=not failure)
        if (followed.listing, failure) == before:
            return
        if failure:
            log.warning("server list not applied", list=url, complaint=failure)
            return
        log.info("server list applied", list=url, servers=servers, rejected=listing.rejected)
        for complaint in listing.complaints:
            log.warning("entry of a server list left out", list=url, complaint=str(complaint))
        for complaint in listing.left_out_labels:
            log.warning("label of a server list left out", list=url, complaint=str(complaint))
        if listing.servers != before[0].servers:
            await self._on_change()


def log_overlaps(overlaps: Iterable[Overlap]) -> None:
    for overlap in overlaps:
        log.warning("servers are in two groups", overlap=str(overlap))


def _first_complaint(listing: Listing) -> str:
    others = f", and {listing.rejected - 1} more" if listing.rejected > 1 else ""
    return f"{listing.complaints[0]}{others}"
