"""Who probes when, over a prober that does what it is told."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.config import Config, ProbeSettings
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.names import ServerName
from exporter.model.outcomes import Failed, Problem, ResourceShortage
from exporter.model.reasons import Reason
from exporter.model.report import EndpointReport, Report
from exporter.probing.connectivity import Outage
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.scheduling.limiter import ProbeLimiter
from exporter.scheduling.single_flight import (
    ActiveConfig,
    DeadlineExceededError,
    ProbeRunner,
    register_until_done,
    was_cut_short,
)
from tests.sample_reports import ENDED_AT, MATRIX_ENDPOINT, delegated_by_well_known, faults_in_deep_look, watched_server
from tests.scrapes import board_of
from tests.waiting import leaked_tasks, until

NAME = names.parse("example.org")
SETTINGS = ProbeSettings(timeout=30.0, deep_interval=3600.0)
TIMED_OUT = replace(
    delegated_by_well_known(),
    endpoints=(EndpointReport(MATRIX_ENDPOINT, Failed(3.0, (Problem(Reason.CONNECT_TIMEOUT, "no answer in time"),))),),
)

SHORT = replace(
    delegated_by_well_known(), dns=Failed(0.1, (ResourceShortage(Reason.INTERNAL_ERROR, "Too many open files"),))
)
SKIPPED = "matrix_federation_exporter_probes_skipped_total"


@dataclass
class FakeProber:
    """Answers with the next report each time it is allowed to; `asked` is how much time each probe had."""

    reports: list[Report]
    asked: list[float | None] = field(default_factory=list)
    deep: int = 0
    short: bool = False
    """At deep looks."""
    down: Outage | None = None
    may_end: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """Released once for each probe that may."""

    async def probe(self, name: ServerName, within: float | None = None) -> Report:
        self.asked.append(within)
        await self.may_end.acquire()
        return self.reports.pop(0)

    async def find_outage(self, _: Sequence[Target], *, check_dns: bool) -> Outage | None:
        """What a check finds."""
        assert not check_dns
        return self.down

    async def run_deep_look(self, report: Report) -> Report:
        self.deep += 1
        if self.short:
            return SHORT
        return replace(report, deep=faults_in_deep_look(0).deep, endpoints=faults_in_deep_look(0).endpoints)


@asynccontextmanager
async def probing(*reports: Report, concurrency: int = 5) -> AsyncIterator[tuple[ProbeRunner, FakeProber, Board]]:
    prober: Any = FakeProber(list(reports))
    board, limiter = board_of([watched_server("example.org")]), ProbeLimiter(concurrency)
    async with ProbeRunner(
        board, ExporterMetrics(), lambda: ActiveConfig(Config(probe=SETTINGS), prober), lambda: limiter
    ) as probes:
        yield probes, prober, board
    assert leaked_tasks() == set()


def later(minutes: int, report: Report | None = None) -> Report:
    return replace(report or delegated_by_well_known(), ended_at=ENDED_AT + timedelta(minutes=minutes))


async def test_schedule_looks_deep_at_its_own_pace() -> None:
    """The first time, and then when the latest is too old; findings are kept in between, and are no news."""
    async with probing(*(later(minutes) for minutes in (0, 30, 60))) as (probes, prober, board):
        looked, events = [], []
        for _ in range(3):
            prober.may_end.release()
            with capture_logs() as logged:
                await probes.run_scheduled(NAME)
            looked.append(prober.deep)
            events.append([(entry["log_level"], entry["event"]) for entry in logged])
        state = board.state(NAME)
    assert looked == [1, 1, 2]
    assert events[0] == [("info", "stage failed"), ("info", "probe succeeded")]
    assert events[1] == events[2] == [("debug", "stage failed"), ("debug", "probe succeeded")]
    assert state
    assert state.probes == 3


async def test_fresh_probe_serves_the_schedule() -> None:
    """Of one server there is only ever one in flight."""
    async with probing(delegated_by_well_known()) as (probes, prober, board):
        asked = asyncio.create_task(probes.probe_now(NAME, 30))
        await until(lambda: prober.asked)
        scheduled = asyncio.create_task(probes.run_scheduled(NAME))
        await asyncio.sleep(0)
        prober.may_end.release()
        fresh = await asked
        await scheduled
        assert fresh == board.state(NAME)
    assert (len(prober.asked), prober.deep) == (1, 0)


async def test_requests_share_a_probe_before_it_has_begun() -> None:
    """While it waits for its turn, too."""
    async with probing(delegated_by_well_known(), concurrency=1) as (probes, prober, _):
        limiter = probes._limiter()
        await limiter.acquire()
        asked = [asyncio.create_task(probes.probe_now(NAME, 5)) for _ in range(3)]
        await asyncio.sleep(0)
        assert len(probes._asked_for) == 1
        limiter.release()
        prober.may_end.release()
        first, *others_asked = await asyncio.gather(*asked)
    assert others_asked == [first, first]
    assert len(prober.asked) == 1


async def test_joining_a_probe_takes_no_turn() -> None:
    """Even where the one in flight has the last of them."""
    async with probing(delegated_by_well_known(), concurrency=1) as (probes, prober, _):
        await probes._limiter().acquire()
        scheduled = asyncio.create_task(probes.run_scheduled(NAME))
        await until(lambda: prober.asked)
        asked = asyncio.create_task(probes.probe_now(NAME, 5))
        await asyncio.sleep(0)
        prober.may_end.release()
        assert (await asked).probes == 1
        await scheduled


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    """The probe goes on for those who stay."""
    async with probing(delegated_by_well_known()) as (probes, prober, _):
        leaving, staying = (asyncio.create_task(probes.probe_now(NAME, 5)) for _ in range(2))
        await until(lambda: prober.asked)
        leaving.cancel()
        await asyncio.sleep(0)
        prober.may_end.release()
        assert (await staying).probes == 1
    assert leaving.cancelled()


async def test_hurried_probe_does_not_serve_the_schedule() -> None:
    """It ran out of a shorter time, so the schedule makes one that has all of it."""
    async with probing(TIMED_OUT, later(1)) as (probes, prober, board):
        asked = asyncio.create_task(probes.probe_now(NAME, 5))
        await until(lambda: prober.asked)
        scheduled = asyncio.create_task(probes.run_scheduled(NAME))
        await asyncio.sleep(0)
        prober.may_end.release()
        told = await asked
        prober.may_end.release()
        await scheduled
        state = board.state(NAME)
    assert (told.report, told.probes, told.failures) == (TIMED_OUT, 1, 1)
    assert state
    assert (state.probes, state.failures) == (1, 0)
    assert prober.asked[1] is None


@pytest.mark.parametrize(
    ("report", "within", "hurried"),
    [
        (TIMED_OUT, None, False),
        (TIMED_OUT, 30.0, False),
        (TIMED_OUT, 29.9, False),
        (TIMED_OUT, 9.5, True),
        (delegated_by_well_known(), 9.5, False),
    ],
)
def test_what_was_hurried(report: Report, within: float | None, hurried: bool) -> None:  # noqa: FBT001 - one of the cases
    """It had less time, and needed it."""
    assert was_cut_short(report, within, 30.0) is hurried


async def test_waiting_for_a_turn_takes_from_the_time() -> None:
    """And where there is none in time, there is no probe."""
    async with probing(delegated_by_well_known(), concurrency=1) as (probes, prober, _):
        limiter = probes._limiter()
        await limiter.acquire()
        with pytest.raises(DeadlineExceededError):
            await probes.probe_now(NAME, 0.05)
        assert prober.asked == []
        prober.may_end.release()
        asked = asyncio.create_task(probes.probe_now(NAME, 5))
        await asyncio.sleep(0.05)
        limiter.release()
        await asked
    (within,) = prober.asked
    assert within
    assert 4 < within < 4.96


async def test_nobody_need_hear_that_there_was_no_turn() -> None:
    """Where all who asked have left by then, asyncio has nothing to complain of."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with probing(delegated_by_well_known(), concurrency=1) as (probes, _, _):
        await probes._limiter().acquire()
        asked = asyncio.create_task(probes.probe_now(NAME, 0.05))
        await asyncio.sleep(0)
        asked.cancel()
        await until(lambda: not probes._asked_for)
        del asked
        gc.collect()
    assert complaints == []


