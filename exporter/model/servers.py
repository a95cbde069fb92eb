"""The servers that the exporter watches."""

from dataclasses import dataclass

from exporter.model.addresses import Target
from exporter.model.names import ServerName


@dataclass(frozen=True, slots=True)
class Cadence:
    """When a server is probed sooner or more rarely than at its interval. All values are in seconds."""

    confirm_after: float = 30.0
    """How soon after a change of the verdict the next probe comes, until two agree. Never later than the interval."""
    dormant_after: float = 7 * 86400.0
    """For how long a server must have failed to be dormant; infinite if no server ever is."""
    dormant_interval: float = 3600.0
    """From the start of one probe of a dormant server to the start of the next. Never less than the interval."""


DEFAULT_CADENCE = Cadence()


@dataclass(frozen=True, slots=True)
class WatchedServer:
    """A server that the configuration or a server list names."""

    server_name: ServerName
    interval: float
    """Seconds from the start of one probe to the start of the next, unless `cadence` says otherwise."""
    expected_delegation: Target | None
    """The only target that the server should have; None where the configuration expects nothing."""
    cadence: Cadence = DEFAULT_CADENCE
