"""Which servers are watched, and in which group: what the configuration and all lists say, put together. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.config import Config, Group
from exporter.model.names import ServerName
from exporter.model.servers import Labels, WatchedServer, override_labels
from exporter.server_lists.source import Listing


@dataclass(frozen=True, slots=True)
class Overlap:
    """Servers on lists of one group that are in another one, and stay there."""

    servers: int
    group: str
    stay_in: str

    def __str__(self) -> str:
        are = "1 server of the group {} is" if self.servers == 1 else f"{self.servers} servers of the group {{}} are"
        return (
            f"{are.format(self.group)} already in the group {self.stay_in}, and stay{'s' * (self.servers == 1)} there"
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """What is watched."""

    servers: tuple[WatchedServer, ...]
    """Those of the configuration in its order, and then those that only lists name, sorted by name."""
    overlaps: tuple[Overlap, ...]


def select_servers(
    config: Config, files: Callable[[Sequence[str]], Iterable[Listing]], fetched: Callable[[str], Listing]
) -> Selection:
    """Return the servers of all groups. `files` returns the lists that match patterns, and `fetched` that of a URL.

    A server belongs to the group of the configuration that names it, and otherwise to the first group with a list that
    names it. The labels are those of the first such list: of files, then of URLs, then of Synapse homeservers.
    """
    named = {server.server_name: server for server in config.servers}
    listed: dict[ServerName, WatchedServer] = {}
    overlaps: Counter[tuple[str, str]] = Counter()
    for group in config.groups:
        combine = _Combined(group.labels)
        for listing in _listings(group, files, fetched):
            for name, labels in listing.servers.items():
                server = named.get(name) or listed.get(name)
                if server is None:
                    listed[name] = WatchedServer(
                        name, group.interval, group.expected, group.cadence, combine[labels], group.name
                    )
                elif server.group != group.name:
                    overlaps[group.name, server.group] += 1
    return Selection(
        (*named.values(), *(listed[name] for name in sorted(listed, key=str))),
        tuple(Overlap(count, *groups) for groups, count in overlaps.items()),
    )


def _listings(
    group: Group, files: Callable[[Sequence[str]], Iterable[Listing]], fetched: Callable[[str], Listing]
) -> Iterator[Listing]:
    yield from files(group.server_files)
    yield from (fetched(source.url) for source in group.server_urls)
    yield from (fetched(source.url) for source in group.synapse_destinations)


class _Combined(dict[Labels, Labels]):
    """The labels of a list with those of the group, which win. Servers with the same labels share them in memory."""

    def __init__(self, of_group: Mapping[str, str]) -> None:
        self._of_group = of_group

    def __missing__(self, labels: Labels) -> Labels:
        combined = self[labels] = override_labels(labels, self._of_group)
        return combined
