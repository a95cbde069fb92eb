"""The servers that the exporter watches."""

from dataclasses import dataclass

from exporter.model.addresses import Target
from exporter.model.names import ServerName


@dataclass(frozen=True, slots=True)
class WatchedServer:
    """A server that the configuration or a server list names."""

    server_name: ServerName
    interval: float
    """Seconds from the start of one probe to the start of the next."""
    expected_delegation: Target | None
    """The only target that the server should have; None where the configuration expects nothing."""
