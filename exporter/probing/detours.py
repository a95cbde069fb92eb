"""The ways of the homeservers that do not go where the specification says."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from exporter.judging.peers import PEERS
from exporter.judging.peers.peer import Peer
from exporter.model import routes
from exporter.model.addresses import Endpoint
from exporter.model.enums import Implementation, SrvService
from exporter.model.findings import SrvRecords
from exporter.model.names import ServerName
from exporter.model.outcomes import SKIPPED, Failed, Outcome, found
from exporter.model.report import EndpointReport, LocatedProblem, Way
from exporter.model.routes import Route
from exporter.probing.attempt import Deadline
from exporter.probing.discovery import Discovery, fetch_srv, resolve
from exporter.probing.network import Network
from exporter.probing.stages.dns import MAX_ENDPOINTS

ProbeRoute: TypeAlias = Callable[[Route, Sequence[Endpoint]], Awaitable[tuple[EndpointReport, ...]]]

_NOTHING: Final = SrvRecords({}, None)


@dataclass
class Detours:
    """Follows each implementation that takes another way than `discovery`. Equal ways are probed once."""

    network: Network
    name: ServerName
    discovery: Discovery
    probe_route: ProbeRoute
    deadline: Deadline
    _ways: dict[tuple[object, ...], Way] = field(default_factory=dict)
    _records: dict[str, SrvRecords | None] = field(default_factory=dict)
    _endpoints_left: int = MAX_ENDPOINTS

    async def follow(self) -> Mapping[Implementation, Way]:
        """Return the way of each implementation that differs. Never raises: every failure is in the outcomes."""
        known = self.discovery
        delegated = found(known.well_known)
        if host := routes.srv_host(self.name, delegated.server if delegated else None):
            self._records[host] = _records(known.srv)
        detours = {}
        for peer in PEERS:
            route = peer.route(self.name, known.well_known, await self._srv(peer))
            if isinstance(route, LocatedProblem):
                detours[peer.implementation] = Way(route)
            elif _key(route) != _key(known.route):
                detours[peer.implementation] = await self._way(route)
        return detours

    async def _srv(self, peer: Peer) -> SrvRecords | None:
        host = peer.srv_host(self.name, self.discovery.well_known)
        if host is not None and host not in self._records:
            self._records[host] = _records(await fetch_srv(self.network, host, self.deadline))
        return self._records[host] if host is not None else None

    async def _way(self, route: Route) -> Way:
        key = _key(route)
        if key not in self._ways:
            dns = await resolve(self.network, route, self.deadline)
            resolution = found(dns)
            endpoints = self._take(resolution.endpoints) if resolution else ()
            reports = await self.probe_route(route, endpoints) if endpoints else ()
            self._ways[key] = Way(route, dns, reports)
        return self._ways[key]

    def _take(self, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
        """Return those that may be probed: all ways together have as many as the route of the specification."""
        taken = endpoints[: self._endpoints_left]
        self._endpoints_left -= len(taken)
        return taken


def _key(route: Route) -> tuple[object, ...]:
    return route.targets, route.host_header, route.tls_name


def _records(outcome: Outcome[SrvRecords]) -> SrvRecords | None:
    """Return what was looked up. A lookup that said nothing at all failed for both services."""
    if (records := found(outcome)) is not None:
        return records
    if isinstance(outcome, Failed):
        return SrvRecords({}, SrvService.MATRIX_FED, dict.fromkeys(SrvService, outcome.problems[0]))
    return _NOTHING if outcome is not SKIPPED else None
