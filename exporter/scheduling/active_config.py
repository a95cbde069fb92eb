"""The configuration in effect, and what was built from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from exporter.config import Config, Group
from exporter.model.names import ServerName
from exporter.model.servers import DEFAULT_GROUP
from exporter.probing.network import Network
from exporter.probing.prober import SupportsProbe


@dataclass(frozen=True)
class ActiveConfig:
    """A whole configuration, which servers are in which of its groups, and how those are probed.

    It is replaced as a whole, so that no server is ever probed over the network of a group that it is not in.
    """

    config: Config
    probers: Mapping[str, SupportsProbe]
    """By the name of the group."""
    networks: Mapping[str, Network]
    """What this process itself connects over, likewise."""
    groups: Mapping[ServerName, str] = field(default_factory=dict)
    """The name of the group of every server that any shard watches."""

    def group_of(self, name: ServerName) -> str:
        """Return the group of a server. One that is not watched is probed like those at the top level."""
        return self.groups.get(name, DEFAULT_GROUP)

    def prober_of(self, name: ServerName) -> SupportsProbe:
        return self.probers[self.group_of(name)]

    def network_of(self, name: ServerName) -> Network:
        return self.networks[self.group_of(name)]

    def timeout_of(self, name: ServerName) -> float:
        """Return how long a whole probe of a server may take, in seconds."""
        return self.config.timeout_of(self._configured[self.group_of(name)])

    @cached_property
    def network_names(self) -> Mapping[str, str]:
        """The name of the network of each group."""
        return self.config.networks()

    @cached_property
    def _configured(self) -> Mapping[str, Group]:
        return {group.name: group for group in self.config.groups}