async def test_failure_of_ours_reaches_those_who_wait() -> None:
    """And the next probe is another one."""
    async with probing(delegated_by_well_known()) as (probes, prober, _):
        prober.may_end.release()
        state = await probes.probe_now(NAME, 5)
        prober.may_end.release()
        with pytest.raises(IndexError):
            await probes.run_scheduled(NAME)
        assert state.probes == 1
        assert probes._in_flight == {}


async def test_one_that_begins_as_another_ends_is_in_flight() -> None:
    """It takes the place of one whose end nobody has been told of yet, and keeps it."""
    table: dict[ServerName, str] = {}
    earlier, later = (asyncio.get_running_loop().create_future() for _ in range(2))
    register_until_done(table, NAME, "earlier", earlier)
    earlier.set_result(None)
    register_until_done(table, NAME, "later", later)
    await asyncio.sleep(0)
    assert table == {NAME: "later"}
    later.set_result(None)
    await asyncio.sleep(0)
    assert table == {}


# ---------------------------------------------------------------- when we run out of something


async def test_want_of_our_own_is_no_failure_of_the_server() -> None:
    """The probe is counted as skipped, and tells nobody anything; the next one is another one."""
    async with probing(SHORT, SHORT, delegated_by_well_known()) as (probes, prober, board):
        prober.may_end.release()
        await probes.run_scheduled(NAME)
        prober.may_end.release()
        with pytest.raises(DeadlineExceededError):
            await probes.probe_now(NAME, 30)
        assert board.state(NAME) == ServerState(watched_server(NAME.text))
        skipped = probes._exporter_metrics.registry.get_sample_value(SKIPPED, {"reason": "no_resources"})
        prober.may_end.release()
        await probes.run_scheduled(NAME)
        state = board.state(NAME)
    assert state
    assert (state.probes, state.failures, skipped) == (1, 0, 1)


