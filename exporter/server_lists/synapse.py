"""The servers that a Synapse federates with, fetched page by page from its admin API.

https://element-hq.github.io/synapse/latest/usage/administration/admin_api/federation.html
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import structlog
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from exporter.config import SynapseDestinations
from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.sanitize import printable
from exporter.server_lists.fetch import MAX_SHOWN, ListAccess, ListError, get
from exporter.server_lists.source import Names

DESTINATIONS = "/_synapse/admin/v1/federation/destinations"
PAGE_SIZE = 1000  # destinations; Synapse reads each page with one query
MAX_PAGES = 1000  # the whole public network fits into thirty

log = structlog.get_logger()


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, slots=True)
class _Destination:
    destination: str
    failure_ts: int | None = None
    """Since when it cannot be reached, in milliseconds since the epoch; None if it can."""


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, slots=True)
class _DestinationsPage:
    destinations: tuple[_Destination, ...]
    next_token: int | None = None
    """Where the next page begins; None on the last page. Synapse encodes it as a string."""


_PAGE_ADAPTER = TypeAdapter(_DestinationsPage)


@dataclass(frozen=True, slots=True)
class SynapseList:
    """The destinations of a Synapse. Invalid server names are ignored: any user can bring one into a room."""

    settings: SynapseDestinations

    @property
    def url(self) -> str:
        return self.settings.url

    @property
    def refresh_interval(self) -> float:
        return self.settings.refresh_interval

    async def names(self) -> Names:
        found = [destination for page in await self._pages() for destination in page.destinations]
        alive = [destination.destination for destination in found if not self._is_gone(destination)]
        return tuple(_valid_server_names(alive))

    async def _pages(self) -> list[_DestinationsPage]:
        """Fetch all pages. If one fails, the whole list does: otherwise the servers on it would be dropped."""
        pages, start = [await self._page(0)], 0
        while (next_token := pages[-1].next_token) is not None:
            if next_token <= start or len(pages) == MAX_PAGES:
                raise ListError(f"expected a last page, found another page after {len(pages)}")
            start = next_token
            pages.append(await self._page(start))
        return pages

    async def _page(self, start: int) -> _DestinationsPage:
        access = ListAccess({}, self.settings.token_file, self.settings.ca_file)
        content = await get(f"{self.url}{DESTINATIONS}?from={start}&limit={PAGE_SIZE}", access)
        try:
            return _PAGE_ADAPTER.validate_json(content)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, wrong["loc"]))
            found = printable(f"{where}: {wrong['msg']}" if where else wrong["msg"], MAX_SHOWN)
            raise ListError(f"expected a page of destinations, found something else: {found}") from error

    def _is_gone(self, destination: _Destination) -> bool:
        """Whether a destination has failed for longer than the settings allow."""
        longest, since = self.settings.failing_at_most, destination.failure_ts
        return longest is not None and since is not None and since < (time.time() - longest) * 1000


def _valid_server_names(texts: Iterable[str]) -> Iterator[ServerName]:
    for text in texts:
        try:
            yield names.parse(text)
        except names.InvalidServerNameError:
            log.debug("destination ignored: not a server name", destination=text)
