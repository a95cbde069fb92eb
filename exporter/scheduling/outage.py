"""Whether the exporter can see at all: known from what probes meet, and by a check where they meet silence."""

import asyncio
import math
import random
from collections.abc import Callable, Iterable
from ipaddress import ip_network

import structlog

from exporter.judging import verdict
from exporter.metrics.exporter_metrics import Instruments
from exporter.model import names
from exporter.model.addresses import IPAddress, Target
from exporter.model.report import EndpointReport, Report
from exporter.probing import connectivity
from exporter.probing.connectivity import OF_DNS, Loss
from exporter.probing.prober import Probing
from exporter.reports.board import Board
from exporter.reports.server_state import Standing
from exporter.scheduling.limiter import end

FRESH_SECONDS = 0.5  # an answer that somebody got within them speaks for the network: less than any wait in vain
RECHECK_SECONDS = 10.0  # while it is down, until somebody answers again

MOST_WITNESSES = 8  # that all of them are in league, or down, is as good as impossible on a mixed list
FEWEST_WITNESSES = 3  # that two are down at once is a coincidence
LOOKED_OVER = 200  # servers, to find witnesses among: the list may hold thousands
NEIGHBOURS = {4: 16, 6: 32}  # bits of a network that one provider has, and loses, as a whole

log = structlog.get_logger()


# ---------------------------------------------------------------- pure


def chosen_witnesses(standings: Iterable[Standing]) -> tuple[Target, ...]:
    """Servers that were well when last seen, one of each network; none where they are too few to prove anything."""
    chosen: dict[object, Target] = {}
    for standing in standings:
        if endpoint := healthy_endpoint(standing):
            chosen.setdefault(neighbourhood(endpoint.endpoint.ip), endpoint.endpoint.target)
        if len(chosen) == MOST_WITNESSES:
            break
    return tuple(chosen.values()) if len(chosen) >= FEWEST_WITNESSES else ()


def healthy_endpoint(standing: Standing) -> EndpointReport | None:
    endpoints = standing.report.endpoints if standing.report else ()
    return next((endpoint for endpoint in endpoints if endpoint.ok), None)


def neighbourhood(ip: IPAddress) -> object:
    return ip_network((ip, NEIGHBOURS[ip.version]), strict=False)


def shows_network(report: Report) -> bool:
    """A name was looked up, and somebody answered there."""
    return any(names.ip_literal(endpoint.endpoint.target.host) is None and endpoint.ok for endpoint in report.endpoints)


# ---------------------------------------------------------------- the sight


class Sight:
    """`prober` is the one in use. To be closed at the end."""

    def __init__(self, board: Board, instruments: Instruments, prober: Callable[[], Probing]) -> None:
        self._board = board
        self._prober = prober
        self._up = instruments.connectivity_up
        self._up.set(1)
        self._checking = {of_dns: asyncio.Lock() for of_dns in (False, True)}
        """That of the resolver is quick, and does not wait for one of the witnesses: an outage may be over by then."""
        self._watching: asyncio.Task[None] | None = None
        self._seen_at = -math.inf
        self._lost_at = -math.inf
        self._back_at = -math.inf
        self.lost: Loss | None = None
        """Set while our own network is down."""

    async def close(self) -> None:
        if self._watching:
            await end({self._watching}, grace=0)

    async def fails(self, report: Report) -> bool:
        """Whether the report tells of our own network instead of the server. To be asked as soon as the probe ends."""
        ended = now()
        started = ended - report.seconds
        if shows_network(report):
            self._see(started)
        silence = connectivity.silence(report)
        if verdict.federates(report) or not silence:
            return False
        if not self.lost and started >= self._back_at:
            await self._check_unless_seen(max(started, ended - FRESH_SECONDS), of_dns=bool(silence & OF_DNS))
        return self.lost is not None or started < self._back_at  # it may have come back since we asked

    async def _check_unless_seen(self, since: float, *, of_dns: bool) -> None:
        """One check serves all who wait for it to begin."""
        async with self._checking[of_dns]:
            if not self.lost and self._seen_at < since:
                await self._check(of_dns=of_dns)

    async def _check(self, *, of_dns: bool) -> None:
        began, witnesses = now(), self._witnesses()
        if loss := await self._prober().loss(witnesses, of_dns=of_dns):
            self._lose(loss, began)
        elif witnesses or of_dns or self.lost:  # else nobody was asked, and nobody seen
            self._see(began)

    def _witnesses(self) -> tuple[Target, ...]:
        posted = self._board.snapshot().posted
        some = random.sample(posted, min(len(posted), LOOKED_OVER))
        return chosen_witnesses(each.standing for each in some)

    def _see(self, at: float) -> None:
        """`at` is the loop's time from which on it is sure: what began before the loss says nothing about its end."""
        self._seen_at = max(self._seen_at, at)
        if self.lost and at > self._lost_at:
            self.lost, self._back_at = None, now()
            self._up.set(1)
            log.info("the exporter's own network is back")

    def _lose(self, loss: Loss, began: float) -> None:
        """Unless somebody was seen meanwhile."""
        if self._seen_at > began:
            return
        if not self.lost:
            self._lost_at = began
            self._up.set(0)
            log.error("the exporter's own network is down: failures are not blamed on the servers", because=loss.value)
        self.lost = loss
        if not self._watching or self._watching.done():
            self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Until it is back."""
        while self.lost:
            await asyncio.sleep(RECHECK_SECONDS)
            of_dns = self.lost is Loss.RESOLVER
            async with self._checking[of_dns]:
                if self.lost:
                    await self._check(of_dns=of_dns)


def now() -> float:
    return asyncio.get_running_loop().time()
