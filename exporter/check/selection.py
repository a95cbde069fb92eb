"""Which servers are checked, and how each of them is probed: as its group in the configuration says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter import wiring
from exporter.config import Config, Group
from exporter.model.names import ServerName
from exporter.model.servers import WatchedServer
from exporter.scheduling.active_config import ActiveConfig
from exporter.server_lists.file_sd import ServerFiles
from exporter.server_lists.merging import select_servers
from exporter.server_lists.source import Listing


class UnknownGroupError(ValueError):
    """The message says which groups there are."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The servers to check, in the given order."""

    active: ActiveConfig
    servers: Mapping[ServerName, WatchedServer]
    """Each with what is expected of it."""
    unlisted: tuple[ServerName, ...] = ()
    """Those whose group is not known, so that they are probed like the servers at the top level, although there are
    groups with a network of their own.
    """


def select(config: Config, server_names: Sequence[ServerName], group_name: str | None = None) -> Selection:
    """Return the servers as `servers` and the server files have them, or as those of a group if it is given.

    Lists that would have to be fetched are not read. Raises UnknownGroupError.
    """
    known = {} if group_name else _listed(config)
    group = _find_group(config, group_name) if group_name else config.groups[0]
    servers = {name: known.get(name) or _server_of(group, name) for name in server_names}
    networks = wiring.build_networks(config)
    active = ActiveConfig(
        config,
        wiring.build_probers(config, networks),
        networks,
        {name: server.group for name, server in servers.items()},
    )
    several = len(set(active.network_names.values())) > 1
    unlisted = [name for name in servers if name not in known] if several and not group_name else ()
    return Selection(active, servers, tuple(unlisted))


def _listed(config: Config) -> dict[ServerName, WatchedServer]:
    files = ServerFiles(config.server_files, config.lists.max_servers)
    files.refresh()
    listed = select_servers(config, files.listings, lambda _: Listing()).servers
    return {server.server_name: server for server in listed}


def _find_group(config: Config, name: str) -> Group:
    for group in config.groups:
        if group.name == name:
            return group
    raise UnknownGroupError(
        f"there is no group {name!r}: the groups are {', '.join(each.name for each in config.groups)}"
    )


def _server_of(group: Group, name: ServerName) -> WatchedServer:
    """Return a server of a group, as the configuration names it, or as a list would."""
    named = (server for server in group.servers if server.server_name == name)
    return next(named, WatchedServer(name, group.interval, group.expected, group.cadence, group=group.name))
