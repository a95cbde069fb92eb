"""Detects when the exporter's own network is down, so that its failures are not attributed to servers.

Probes show whether the network is up. Where they fail without an answer, a check is made.
"""

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Collection, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

import structlog

from exporter.judging import verdict
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model import names
from exporter.model.addresses import IPAddress, Target
from exporter.model.report import EndpointReport, Report
from exporter.model.servers import DEFAULT_GROUP
from exporter.probing import connectivity
from exporter.probing.connectivity import DNS_REASONS, Outage
from exporter.probing.prober import SupportsProbe
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.scheduling.active_config import ActiveConfig
from exporter.scheduling.limiter import wait_or_cancel

FRESH_SECONDS = 0.5  # for this long, a success shows that the network is up: less than any timeout of a probe
RECHECK_SECONDS = 10.0  # during an outage, until a server responds again

MAX_WITNESSES = 8  # on a mixed list, it is practically impossible that all of them conspire, or are down
MIN_WITNESSES = 3  # that two are down at the same time is a coincidence
_CANDIDATES = 200  # servers from which witnesses are chosen: the list may have thousands
_NETWORK_PREFIX_BITS = {4: 16, 6: 32}  # of a network that belongs to one provider, and may fail as a whole

log = structlog.get_logger()


# ---------------------------------------------------------------- pure


def choose_witnesses(states: Iterable[ServerState]) -> tuple[Target, ...]:
    """Return healthy servers, each in a network of its own; none if they are too few to prove an outage."""
    chosen: dict[IPv4Network | IPv6Network, Target] = {}
    for state in states:
        if endpoint := _healthy_endpoint(state):
            chosen.setdefault(_network_of(endpoint.endpoint.ip), endpoint.endpoint.target)
        if len(chosen) == MAX_WITNESSES:
            break
    return tuple(chosen.values()) if len(chosen) >= MIN_WITNESSES else ()


def _healthy_endpoint(state: ServerState) -> EndpointReport | None:
    endpoints = state.report.endpoints if state.report else ()
    return next((endpoint for endpoint in endpoints if endpoint.ok), None)


def _network_of(ip: IPAddress) -> IPv4Network | IPv6Network:
    return ip_network((ip, _NETWORK_PREFIX_BITS[ip.version]), strict=False)


def proves_network(report: Report) -> bool:
    """Whether the network was up during the probe: a name was resolved, and a server at its address is healthy."""
    return any(names.ip_literal(endpoint.endpoint.target.host) is None and endpoint.ok for endpoint in report.endpoints)


# ---------------------------------------------------------------- the detector


