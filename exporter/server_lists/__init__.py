"""Lists of servers that come from elsewhere: asked for again and again, each with its last good answer."""

from exporter.config import Config
from exporter.lists.following import Lists
from exporter.lists.http_sd import HttpSd
from exporter.lists.source import Source
from exporter.lists.synapse import Synapse

__all__ = ["Lists", "sources"]


def sources(config: Config) -> tuple[Source, ...]:
    return (*map(HttpSd, config.server_urls), *map(Synapse, config.synapse_destinations))
