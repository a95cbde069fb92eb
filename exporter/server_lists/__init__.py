"""Server lists: file_sd files, and lists that are fetched over HTTP at regular intervals."""

from exporter.config import Config
from exporter.server_lists.follow import ListFollower
from exporter.server_lists.http_sd import HttpSdList
from exporter.server_lists.source import ServerList
from exporter.server_lists.synapse import SynapseList

__all__ = ["ListFollower", "build_server_lists"]


def build_server_lists(config: Config) -> tuple[ServerList, ...]:
    """Return the lists to fetch: those of `server_urls`, and those of `synapse_destinations`."""
    return (*map(HttpSdList, config.server_urls), *map(SynapseList, config.synapse_destinations))
