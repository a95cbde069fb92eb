"""Lists of servers that come from elsewhere: asked for again and again, each with its last good answer."""

from exporter.config import Config
from exporter.server_lists.follow import Lists
from exporter.server_lists.http_sd import HttpSd
from exporter.server_lists.source import Source
from exporter.server_lists.synapse import Synapse

__all__ = ["Lists", "sources"]


def sources(config: Config) -> tuple[Source, ...]:
    return (*map(HttpSd, config.server_urls), *map(Synapse, config.synapse_destinations))
