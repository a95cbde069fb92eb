"""A server list in Prometheus's http_sd format."""

from dataclasses import dataclass

from exporter.config import ConfigError, ListSettings, ServerUrl
from exporter.server_lists import file_sd
from exporter.server_lists.fetch import ListAccess, ListError, get
from exporter.server_lists.parse_thread import parse
from exporter.server_lists.source import MAX_BYTES, Listing


@dataclass(frozen=True, slots=True)
class HttpSdList:
    """A URL whose response is a JSON document in file_sd format. As in a file, invalid entries are left out."""

    settings: ServerUrl
    max_servers: int = ListSettings().max_servers

    @property
    def url(self) -> str:
        return self.settings.url

    @property
    def refresh_interval(self) -> float:
        return self.settings.refresh_interval

    async def fetch(self) -> Listing:
        settings = self.settings
        access = ListAccess(settings.headers, settings.token_file, settings.ca_file)
        content = await get(self.url, access, MAX_BYTES)
        try:
            return await parse(file_sd.read_json, "the response", content, self.max_servers)
        except ConfigError as error:
            raise ListError(str(error)) from error
