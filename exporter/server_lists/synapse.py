"""The servers that a Synapse federates with, fetched page by page from its admin API.

https://element-hq.github.io/synapse/latest/usage/administration/admin_api/federation.html
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pydantic import ConfigDict, FailFast, TypeAdapter, ValidationError, with_config

from exporter.config import Complaint, ListSettings, SynapseDestinations
from exporter.config.complaint import printable_value
from exporter.model import names
from exporter.model.names import InvalidServerNameError
from exporter.model.sanitize import printable
from exporter.model.servers import Labels, sort_labels
from exporter.server_lists.fetch import MAX_SHOWN, ListAccess, ListError, get
from exporter.server_lists.parse_thread import parse
from exporter.server_lists.source import Listing, ListingBuilder

DESTINATIONS = "/_synapse/admin/v1/federation/destinations"
PAGE_SIZE = 1000  # destinations; Synapse reads each page with one query
MAX_PAGES = 1000  # the whole public network fits into thirty
MAX_PAGE_BYTES = 1024 * 1024  # a destination takes up to 400 bytes, with a name of 255 characters
_RESPONSE = "the response"


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, slots=True)
class _Destination:
    destination: str
    failure_ts: int | None = None
    """Since when it cannot be reached, in milliseconds since the epoch; None if it can."""


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, slots=True)
class _DestinationsPage:
    destinations: Annotated[tuple[_Destination, ...], FailFast()]
    next_token: int | None = None
    """Where the next page begins; None on the last page. Synapse encodes it as a string."""


_PAGE_ADAPTER = TypeAdapter(_DestinationsPage)


@dataclass(frozen=True, slots=True)
class SynapseList:
    """The destinations of a Synapse. Invalid server names are left out: any user can bring one into a room."""

    settings: SynapseDestinations
    max_servers: int = ListSettings().max_servers

    @property
    def url(self) -> str:
        return self.settings.url

    @property
    def refresh_interval(self) -> float:
        return self.settings.refresh_interval

    async def fetch(self) -> Listing:
        """Fetch all pages. If one fails, the whole list does: otherwise the servers on it would be dropped."""
        listing, labels = ListingBuilder(_RESPONSE, self.max_servers), sort_labels(self.settings.labels)
        start = count = 0
        while count < MAX_PAGES:
            page, count = await self._page(start), count + 1
            _add(listing, (found.destination for found in page.destinations if not self._is_gone(found)), labels)
            if page.next_token is None:
                return listing.listing()
            if page.next_token <= start:
                break
            start = page.next_token
        raise ListError(f"expected a last page, found another page after {count}")

    async def _page(self, start: int) -> _DestinationsPage:
        access = ListAccess({}, self.settings.token_file, self.settings.ca_file)
        content = await get(f"{self.url}{DESTINATIONS}?from={start}&limit={PAGE_SIZE}", access, MAX_PAGE_BYTES)
        return await parse(_read_page, content)

    def _is_gone(self, destination: _Destination) -> bool:
        """Whether a destination has failed for longer than the settings allow."""
        longest, since = self.settings.failing_at_most, destination.failure_ts
        return longest is not None and since is not None and since < (time.time() - longest) * 1000


def _read_page(content: bytes) -> _DestinationsPage:
    """Raises ListError."""
    try:
        page = _PAGE_ADAPTER.validate_json(content)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, wrong["loc"]))
        found = printable(f"{where}: {wrong['msg']}" if where else wrong["msg"], MAX_SHOWN)
        raise ListError(f"expected a page of destinations, found something else: {found}") from error
    if len(page.destinations) > PAGE_SIZE:
        raise ListError(f"expected at most {PAGE_SIZE} destinations on a page, found {len(page.destinations)}")
    return page


def _add(listing: ListingBuilder, destinations: Iterable[str], labels: Labels) -> None:
    for text in destinations:
        try:
            listing.add(names.parse(text), labels)
        except InvalidServerNameError as error:
            listing.reject(partial(_not_a_name, text, str(error)))


def _not_a_name(text: str, why: str) -> Complaint:
    return Complaint(_RESPONSE, None, "", f"expected a server name, found `{printable_value(text)}`: {why}")