async def test_silence_while_we_stood_still_is_no_failure_of_the_server() -> None:
    """Its answers may have lain there all the time."""
    async with probing(replace(TIMED_OUT, stalled_seconds=TIMED_OUT.seconds)) as (probes, prober, board):
        prober.may_end.release()
        await probes.run_scheduled(NAME)
        assert board.state(NAME) == ServerState(watched_server(NAME.text))
        skipped = probes._exporter_metrics.registry.get_sample_value(SKIPPED, {"reason": "no_resources"})
    assert skipped == 1


async def test_a_deep_look_that_falls_short_is_made_again() -> None:
    """The probe before it holds."""
    async with probing(delegated_by_well_known(), later(1)) as (probes, prober, board):
        prober.short = True
        prober.may_end.release()
        await probes.run_scheduled(NAME)
        state = board.state(NAME)
        prober.may_end.release()
        await probes.run_scheduled(NAME)
    assert state
    assert (state.report, prober.deep) == (delegated_by_well_known(), 2)


# ---------------------------------------------------------------- when our own network is down


async def test_blind_probe_is_no_failure_of_the_server() -> None:
    """It is counted and remembered, once; what was known stays, and no deep look follows. Who asks is told the same."""
    async with probing(later(0), *(replace(TIMED_OUT, ended_at=later(minutes).ended_at) for minutes in (5, 10))) as (
        probes,
        prober,
        board,
    ):
        prober.may_end.release()
        await probes.run_scheduled(NAME)
        prober.down = Outage.NETWORK
        prober.may_end.release()
        await probes.run_scheduled(NAME)
        state = board.state(NAME)
        prober.may_end.release()
        told = await probes.probe_now(NAME, 30)
        await until(lambda: board.state(NAME) == told)
    assert state
    assert state.report
    assert (state.probes, state.failures, state.exporter_offline, prober.deep) == (2, 0, True, 1)
    assert state.report.ended_at == ENDED_AT
    assert (told.probes, told.failures, told.report) == (3, 0, state.report)
    assert [result.exporter_offline for result in told.history] == [True, True, False]


async def test_blind_probe_is_not_in_the_histograms() -> None:
    """Nor told in the log, but that the network is down; and nothing is looked at deeper, though it is due."""
    async with probing(TIMED_OUT) as (probes, prober, board):
        prober.down = Outage.NETWORK
        prober.may_end.release()
        with capture_logs() as logged:
            await probes.run_scheduled(NAME)
        (metric,) = probes._exporter_metrics.stage_duration.collect()
        state = board.state(NAME)
    assert [entry["event"] for entry in logged] == [
        "the exporter's own network is down: failures are not blamed on the servers"
    ]
    assert {sample.value for sample in metric.samples} == {0}
    assert state
    assert (state.report, state.probes, prober.deep) == (None, 1, 0)