class OutageDetector:
    """Decides for each report whether an outage of the exporter's own network explains it.

    `network` is the name of the network. `prober` probes over it, and `groups` are those whose servers are probed over
    it; both may be replaced. All times are on the event loop's clock. `close` must be called at the end.
    """

    def __init__(
        self,
        board: Board,
        exporter_metrics: ExporterMetrics,
        prober: SupportsProbe,
        groups: Collection[str] = (DEFAULT_GROUP,),
        network: str = DEFAULT_GROUP,
    ) -> None:
        self.prober = prober
        self.groups = groups
        self._board = board
        self._network = network
        self._up_metric = exporter_metrics.connectivity_up.labels(network)
        self._up_metric.set(1)
        self._check_locks = {check_dns: asyncio.Lock() for check_dns in (False, True)}
        """A check of the resolver is quick. It must not wait for one of the witnesses: the outage may end meanwhile."""
        self._recheck_task: asyncio.Task[None] | None = None
        self._known_up_at = -math.inf
        """The network was certainly up at this time or later."""
        self._outage_since = -math.inf
        self._outage_ended_at = -math.inf
        self.outage: Outage | None = None
        """None while the network is up."""

    def __repr__(self) -> str:
        return f"<OutageDetector: {f'down, {self.outage.value}' if self.outage else 'up'}>"

    async def close(self) -> None:
        if self._recheck_task:
            await wait_or_cancel({self._recheck_task}, grace=0)

    async def explains(self, report: Report) -> bool:
        """Whether an outage explains the failures in a report. It must be called as soon as the probe has ended.

        There are five cases:

        - The probe succeeded, or each of its failures was caused by an answer: no outage explains the report.
        - The probe began before the latest outage ended: the outage explains it.
        - There is an outage now: it explains the report.
        - Another probe has shown that the network was up when this one failed: no outage explains the report.
        - Otherwise a check is made, and decides.
        """
        ended = _now()
        started = ended - report.seconds
        if proves_network(report):
            self._record_network_up(started)
        silent_failures = connectivity.silent_failures(report)
        if verdict.federates(report) or not silent_failures:
            return False
        if not self.outage and started >= self._outage_ended_at:
            await self._check_unless_known_up(
                max(started, ended - FRESH_SECONDS), check_dns=bool(silent_failures & DNS_REASONS)
            )
        return self.outage is not None or started < self._outage_ended_at  # it may have ended during the check

    async def _check_unless_known_up(self, since: float, *, check_dns: bool) -> None:
        """Check the network, unless it was up at `since` or later. One check serves all callers that wait for it."""
        async with self._check_locks[check_dns]:
            if not self.outage and self._known_up_at < since:
                await self._check(check_dns=check_dns)

    async def _check(self, *, check_dns: bool) -> None:
        started, witnesses = _now(), self._choose_witnesses()
        if outage := await self.prober.find_outage(witnesses, check_dns=check_dns):
            self._record_outage(outage, started)
        elif witnesses or check_dns or self.outage:  # otherwise the check has contacted nobody, and proves nothing
            self._record_network_up(started)

    def _choose_witnesses(self) -> tuple[Target, ...]:
        rendered = [each for each in self._board.snapshot().states if each.watched.group in self.groups]
        candidates = random.sample(rendered, min(len(rendered), _CANDIDATES))
        return choose_witnesses(each.state for each in candidates)

    def _record_network_up(self, since: float) -> None:
        """Record that the network was up at `since` or later.

        It ends an outage only if that began before `since`: what began earlier says nothing about the end.
        """
        self._known_up_at = max(self._known_up_at, since)
        if self.outage and since > self._outage_since:
            self.outage, self._outage_ended_at = None, _now()
            self._up_metric.set(1)
            log.info("the exporter's own network is up again", group=self._network)

    def _record_outage(self, outage: Outage, check_started: float) -> None:
        """Record an outage, unless a probe that began after the check shows that the network is up."""
        if self._known_up_at > check_started:
            return
        if not self.outage:
            self._outage_since = check_started
            self._up_metric.set(0)
            event = "the exporter's own network is down: failures are not attributed to servers"
            log.error(event, because=outage.value, group=self._network)
        self.outage = outage
        if not self._recheck_task or self._recheck_task.done():
            self._recheck_task = asyncio.create_task(self._recheck_until_up())

    async def _recheck_until_up(self) -> None:
        while self.outage:
            await asyncio.sleep(RECHECK_SECONDS)
            check_dns = self.outage is Outage.RESOLVER
            async with self._check_locks[check_dns]:
                if self.outage:
                    await self._check(check_dns=check_dns)


def _now() -> float:
    return asyncio.get_running_loop().time()


# ---------------------------------------------------------------- the detectors of all networks


class Outages:
    """Has a detector for each network: one of them may be down while the others are up."""

    def __init__(self, board: Board, exporter_metrics: ExporterMetrics) -> None:
        self._board = board
        self._exporter_metrics = exporter_metrics
        self._detectors: dict[str, OutageDetector] = {}
        """By the name of the network."""

    def __repr__(self) -> str:
        return f"<Outages: {self.down or 'none'}>"

    async def follow(self, active: ActiveConfig) -> None:
        """Use another configuration. A network that is still there keeps what is known of it."""
        groups = defaultdict[str, set[str]](set)
        for group, network in active.network_names.items():
            groups[network].add(group)
        removed = {network: self._detectors.pop(network) for network in self._detectors.keys() - groups.keys()}
        for network, probed in groups.items():
            prober = active.probers[network]
            if detector := self._detectors.get(network):
                detector.prober, detector.groups = prober, probed
            else:
                self._detectors[network] = OutageDetector(self._board, self._exporter_metrics, prober, probed, network)
        for network, detector in removed.items():
            await detector.close()
            self._exporter_metrics.connectivity_up.remove(network)

    async def close(self) -> None:
        await asyncio.gather(*(detector.close() for detector in self._detectors.values()))

    async def explains(self, report: Report, active: ActiveConfig) -> bool:
        """Whether an outage explains the failures in a report of a probe with this configuration."""
        detector = self._detectors.get(active.network_names[active.group_of(report.server_name)])
        return detector is not None and await detector.explains(report)

    @property
    def down(self) -> str | None:
        """Which outages there are, and which groups they affect unless all do; None if there are none."""
        down = [detector for detector in self._detectors.values() if detector.outage]
        if len(self._detectors) == 1:
            return down[0].outage if down else None
        return "; ".join(f"{each.outage} (for {', '.join(sorted(each.groups))})" for each in down) or None
