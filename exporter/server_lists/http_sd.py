"""A server list in Prometheus's http_sd format."""

import asyncio
from dataclasses import dataclass

from exporter.config import ConfigError, ServerUrl
from exporter.server_lists import file_sd
from exporter.server_lists.fetch import ListAccess, ListError, get
from exporter.server_lists.source import Names


@dataclass(frozen=True, slots=True)
class HttpSdList:
    """A URL whose response is a JSON document in file_sd format. As in a file, one invalid name makes it invalid."""

    settings: ServerUrl

    @property
    def url(self) -> str:
        return self.settings.url

    @property
    def refresh_interval(self) -> float:
        return self.settings.refresh_interval

    async def names(self) -> Names:
        settings = self.settings
        content = await get(self.url, ListAccess(settings.headers, settings.token_file, settings.ca_file))
        try:
            return await asyncio.to_thread(file_sd.parse_json_names, "the response", content)
        except ConfigError as error:
            first, *others = error.complaints
            raise ListError(f"{first}{f', and {len(others)} more' if others else ''}") from error
