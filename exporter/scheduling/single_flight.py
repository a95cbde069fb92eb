"""Runs every probe of the exporter, those of the schedule and those on demand, and shares them among all who wait."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Self

import structlog

from exporter.judging import verdict
from exporter.metrics.exporter_metrics import ExporterMetrics, SkipReason
from exporter.model.enums import Resource
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.servers import WatchedServer
from exporter.outbound.looks import OutboundLooks
from exporter.probing.prober import SupportsProbe, WorkerLostError
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.scheduling import probe_log
from exporter.scheduling.active_config import ActiveConfig
from exporter.scheduling.costly_servers import CostlyServers
from exporter.scheduling.flights import NEARLY_ALL, Flight, FlightKey, OnDemand, register_until_done
from exporter.scheduling.limiter import ProbeLimiter, wait_or_cancel
from exporter.scheduling.outage import Outages
from exporter.scheduling.own_network import OwnProxies
from exporter.scheduling.rarer_looks import RarerLooks

_SLACK_SECONDS = 0.25  # beyond its deadline, for a probe to notice the deadline and to be reported

log = structlog.get_logger()


class DeadlineExceededError(Exception):
    """There was no free probe slot in time, or a probe that another request began takes too long."""


class ShuttingDownError(Exception):
    """The exporter is stopping."""


class ProbeRunner:
    """Runs the probes of the schedule and those on demand, and puts the reports of watched servers on the board.

    Whoever wants a server probed that is already being probed joins the probe in flight, if that has as much time: the
    haste of one client must not falsify the results of others. At the end of `async with`, all probes are cancelled.
    """

    def __init__(
        self,
        board: Board,
        exporter_metrics: ExporterMetrics,
        active: Callable[[], ActiveConfig],
        limiter: Callable[[], ProbeLimiter],
        outbound: Callable[[], OutboundLooks | None] = lambda: None,
    ) -> None:
        """`active`, `limiter` and `outbound` are called before each probe, as their results may be replaced."""
        self._board = board
        self._exporter_metrics = exporter_metrics
        self.outages = Outages(board, exporter_metrics)
        self._proxies = OwnProxies(exporter_metrics)
        self._costly = CostlyServers(exporter_metrics)
        self._active = active
        self._limiter = limiter
        self._rarer_looks = RarerLooks(board, outbound, self._costly)
        self._in_flight: dict[FlightKey, Flight] = {}
        """Of each server, the probe that has the most time."""
        self._on_demand: dict[FlightKey, OnDemand] = {}
        """Of each server, the request that has the most time."""
        self._deep_looks: dict[FlightKey, asyncio.Task[Report]] = {}
        """Of each server, the deep look on demand that is being made."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False

    def __repr__(self) -> str:
        state = ", stopping" if self._stopping else ""
        return f"<ProbeRunner: {len(self._in_flight)} in flight, {len(self._on_demand)} on demand{state}>"

    async def __aenter__(self) -> Self:
        await self.outages.follow(self._active())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await wait_or_cancel(self._tasks, grace=0)
        await self.outages.close()

    # ------------------------------------------------------------ scheduled probes

    async def run_scheduled(self, name: ServerName) -> None:
        """Probe a server. The caller has a probe slot.

        A probe that is already in flight counts as the scheduled one if its report goes to the board. A server that has
        moved to another group when it ends is probed once more, over the network of that group. One that is not watched
        any more is not probed: nothing says over which network.
        """
        probed_in = None
        while (group := self._active().groups.get(name)) not in (None, probed_in):
            probed_in = group
            await self._join_or_launch(name)

    async def _join_or_launch(self, name: ServerName) -> None:
        while (flight := self._flight(name, math.inf)) and not flight.finished.done():
            if await asyncio.shield(flight.finished):
                return
        await asyncio.shield(self._launch(name, None).finished)

    # ------------------------------------------------------------ probes on demand

    async def probe_now(self, name: ServerName, max_seconds: float) -> ServerState:
        """Probe a server within `max_seconds`, and return its state with the report.

        Requests for the same server share a probe. A request that is cancelled does not affect the others. Raises
        DeadlineExceededError or ShuttingDownError.
        """
        if self._stopping:
            raise ShuttingDownError
        deadline = asyncio.get_running_loop().time() + max_seconds
        shared = self._on_demand.get(self._key(name))
        probe = shared.report if shared and shared.is_for(deadline) else self._start_on_demand(name, deadline)
        return self._state_with(await self._wait_for(probe, deadline))

    async def look_deeper(self, report: Report, max_seconds: float) -> Report:
        """Return the report with the findings of a deep look that is made now. It does not go to the board.

        Requests for the same server share the look that is being made. Raises what `probe_now` raises.
        """
        if self._stopping:
            raise ShuttingDownError
        deadline = asyncio.get_running_loop().time() + max_seconds
        look = self._deep_looks.get(self._key(report.server_name)) or self._start_deep_look(report, deadline)
        return await self._wait_for(look, deadline)

    async def _wait_for(self, task: asyncio.Task[Report], deadline: float) -> Report:
        """Return the result of a task that other requests may wait for too."""
        try:
            async with asyncio.timeout_at(deadline + _SLACK_SECONDS):
                return await asyncio.shield(task)
        except TimeoutError as error:
            raise DeadlineExceededError from error
        except asyncio.CancelledError:
            if task.cancelled():
                raise (ShuttingDownError if self._stopping else DeadlineExceededError) from None
            raise

    def _start_on_demand(self, name: ServerName, deadline: float) -> asyncio.Task[Report]:
        probe = self._start(self._wait_and_probe(name, deadline))
        return register_until_done(self._on_demand, self._key(name), OnDemand(deadline, probe), probe).report

    def _start_deep_look(self, report: Report, deadline: float) -> asyncio.Task[Report]:
        look = self._start(self._wait_and_look(report, deadline))
        return register_until_done(self._deep_looks, self._key(report.server_name), look, look)

    def _start(self, work: Coroutine[Any, Any, Report]) -> asyncio.Task[Report]:
        task = self._track(asyncio.create_task(work))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # all requests may be cancelled
        return task

    async def _wait_and_look(self, report: Report, deadline: float) -> Report:
        """Raises TimeoutError. If the exporter is starved or loses the worker, the report is returned as it is."""
        async with asyncio.timeout_at(deadline), self._limiter():
            try:
                deeper = await self._active().prober_of(report.server_name).run_deep_look(report)
            except WorkerLostError:
                return report
        return report if verdict.exporter_starved(deeper) else deeper

    async def _wait_and_probe(self, name: ServerName, deadline: float) -> Report:
        """Join the probe in flight, or wait for a slot and launch one. Raises TimeoutError if there is no free slot."""
        if flight := self._flight(name, deadline):
            return await asyncio.shield(flight.report)
        async with asyncio.timeout_at(deadline) as timeout, self._limiter():
            timeout.reschedule(None)  # a probe notices its deadline itself
            seconds = deadline - asyncio.get_running_loop().time()
            flight = self._flight(name, deadline) or self._launch(name, seconds)
            with self._exporter_metrics.probes_in_flight.track_inprogress():
                return await asyncio.shield(flight.report)

    def _state_with(self, report: Report) -> ServerState:
        """Return the state on the board if it includes the report or a later one, and the state with it otherwise."""
        state = self._board.state(report.server_name)
        if state is None:
            state = ServerState(WatchedServer(report.server_name, self._active().config.probe.interval))
        return state if state.includes(report) else state.with_report(report)

    # ------------------------------------------------------------ all probes

    def _key(self, name: ServerName) -> FlightKey:
        return self._active().group_of(name), name

    def _flight(self, name: ServerName, deadline: float) -> Flight | None:
        """Return the probe in flight if a request until this deadline may join it."""
        flight = self._in_flight.get(self._key(name))
        return flight if flight and flight.is_for(deadline) else None

    def _launch(self, name: ServerName, max_seconds: float | None) -> Flight:
        loop, active = asyncio.get_running_loop(), self._active()
        report: asyncio.Future[Report] = loop.create_future()
        finished = self._track(asyncio.create_task(self._run(name, active, max_seconds, report)))
        hurried = _is_hurried(max_seconds, active.timeout_of(name))
        deadline = loop.time() + max_seconds if max_seconds is not None and hurried else math.inf
        return register_until_done(self._in_flight, self._key(name), Flight(deadline, report, finished), finished)

    def _track(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        """Cancel the task at the end, if it is not done by then."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(
        self, name: ServerName, active: ActiveConfig, max_seconds: float | None, ended: asyncio.Future[Report]
    ) -> bool:
        """Probe a server with a configuration. Return whether the report went to the board.

        `max_seconds` is None for a scheduled probe: it has the configured timeout, and is the only one that a deep look
        may follow. A probe ends in one of these ways:

        - It does not begin, as the server is a costly one that has to rest; or the worker was lost, or the exporter was
          starved: there is no report.
        - The probe was cut short, or the server is in another group now, which may have another network: the report is
          only for those who requested it.
        - An outage of the exporter's network, a failure of its proxy, or an IP family that its machine lacks, explains
          its failures: the report goes to the board and says so.
        - Otherwise the report goes to the board. The rarer looks that are due are made before, and are a part of it.
        """
        try:
            if self._costly.must_rest(name):
                self._count_lost(name, max_seconds, SkipReason.COSTLY)
                return False
            report = await self._probe(active.prober_of(name), name, max_seconds)
            if resource := verdict.missing_resource(report):
                self._count_lost(name, max_seconds, SkipReason.lacking(resource))
                return False
            report = replace(report, exporter_offline=await self._is_explained(report, active))
            ended.set_result(report)
        except WorkerLostError:
            self._count_lost(name, max_seconds, SkipReason.WORKER_LOST)
            return False
        finally:
            ended.cancel()  # has no effect if it is done
        if max_seconds is None and not report.exporter_offline and not self._has_moved(name, active):
            report = await self._rarer_looks.add_to(report, active)
        cut_short = was_cut_short(report, max_seconds, active.timeout_of(name))
        return not cut_short and not self._has_moved(name, active) and self._publish(report)

    def _has_moved(self, name: ServerName, began_with: ActiveConfig) -> bool:
        """Whether a server has come into another group since its probe began."""
        return self._active().group_of(name) != began_with.group_of(name)

    async def _is_explained(self, report: Report, active: ActiveConfig) -> bool:
        """Whether the failures in a report are the exporter's own. It must be called as soon as the probe has ended."""
        if self._proxies.explain(report):
            return True
        return await self.outages.explains(report, active) or verdict.exporter_lacks_route(report)

    async def _probe(self, prober: SupportsProbe, name: ServerName, max_seconds: float | None) -> Report:
        """Probe a server, and once more if the event loop stalled too long while there are costly servers to avoid."""
        report = await prober.probe(name, max_seconds)
        self._costly.record(report)
        if self._costly and verdict.missing_resource(report) is Resource.CPU_TIME:
            log.warning("the event loop stalled: repeating the probe without costly servers", server_name=name.text)
            self._exporter_metrics.repeated_probes.inc()
            with self._costly.keep_away():
                report = await prober.probe(name, max_seconds)
            self._costly.record(report)
        return report

    def _count_lost(self, name: ServerName, max_seconds: float | None, reason: SkipReason) -> None:
        """Record that there is no report. Only a scheduled probe counts as skipped."""
        log.error("probe lost", server_name=name.text, reason=reason.value)
        if max_seconds is None:
            self._exporter_metrics.probes_skipped.labels(reason).inc()

    def _publish(self, report: Report) -> bool:
        """Put a report on the board, into the metrics and into the log. Return False if its server is not watched."""
        before = self._board.state(report.server_name)
        if not before or not self._board.put(report):
            return False
        if not report.exporter_offline:
            self._exporter_metrics.observe(report)
            probe_log.log_probe(before.report, report.with_looks_from(before.report))
        return True


def was_cut_short(report: Report, max_seconds: float | None, timeout: float) -> bool:
    """Whether a probe timed out that had less time than configured: with all of it, it might have succeeded."""
    return _is_hurried(max_seconds, timeout) and verdict.ran_out_of_time(report)


def _is_hurried(max_seconds: float | None, timeout: float) -> bool:
    """Whether a probe has less time than configured, in seconds. A scheduled probe, without `max_seconds`, has all."""
    return max_seconds is not None and max_seconds < NEARLY_ALL * timeout
