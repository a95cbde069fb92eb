"""Every probe of the exporter, whoever asks for it: of one server there is only ever one in flight."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self, TypeVar

import structlog

from exporter.config import Config
from exporter.judging import verdict
from exporter.metrics.exporter_metrics import Instruments, SkipReason
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.servers import Watched
from exporter.probing.prober import LostError, Probing
from exporter.reports.board import Board
from exporter.reports.server_state import Standing
from exporter.scheduling import probe_log
from exporter.scheduling.limiter import Turns, end
from exporter.scheduling.outage import Sight

SLACK_SECONDS = 0.25  # beyond its deadline, for a probe to notice it and to be told of

NEARLY_ALL = 0.95  # of the configured time, the rest was spent on waiting for a turn
Entry = TypeVar("Entry")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class InUse:
    """A whole configuration, and what was built from it."""

    config: Config
    prober: Probing


class NotInTimeError(Exception):
    """There was no turn, or a probe that somebody else began takes longer than one is willing to wait."""


class StoppingError(Exception):
    """The exporter ends."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """A probe that is under way."""

    report: asyncio.Future[Report]
    """Done as soon as the probe has ended: the deep look that may follow keeps nobody waiting."""
    kept: asyncio.Task[bool]
    """To the end of all; whether the report went to the board."""


class Probes:
    """The results of watched servers go to the board. At the end of `async with` what is in flight is cancelled."""

    def __init__(
        self,
        board: Board,
        instruments: Instruments,
        in_use: Callable[[], InUse],
        turns: Callable[[], Turns],
    ) -> None:
        """Both are asked for before each probe, as a reload may replace them."""
        self._board = board
        self._instruments = instruments
        self.sight = Sight(board, instruments, lambda: in_use().prober)
        self._in_use = in_use
        self._turns = turns
        self._in_flight: dict[ServerName, InFlight] = {}
        self._asked_for: dict[ServerName, asyncio.Task[Report]] = {}
        self._stopping = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await end({*self._asked_for.values(), *(flight.kept for flight in self._in_flight.values())}, grace=0)
        await self.sight.close()

    # ------------------------------------------------------------ of the schedule

    async def scheduled(self, name: ServerName) -> None:
        """The caller has a turn. A probe that is in flight serves as well, if its report is worth keeping."""
        while (flight := self._in_flight.get(name)) and not flight.kept.done():
            if await asyncio.shield(flight.kept):
                return
        await asyncio.shield(self._begin(name, None).kept)

    # ------------------------------------------------------------ of people and programs

    async def fresh(self, name: ServerName, seconds: float) -> Standing:
        """What is known once a probe of at most so many seconds has ended: equal requests share one, and its time.

        Raises NotInTimeError or StoppingError. Whoever stops waiting takes nothing from the others.
        """
        if self._stopping:
            raise StoppingError
        asked = self._asked_for.get(name) or self._ask(name, seconds)
        try:
            async with asyncio.timeout(seconds + SLACK_SECONDS):
                report = await asyncio.shield(asked)
        except TimeoutError as error:
            raise NotInTimeError from error
        except asyncio.CancelledError:
            if asked.cancelled():
                raise (StoppingError if self._stopping else NotInTimeError) from None
            raise
        return self._with(report)

    def _ask(self, name: ServerName, seconds: float) -> asyncio.Task[Report]:
        asked = asyncio.create_task(self._in_its_turn(name, seconds))
        asked.add_done_callback(lambda task: task.cancelled() or task.exception())  # all who asked may have left
        return listed(self._asked_for, name, asked, asked)

    async def _in_its_turn(self, name: ServerName, seconds: float) -> Report:
        if flight := self._in_flight.get(name):
            return await asyncio.shield(flight.report)
        clock, turns = asyncio.get_running_loop().time, self._turns()
        end_at = clock() + seconds
        async with asyncio.timeout_at(end_at):
            await turns.take()
        try:
            flight = self._in_flight.get(name) or self._begin(name, end_at - clock())
            with self._instruments.probes_in_flight.track_inprogress():
                return await asyncio.shield(flight.report)
        finally:
            turns.give_back()

    def _with(self, report: Report) -> Standing:
        """The standing on the board where it has the report or a later one, else as it would be with it."""
        standing = self._board.standing(report.server_name)
        if standing is None:
            standing = Standing(Watched(report.server_name, self._in_use().config.probe.interval, None))
        return standing if standing.has(report) else standing.after(report)

    # ------------------------------------------------------------ of both

    def _begin(self, name: ServerName, within: float | None) -> InFlight:
        report: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        kept = asyncio.create_task(self._run(name, within, report))
        return listed(self._in_flight, name, InFlight(report, kept), kept)

    async def _run(self, name: ServerName, within: float | None, ended: asyncio.Future[Report]) -> bool:
        """`within` is None for a probe of the schedule: it has all its time, and alone looks deep."""
        in_use = self._in_use()
        try:
            report = await in_use.prober.probe(name, within)
            if verdict.fell_short(report):
                self._lose(name, within, SkipReason.NO_RESOURCES)
                return False
            report = replace(report, blind=await self.sight.fails(report))
            ended.set_result(report)
        except LostError:
            self._lose(name, within, SkipReason.WORKER_LOST)
            return False
        finally:
            ended.cancel()  # which does nothing to one that is done
        if within is None and not report.blind and self._deep_look_is_due(report, in_use.config.probe.deep_interval):
            deeper = await in_use.prober.look_deeper(report)
            report = report if verdict.fell_short(deeper) else deeper
        return not is_hurried(report, within, in_use.config.probe.timeout) and self._keep(report)

    def _lose(self, name: ServerName, within: float | None, why: SkipReason) -> None:
        """There is no report that tells anything of the server."""
        log.error("probe lost", server_name=name.text, reason=why.value)
        if within is None:
            self._instruments.probes_skipped.labels(why).inc()

    def _deep_look_is_due(self, report: Report, interval: float) -> bool:
        standing = self._board.standing(report.server_name)
        if standing is None:
            return False
        latest = standing.report.deep if standing.report else None
        return latest is None or report.ended_at - latest.looked_at >= timedelta(seconds=interval)

    def _keep(self, report: Report) -> bool:
        before = self._board.standing(report.server_name)
        if not before or not self._board.put(report):
            return False
        if not report.blind:
            self._instruments.observe(report)
            probe_log.probed(before.report, report.keeping_deep_look(before.report))
        return True


def is_hurried(report: Report, within: float | None, timeout: float) -> bool:
    """It ran out of a time that was shorter than the configured one: with all of it, it might have succeeded."""
    if within is None or within >= NEARLY_ALL * timeout:
        return False
    return verdict.ran_out_of_time(report)


def listed(table: dict[ServerName, Entry], name: ServerName, entry: Entry, until: asyncio.Future[Any]) -> Entry:
    """The entry stands in the table until that has ended, or another one has taken its place."""

    def leave(_: object) -> None:
        if table.get(name) is entry:
            del table[name]

    table[name] = entry
    until.add_done_callback(leave)
    return entry
