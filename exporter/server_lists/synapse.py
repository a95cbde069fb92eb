"""All servers that a Synapse federates with, page by page.

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
MAX_PAGES = 1000  # of them; the whole public network fits into thirty

log = structlog.get_logger()


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, slots=True)
class Destination:
    destination: str
    failure_ts: int | None = None
    """Milliseconds since the epoch: since when it cannot be reached. None where it can."""


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, slots=True)
class DestinationsPage:
    destinations: tuple[Destination, ...]
    next_token: int | None = None
    """Where the next one begins; none on the last one. Synapse writes it as text."""


_PAGE_ADAPTER = TypeAdapter(DestinationsPage)


@dataclass(frozen=True, slots=True)
class SynapseList:
    """Names that are none are left out: anyone may put one into a room's member list."""

    settings: SynapseDestinations

    @property
    def url(self) -> str:
        return self.settings.url

    @property
    def refresh_interval(self) -> float:
        return self.settings.refresh_interval

    async def names(self) -> Names:
        found = [destination for page in await self.pages() for destination in page.destinations]
        alive = [destination.destination for destination in found if not self.gone(destination)]
        return tuple(_valid_server_names(alive))

    async def pages(self) -> list[DestinationsPage]:
        """All of them, before any is used: half a list is none."""
        pages, start = [await self.page(0)], 0
        while (following := pages[-1].next_token) is not None:
            if following <= start or len(pages) == MAX_PAGES:
                raise ListError(f"expected the pages to come to an end, found one after {len(pages)} of them")
            start = following
            pages.append(await self.page(start))
        return pages

    async def page(self, start: int) -> DestinationsPage:
        access = ListAccess({}, self.settings.token_file, self.settings.ca_file)
        content = await get(f"{self.url}{DESTINATIONS}?from={start}&limit={PAGE_SIZE}", access)
        try:
            return _PAGE_ADAPTER.validate_json(content)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, wrong["loc"]))
            found = printable(f"{where}: {wrong['msg']}" if where else wrong["msg"], MAX_SHOWN)
            raise ListError(f"expected a page of destinations, found something else: {found}") from error

    def gone(self, destination: Destination) -> bool:
        longest, since = self.settings.failing_at_most, destination.failure_ts
        return longest is not None and since is not None and since < (time.time() - longest) * 1000


def _valid_server_names(texts: Iterable[str]) -> Iterator[ServerName]:
    for text in texts:
        try:
            yield names.parse(text)
        except names.InvalidServerNameError:
            log.debug("destination left out, it is no server name", destination=text)
