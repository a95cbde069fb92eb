"""Lists of servers that come from elsewhere: asked for again and again, each with its last good answer."""

from exporter.config import Config
from exporter.server_lists.follow import ListFollower
from exporter.server_lists.http_sd import HttpSdList
from exporter.server_lists.source import ServerList
from exporter.server_lists.synapse import SynapseList

__all__ = ["ListFollower", "sources"]


def sources(config: Config) -> tuple[ServerList, ...]:
    return (*map(HttpSdList, config.server_urls), *map(SynapseList, config.synapse_destinations))
