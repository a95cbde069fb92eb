"""Whether the exporter can see at all: known from what probes meet, and by a check where they meet silence."""

import asyncio
import math
import random
from collections.abc import Callable, Iterable
from ipaddress import ip_network

import structlog

from exporter.judging import verdict
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model import names
from exporter.model.addresses import IPAddress, Target
from exporter.model.report import EndpointReport, Report
from exporter.probing import connectivity
from exporter.probing.connectivity import DNS_REASONS, Outage
from exporter.probing.prober import SupportsProbe
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.scheduling.limiter import wait_or_cancel

FRESH_SECONDS = 0.5  # an answer that somebody got within them speaks for the network: less than any wait in vain
RECHECK_SECONDS = 10.0  # while it is down, until somebody answers again

MAX_WITNESSES = 8  # that all of them are in league, or down, is as good as impossible on a mixed list
MIN_WITNESSES = 3  # that two are down at once is a coincidence
_CANDIDATES = 200  # servers, to find witnesses among: the list may hold thousands
_NETWORK_PREFIX_BITS = {4: 16, 6: 32}  # bits of a network that one provider has, and loses, as a whole

log = structlog.get_logger()


# ---------------------------------------------------------------- pure


def choose_witnesses(states: Iterable[ServerState]) -> tuple[Target, ...]:
    """Servers that were well when last seen, one of each network; none where they are too few to prove anything."""
    chosen: dict[object, Target] = {}
    for state in states:
        if endpoint := _healthy_endpoint(state):
            chosen.setdefault(_network_of(endpoint.endpoint.ip), endpoint.endpoint.target)
        if len(chosen) == MAX_WITNESSES:
            break
    return tuple(chosen.values()) if len(chosen) >= MIN_WITNESSES else ()


def _healthy_endpoint(state: ServerState) -> EndpointReport | None:
    endpoints = state.report.endpoints if state.report else ()
    return next((endpoint for endpoint in endpoints if endpoint.ok), None)


def _network_of(ip: IPAddress) -> object:
    return ip_network((ip, _NETWORK_PREFIX_BITS[ip.version]), strict=False)


def proves_network(report: Report) -> bool:
    """A name was looked up, and somebody answered there."""
    return any(names.ip_literal(endpoint.endpoint.target.host) is None and endpoint.ok for endpoint in report.endpoints)


# ---------------------------------------------------------------- the sight


class OutageDetector:
    """`prober` is the one in use. To be closed at the end."""

    def __init__(self, board: Board, exporter_metrics: ExporterMetrics, prober: Callable[[], SupportsProbe]) -> None:
        self._board = board
        self._prober = prober
        self._up = exporter_metrics.connectivity_up
        self._up.set(1)
        self._checking = {check_dns: asyncio.Lock() for check_dns in (False, True)}
        """That of the resolver is quick, and does not wait for one of the witnesses: an outage may be over by then."""
        self._watching: asyncio.Task[None] | None = None
        self._contact_at = -math.inf
        self._outage_since = -math.inf
        self._outage_ended_at = -math.inf
        self.outage: Outage | None = None
        """Set while our own network is down."""

    async def close(self) -> None:
        if self._watching:
            await wait_or_cancel({self._watching}, grace=0)

    async def explains(self, report: Report) -> bool:
        """Whether the report tells of our own network instead of the server. To be asked as soon as the probe ends."""
        ended = _now()
        started = ended - report.seconds
        if proves_network(report):
            self._record_contact(started)
        silence = connectivity.silent_failures(report)
        if verdict.federates(report) or not silence:
            return False
        if not self.outage and started >= self._outage_ended_at:
            await self._check_unless_in_contact(
                max(started, ended - FRESH_SECONDS), check_dns=bool(silence & DNS_REASONS)
            )
        return self.outage is not None or started < self._outage_ended_at  # it may have come back since we asked

    async def _check_unless_in_contact(self, since: float, *, check_dns: bool) -> None:
        """One check serves all who wait for it to begin."""
        async with self._checking[check_dns]:
            if not self.outage and self._contact_at < since:
                await self._check(check_dns=check_dns)

    async def _check(self, *, check_dns: bool) -> None:
        began, witnesses = _now(), self._witnesses()
        if loss := await self._prober().find_outage(witnesses, check_dns=check_dns):
            self._record_outage(loss, began)
        elif witnesses or check_dns or self.outage:  # else nobody was asked, and nobody seen
            self._record_contact(began)

    def _witnesses(self) -> tuple[Target, ...]:
        rendered = self._board.snapshot().states
        some = random.sample(rendered, min(len(rendered), _CANDIDATES))
        return choose_witnesses(each.state for each in some)

    def _record_contact(self, at: float) -> None:
        """`at` is the loop's time from which on it is sure: what began before the loss says nothing about its end."""
        self._contact_at = max(self._contact_at, at)
        if self.outage and at > self._outage_since:
            self.outage, self._outage_ended_at = None, _now()
            self._up.set(1)
            log.info("the exporter's own network is back")

    def _record_outage(self, loss: Outage, began: float) -> None:
        """Unless somebody was seen meanwhile."""
        if self._contact_at > began:
            return
        if not self.outage:
            self._outage_since = began
            self._up.set(0)
            log.error("the exporter's own network is down: failures are not blamed on the servers", because=loss.value)
        self.outage = loss
        if not self._watching or self._watching.done():
            self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Until it is back."""
        while self.outage:
            await asyncio.sleep(RECHECK_SECONDS)
            check_dns = self.outage is Outage.RESOLVER
            async with self._checking[check_dns]:
                if self.outage:
                    await self._check(check_dns=check_dns)


def _now() -> float:
    return asyncio.get_running_loop().time()
