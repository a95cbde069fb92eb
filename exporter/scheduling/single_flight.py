"""Every probe of the exporter, whoever asks for it: of one server there is only ever one in flight."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self, TypeVar

import structlog

from exporter.config import Config
from exporter.judging import verdict
from exporter.metrics.exporter_metrics import ExporterMetrics, SkipReason
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.servers import WatchedServer
from exporter.probing.prober import SupportsProbe, WorkerLostError
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.scheduling import probe_log
from exporter.scheduling.limiter import ProbeLimiter, wait_or_cancel
from exporter.scheduling.outage import OutageDetector

_SLACK_SECONDS = 0.25  # beyond its deadline, for a probe to notice it and to be told of

_NEARLY_FULL_SHARE = 0.95  # of the configured time, the rest was spent on waiting for a turn
Entry = TypeVar("Entry")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ActiveConfig:
    """A whole configuration, and what was built from it."""

    config: Config
    prober: SupportsProbe


class DeadlineExceededError(Exception):
    """There was no turn, or a probe that somebody else began takes longer than one is willing to wait."""


class ShuttingDownError(Exception):
    """The exporter ends."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """A probe that is under way."""

    report: asyncio.Future[Report]
    """Done as soon as the probe has ended: the deep look that may follow keeps nobody waiting."""
    finished: asyncio.Task[bool]
    """To the end of all; whether the report went to the board."""


class ProbeRunner:
    """The results of watched servers go to the board. At the end of `async with` what is in flight is cancelled."""

    def __init__(
        self,
        board: Board,
        exporter_metrics: ExporterMetrics,
        active: Callable[[], ActiveConfig],
        limiter: Callable[[], ProbeLimiter],
    ) -> None:
        """Both are asked for before each probe, as a reload may replace them."""
        self._board = board
        self._exporter_metrics = exporter_metrics
        self.outage_detector = OutageDetector(board, exporter_metrics, lambda: active().prober)
        self._active = active
        self._limiter = limiter
        self._in_flight: dict[ServerName, _Flight] = {}
        self._asked_for: dict[ServerName, asyncio.Task[Report]] = {}
        self._stopping = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await wait_or_cancel(
            {*self._asked_for.values(), *(flight.finished for flight in self._in_flight.values())}, grace=0
        )
        await self.outage_detector.close()

    # ------------------------------------------------------------ of the schedule

    async def run_scheduled(self, name: ServerName) -> None:
        """The caller has a turn. A probe that is in flight serves as well, if its report is worth keeping."""
        while (flight := self._in_flight.get(name)) and not flight.finished.done():
            if await asyncio.shield(flight.finished):
                return
        await asyncio.shield(self._launch(name, None).finished)

    # ------------------------------------------------------------ of people and programs

    async def probe_now(self, name: ServerName, seconds: float) -> ServerState:
        """What is known once a probe of at most so many seconds has ended: equal requests share one, and its time.

        Raises NotInTimeError or StoppingError. Whoever stops waiting takes nothing from the others.
        """
        if self._stopping:
            raise ShuttingDownError
        asked = self._asked_for.get(name) or self._ask(name, seconds)
        try:
            async with asyncio.timeout(seconds + _SLACK_SECONDS):
                report = await asyncio.shield(asked)
        except TimeoutError as error:
            raise DeadlineExceededError from error
        except asyncio.CancelledError:
            if asked.cancelled():
                raise (ShuttingDownError if self._stopping else DeadlineExceededError) from None
            raise
        return self._state_with(report)

    def _ask(self, name: ServerName, seconds: float) -> asyncio.Task[Report]:
        asked = asyncio.create_task(self._wait_and_probe(name, seconds))
        asked.add_done_callback(lambda task: task.cancelled() or task.exception())  # all who asked may have left
        return register_until_done(self._asked_for, name, asked, asked)

    async def _wait_and_probe(self, name: ServerName, seconds: float) -> Report:
        if flight := self._in_flight.get(name):
            return await asyncio.shield(flight.report)
        clock, limiter = asyncio.get_running_loop().time, self._limiter()
        end_at = clock() + seconds
        async with asyncio.timeout_at(end_at):
            await limiter.acquire()
        try:
            flight = self._in_flight.get(name) or self._launch(name, end_at - clock())
            with self._exporter_metrics.probes_in_flight.track_inprogress():
                return await asyncio.shield(flight.report)
        finally:
            limiter.release()

    def _state_with(self, report: Report) -> ServerState:
        """The state on the board where it has the report or a later one, else as it would be with it."""
        state = self._board.state(report.server_name)
        if state is None:
            state = ServerState(WatchedServer(report.server_name, self._active().config.probe.interval, None))
        return state if state.includes(report) else state.with_report(report)

    # ------------------------------------------------------------ of both

    def _launch(self, name: ServerName, within: float | None) -> _Flight:
        report: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        finished = asyncio.create_task(self._run(name, within, report))
        return register_until_done(self._in_flight, name, _Flight(report, finished), finished)

    async def _run(self, name: ServerName, within: float | None, ended: asyncio.Future[Report]) -> bool:
        """`within` is None for a probe of the schedule: it has all its time, and alone looks deep."""
        active = self._active()
        try:
            report = await active.prober.probe(name, within)
            if verdict.exporter_starved(report):
                self._drop(name, within, SkipReason.NO_RESOURCES)
                return False
            report = replace(report, exporter_offline=await self.outage_detector.explains(report))
            ended.set_result(report)
        except WorkerLostError:
            self._drop(name, within, SkipReason.WORKER_LOST)
            return False
        finally:
            ended.cancel()  # which does nothing to one that is done
        if (
            within is None
            and not report.exporter_offline
            and self._deep_look_is_due(report, active.config.probe.deep_interval)
        ):
            deeper = await active.prober.run_deep_look(report)
            report = report if verdict.exporter_starved(deeper) else deeper
        return not was_cut_short(report, within, active.config.probe.timeout) and self._keep(report)

    def _drop(self, name: ServerName, within: float | None, why: SkipReason) -> None:
        """There is no report that tells anything of the server."""
        log.error("probe lost", server_name=name.text, reason=why.value)
        if within is None:
            self._exporter_metrics.probes_skipped.labels(why).inc()

    def _deep_look_is_due(self, report: Report, interval: float) -> bool:
        state = self._board.state(report.server_name)
        if state is None:
            return False
        latest = state.report.deep if state.report else None
        return latest is None or report.ended_at - latest.made_at >= timedelta(seconds=interval)

    def _keep(self, report: Report) -> bool:
        before = self._board.state(report.server_name)
        if not before or not self._board.put(report):
            return False
        if not report.exporter_offline:
            self._exporter_metrics.observe(report)
            probe_log.log_probe(before.report, report.with_deep_look_from(before.report))
        return True


def was_cut_short(report: Report, within: float | None, timeout: float) -> bool:
    """It ran out of a time that was shorter than the configured one: with all of it, it might have succeeded."""
    if within is None or within >= _NEARLY_FULL_SHARE * timeout:
        return False
    return verdict.ran_out_of_time(report)


def register_until_done(
    table: dict[ServerName, Entry], name: ServerName, entry: Entry, until: asyncio.Future[Any]
) -> Entry:
    """The entry stands in the table until that has ended, or another one has taken its place."""

    def leave(_: object) -> None:
        if table.get(name) is entry:
            del table[name]

    table[name] = entry
    until.add_done_callback(leave)
    return entry
