"""Scheduled probes and probes on demand share flights, with a prober whose reports a test sets."""

import asyncio
import gc
import math
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
from exporter.model.enums import Resource
from exporter.model.findings import Resolution
from exporter.model.names import ServerName
from exporter.model.outcomes import Failed, NoRoute, Problem, ResourceShortage
from exporter.model.reasons import Reason
from exporter.model.report import EndpointReport, Report
from exporter.probing.connectivity import Outage
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.scheduling import rarer_looks
from exporter.scheduling.active_config import ActiveConfig
from exporter.scheduling.costly_servers import COSTLY_SECONDS
from exporter.scheduling.flights import FlightKey, register_until_done
from exporter.scheduling.limiter import ProbeLimiter
from exporter.scheduling.single_flight import (
    DeadlineExceededError,
    ProbeRunner,
    ShuttingDownError,
    was_cut_short,
)
from tests.sample_reports import (
    ENDED_AT,
    MATRIX_ENDPOINT,
    behind_expired_certificate,
    delegated_by_well_known,
    expired_certificate,
    faults_in_deep_look,
    nothing_resolved,
    watched_server,
)
from tests.scrapes import board_of
from tests.waiting import leaked_tasks, until

NAME = names.parse("example.org")
SETTINGS = ProbeSettings(timeout=30.0, deep_interval=3600.0)
TIMED_OUT = replace(
    delegated_by_well_known(),
    endpoints=(EndpointReport(MATRIX_ENDPOINT, Failed(3.0, (Problem(Reason.CONNECT_TIMEOUT, "no answer in time"),))),),
)

SHORTAGE = ResourceShortage(Reason.INTERNAL_ERROR, "no file descriptors left", Resource.FILE_DESCRIPTORS)
STARVED = replace(delegated_by_well_known(), dns=Failed(0.1, (SHORTAGE,)))
SKIPPED = "matrix_federation_exporter_probes_skipped_total"


@dataclass
class FakeProber:
    """Returns the next report whenever `may_end` is released. `requested_seconds` is the time that each probe had."""

    reports: list[Report]
    requested_seconds: list[float | None] = field(default_factory=list)
    deep: int = 0
    starved: bool = False
    """Whether the exporter is starved during deep looks."""
    deep_endpoints: tuple[EndpointReport, ...] = faults_in_deep_look(0).endpoints
    down: Outage | None = None
    may_end: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """Released once for each probe that may end."""

    async def probe(self, name: ServerName, max_seconds: float | None = None) -> Report:
        self.requested_seconds.append(max_seconds)
        await self.may_end.acquire()
        return self.reports.pop(0)

    async def find_outage(self, _: Sequence[Target], *, check_dns: bool) -> Outage | None:
        assert not check_dns
        return self.down

    async def run_deep_look(self, report: Report) -> Report:
        self.deep += 1
        if self.starved:
            return STARVED
        return replace(report, deep=faults_in_deep_look(0).deep, endpoints=self.deep_endpoints)


@asynccontextmanager
async def probing(*reports: Report, concurrency: int = 5) -> AsyncIterator[tuple[ProbeRunner, FakeProber, Board]]:
    prober: Any = FakeProber(list(reports))
    board, limiter = board_of([watched_server("example.org")]), ProbeLimiter(concurrency)
    watched = {NAME, *(report.server_name for report in reports)}
    active = ActiveConfig(Config(probe=SETTINGS), {"default": prober}, {}, dict.fromkeys(watched, "default"))
    async with ProbeRunner(board, ExporterMetrics(), lambda: active, lambda: limiter) as runner:
        yield runner, prober, board
    assert leaked_tasks() == set()


def later(minutes: int, report: Report | None = None) -> Report:
    return replace(report or delegated_by_well_known(), ended_at=ENDED_AT + timedelta(minutes=minutes))


async def test_a_deep_look_is_made_when_the_latest_one_is_too_old() -> None:
    """Its findings are kept in between, and do not change the outcome of a probe."""
    async with probing(*(later(minutes) for minutes in (0, 30, 60))) as (runner, prober, board):
        deep_looks, events = [], []
        for _ in range(3):
            prober.may_end.release()
            with capture_logs() as logged:
                await runner.run_scheduled(NAME)
            deep_looks.append(prober.deep)
            events.append([(entry["log_level"], entry["event"]) for entry in logged])
        state = board.state(NAME)
    assert deep_looks == [1, 1, 2]
    assert events[0] == [("info", "stage failed"), ("info", "probe succeeded")]
    assert events[1] == events[2] == [("debug", "stage failed"), ("debug", "probe succeeded")]
    assert state
    assert state.probes == 3


async def test_the_first_deep_looks_at_many_servers_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names decide when: that of this one comes in the second round. At few servers, all come in the first."""
    monkeypatch.setattr(rarer_looks, "_FIRST_LOOK_SPACING_SECONDS", 0.8)  # over 3,200 seconds: this one after 454
    async with probing(later(0), later(5)) as (runner, prober, board):
        board.add(watched_server(f"s{number}.example.org") for number in range(5000))
        deep_looks = []
        for _ in range(2):
            prober.may_end.release()
            await runner.run_scheduled(NAME)
            deep_looks.append(prober.deep)
    assert deep_looks == [0, 1]


async def test_a_deep_look_is_made_when_a_certificate_stops_verifying() -> None:
    """It shows which keys are behind the certificate. An hour later, the next one is due."""
    broken = replace(expired_certificate(), server_name=NAME)
    async with probing(later(0), later(5, broken), later(10, broken)) as (runner, prober, _):
        deep_looks = []
        for _ in range(3):
            prober.may_end.release()
            await runner.run_scheduled(NAME)
            deep_looks.append(prober.deep)
            prober.deep_endpoints = behind_expired_certificate().endpoints
    assert deep_looks == [1, 2, 2]


async def test_requests_for_a_deep_look_share_one() -> None:
    """Its findings go to those who requested it, and not to the board."""
    async with probing() as (runner, prober, board):
        deeper = await asyncio.gather(*(runner.look_deeper(delegated_by_well_known(), 30) for _ in range(3)))
        state = board.state(NAME)
    assert prober.deep == 1
    assert all(report.deep for report in deeper)
    assert state
    assert state.report is None


async def test_a_deep_look_on_demand_is_refused_like_a_probe() -> None:
    """There may be no slot in time, and later the exporter may be stopping. If it was starved, nothing is added."""
    report = delegated_by_well_known()
    async with probing(concurrency=1) as (runner, prober, _):
        async with runner._limiter():
            with pytest.raises(DeadlineExceededError):
                await runner.look_deeper(report, 0.01)
        prober.starved = True
        assert await runner.look_deeper(report, 30) == report
    with pytest.raises(ShuttingDownError):
        await runner.look_deeper(report, 30)


async def test_a_probe_on_demand_counts_as_the_scheduled_one() -> None:
    """There is only one probe of a server in flight."""
    async with probing(delegated_by_well_known()) as (runner, prober, board):
        request = asyncio.create_task(runner.probe_now(NAME, 30))
        await until(lambda: prober.requested_seconds)
        scheduled = asyncio.create_task(runner.run_scheduled(NAME))
        await asyncio.sleep(0)
        prober.may_end.release()
        fresh = await request
        await scheduled
        assert fresh == board.state(NAME)
    assert (len(prober.requested_seconds), prober.deep) == (1, 0)


async def test_requests_share_a_probe_that_waits_for_a_slot() -> None:
    async with probing(delegated_by_well_known(), concurrency=1) as (runner, prober, _):
        limiter = runner._limiter()
        await limiter.acquire()
        requests = [asyncio.create_task(runner.probe_now(NAME, 5)) for _ in range(3)]
        await asyncio.sleep(0)
        assert len(runner._on_demand) == 1
        limiter.release()
        prober.may_end.release()
        first, *others = await asyncio.gather(*requests)
    assert others == [first, first]
    assert len(prober.requested_seconds) == 1


async def test_joining_a_probe_takes_no_slot() -> None:
    """The probe in flight has the last one."""
    async with probing(delegated_by_well_known(), concurrency=1) as (runner, prober, _):
        await runner._limiter().acquire()
        scheduled = asyncio.create_task(runner.run_scheduled(NAME))
        await until(lambda: prober.requested_seconds)
        request = asyncio.create_task(runner.probe_now(NAME, 5))
        await asyncio.sleep(0)
        prober.may_end.release()
        assert (await request).probes == 1
        await scheduled


async def test_cancelling_a_request_does_not_affect_the_others() -> None:
    """The probe goes on for them."""
    async with probing(delegated_by_well_known()) as (runner, prober, _):
        cancelled, other = (asyncio.create_task(runner.probe_now(NAME, 5)) for _ in range(2))
        await until(lambda: prober.requested_seconds)
        cancelled.cancel()
        await asyncio.sleep(0)
        prober.may_end.release()
        assert (await other).probes == 1
    assert cancelled.cancelled()


async def test_the_haste_of_one_request_does_not_falsify_the_results_of_others() -> None:
    """Two have more time than the first one, and share a probe of their own; the scheduled one is that probe too."""
    async with probing(TIMED_OUT, later(1)) as (runner, prober, board):
        hasty = asyncio.create_task(runner.probe_now(NAME, 0.5))
        await until(lambda: prober.requested_seconds)
        patient = [asyncio.create_task(runner.probe_now(NAME, 30)) for _ in range(2)]
        await until(lambda: len(prober.requested_seconds) == 2)
        scheduled = asyncio.create_task(runner.run_scheduled(NAME))
        prober.may_end.release()
        hurried = await hasty
        prober.may_end.release()
        *others, _ = await asyncio.gather(*patient, scheduled)
        assert others == [board.state(NAME)] * 2
    assert (hurried.report, hurried.failures) == (TIMED_OUT, 1)
    assert [(state.probes, state.failures) for state in others if state] == [(1, 0)] * 2
    assert len(prober.requested_seconds) == 2


async def test_the_haste_of_requests_does_not_delay_the_scheduled_probe() -> None:
    """It does not wait for a probe that has less time: there may always be another one."""
    async with probing(later(1), later(2)) as (runner, prober, _):
        hasty = asyncio.create_task(runner.probe_now(NAME, 0.5))
        await until(lambda: prober.requested_seconds)
        scheduled = asyncio.create_task(runner.run_scheduled(NAME))
        await until(lambda: len(prober.requested_seconds) == 2)
        for _ in range(2):
            prober.may_end.release()
        await asyncio.gather(hasty, scheduled)
    assert prober.requested_seconds[1] is None


async def test_requests_with_less_time_join_a_probe_that_has_more() -> None:
    async with probing(later(1)) as (runner, prober, _):
        patient = asyncio.create_task(runner.probe_now(NAME, 10))
        await until(lambda: prober.requested_seconds)
        hasty = asyncio.create_task(runner.probe_now(NAME, 5))
        await asyncio.sleep(0)
        prober.may_end.release()
        assert await hasty == await patient
    assert len(prober.requested_seconds) == 1


async def test_a_probe_that_was_cut_short_does_not_count_as_the_scheduled_one() -> None:
    """The scheduled probe has all the configured time."""
    async with probing(TIMED_OUT, later(1)) as (runner, prober, board):
        request = asyncio.create_task(runner.probe_now(NAME, 5))
        await until(lambda: prober.requested_seconds)
        scheduled = asyncio.create_task(runner.run_scheduled(NAME))
        await asyncio.sleep(0)
        prober.may_end.release()
        fresh = await request
        prober.may_end.release()
        await scheduled
        state = board.state(NAME)
    assert (fresh.report, fresh.probes, fresh.failures) == (TIMED_OUT, 1, 1)
    assert state
    assert (state.probes, state.failures) == (1, 0)
    assert prober.requested_seconds[1] is None


@pytest.mark.parametrize(
    ("report", "max_seconds", "cut_short"),
    [
        (TIMED_OUT, None, False),
        (TIMED_OUT, 30.0, False),
        (TIMED_OUT, 29.9, False),
        (TIMED_OUT, 9.5, True),
        (delegated_by_well_known(), 9.5, False),
    ],
)
def test_a_probe_is_cut_short_if_it_times_out_early(
    report: Report, max_seconds: float | None, *, cut_short: bool
) -> None:
    """It had less time than configured, and needed more."""
    assert was_cut_short(report, max_seconds, 30.0) is cut_short


async def test_the_wait_for_a_slot_is_a_part_of_the_time() -> None:
    """If there is no free slot in time, there is no probe."""
    async with probing(delegated_by_well_known(), concurrency=1) as (runner, prober, _):
        limiter = runner._limiter()
        await limiter.acquire()
        with pytest.raises(DeadlineExceededError):
            await runner.probe_now(NAME, 0.05)
        assert prober.requested_seconds == []
        prober.may_end.release()
        request = asyncio.create_task(runner.probe_now(NAME, 3600))
        await asyncio.sleep(0.05)
        limiter.release()
        await request
    (max_seconds,) = prober.requested_seconds
    assert max_seconds
    assert 3000 < max_seconds < 3599.96


async def test_the_error_of_a_probe_without_a_slot_may_be_ignored() -> None:
    """If all requests were cancelled, asyncio does not report that the exception was never retrieved."""
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with probing(delegated_by_well_known(), concurrency=1) as (runner, _, _):
        await runner._limiter().acquire()
        request = asyncio.create_task(runner.probe_now(NAME, 0.05))
        await asyncio.sleep(0)
        request.cancel()
        await until(lambda: not runner._on_demand)
        del request
        gc.collect()
    assert errors == []


async def test_an_exception_of_the_prober_is_raised() -> None:
    """No flight is left behind."""
    async with probing(delegated_by_well_known()) as (runner, prober, _):
        prober.may_end.release()
        state = await runner.probe_now(NAME, 5)
        prober.may_end.release()
        with pytest.raises(IndexError):
            await runner.run_scheduled(NAME)
        assert state.probes == 1
        assert runner._in_flight == {}


async def test_a_flight_replaces_one_that_has_just_ended() -> None:
    """The callback of the earlier one does not remove the later one."""
    table: dict[FlightKey, str] = {}
    key = ("default", NAME)
    earlier, later = (asyncio.get_running_loop().create_future() for _ in range(2))
    register_until_done(table, key, "earlier", earlier)
    earlier.set_result(None)
    register_until_done(table, key, "later", later)
    await asyncio.sleep(0)
    assert table == {key: "later"}
    later.set_result(None)
    await asyncio.sleep(0)
    assert table == {}


async def test_repr_shows_what_is_in_flight() -> None:
    async with probing(delegated_by_well_known()) as (runner, prober, _):
        request = asyncio.create_task(runner.probe_now(NAME, 5))
        await until(lambda: prober.requested_seconds)
        assert repr(runner) == "<ProbeRunner: 1 in flight, 1 on demand>"
        prober.may_end.release()
        await request
    assert repr(runner) == "<ProbeRunner: 0 in flight, 0 on demand, stopping>"


# ---------------------------------------------------------------- when the exporter is starved


async def test_a_resource_shortage_is_not_a_failure_of_the_server() -> None:
    """The probe is lost, and counts as skipped."""
    async with probing(STARVED, STARVED, delegated_by_well_known()) as (runner, prober, board):
        prober.may_end.release()
        await runner.run_scheduled(NAME)
        prober.may_end.release()
        with pytest.raises(DeadlineExceededError):
            await runner.probe_now(NAME, 30)
        assert board.state(NAME) == ServerState(watched_server(NAME.text))
        skipped = runner._exporter_metrics.registry.get_sample_value(SKIPPED, {"reason": "no_file_descriptors"})
        prober.may_end.release()
        await runner.run_scheduled(NAME)
        state = board.state(NAME)
    assert state
    assert (state.probes, state.failures, skipped) == (1, 0, 1)


async def test_a_timeout_during_a_stall_is_not_a_failure_of_the_server() -> None:
    """The response may have arrived in time."""
    async with probing(replace(TIMED_OUT, stalled_seconds=TIMED_OUT.seconds)) as (runner, prober, board):
        prober.may_end.release()
        await runner.run_scheduled(NAME)
        assert board.state(NAME) == ServerState(watched_server(NAME.text))
        skipped = runner._exporter_metrics.registry.get_sample_value(SKIPPED, {"reason": "no_cpu_time"})
    assert skipped == 1


async def test_a_deep_look_that_is_starved_is_made_again() -> None:
    """The report without it goes to the board."""
    async with probing(delegated_by_well_known(), later(1)) as (runner, prober, board):
        prober.starved = True
        prober.may_end.release()
        await runner.run_scheduled(NAME)
        state = board.state(NAME)
        prober.may_end.release()
        await runner.run_scheduled(NAME)
    assert state
    assert (state.report, prober.deep) == (delegated_by_well_known(), 2)


# ---------------------------------------------------------------- during an outage


async def test_a_probe_during_an_outage_is_not_a_failure_of_the_server() -> None:
    """It is counted once, and is in the history. The latest report stays, and no deep look follows."""
    async with probing(later(0), *(replace(TIMED_OUT, ended_at=later(minutes).ended_at) for minutes in (5, 10))) as (
        runner,
        prober,
        board,
    ):
        prober.may_end.release()
        await runner.run_scheduled(NAME)
        prober.down = Outage.NETWORK
        prober.may_end.release()
        await runner.run_scheduled(NAME)
        state = board.state(NAME)
        prober.may_end.release()
        fresh = await runner.probe_now(NAME, 30)
        await until(lambda: board.state(NAME) == fresh)
    assert state
    assert state.report
    assert (state.probes, state.failures, state.exporter_offline, prober.deep) == (2, 0, True, 1)
    assert state.report.ended_at == ENDED_AT
    assert (fresh.probes, fresh.failures, fresh.report) == (3, 0, state.report)
    assert [result.exporter_offline for result in fresh.history] == [True, True, False]


async def test_a_server_of_an_ip_family_that_the_exporter_lacks_is_not_a_failure() -> None:
    """Nor is it an outage: the next report, of the other family, counts."""
    no_route: Failed[Resolution] = Failed(0.1, (NoRoute(Reason.UNREACHABLE, "no route over IPv6"),))
    async with probing(later(0, replace(nothing_resolved(), dns=no_route, server_name=NAME)), later(5)) as (
        runner,
        prober,
        board,
    ):
        states = []
        for _ in range(2):
            prober.may_end.release()
            await runner.run_scheduled(NAME)
            states.append(board.state(NAME))
    assert [state and (state.probes, state.failures, state.exporter_offline) for state in states] == [
        (1, 0, True),
        (2, 0, False),
    ]


async def test_a_probe_during_an_outage_is_not_in_the_histograms() -> None:
    """Only the outage is logged, and no deep look is made, though one is due."""
    async with probing(TIMED_OUT) as (runner, prober, board):
        prober.down = Outage.NETWORK
        prober.may_end.release()
        with capture_logs() as logged:
            await runner.run_scheduled(NAME)
        (metric,) = runner._exporter_metrics.stage_duration.collect()
        state = board.state(NAME)
    assert [entry["event"] for entry in logged] == [
        "the exporter's own network is down: failures are not attributed to servers"
    ]
    assert {sample.value for sample in metric.samples} == {0}
    assert state
    assert (state.report, state.probes, prober.deep) == (None, 1, 0)


# ---------------------------------------------------------------- costly servers

COSTLY = replace(delegated_by_well_known(), server_name=names.parse("costly.test"), cpu_seconds=COSTLY_SECONDS)
STALLED = replace(TIMED_OUT, stalled_seconds=TIMED_OUT.seconds)


def counted(runner: ProbeRunner, name: str, **labels: str) -> float | None:
    return runner._exporter_metrics.registry.get_sample_value(f"matrix_federation_exporter_{name}_total", labels)


async def test_a_costly_server_rests_between_its_probes() -> None:
    """The log names it, and what is skipped is counted. Its rest ends."""
    cheap = replace(COSTLY, cpu_seconds=0.0)
    async with probing(COSTLY, cheap, cheap, concurrency=5) as (runner, prober, _):
        prober.may_end = asyncio.Semaphore(3)
        with capture_logs() as entries:
            await runner.run_scheduled(COSTLY.server_name)
        (entry,) = (each for each in entries if each["log_level"] == "warning")
        assert (entry["server_name"], entry["rest_seconds"]) == ("costly.test", 2)
        await runner.run_scheduled(COSTLY.server_name)
        with pytest.raises(DeadlineExceededError):
            await runner.probe_now(COSTLY.server_name, 30)
        assert (counted(runner, "costly_probes"), counted(runner, "probes_skipped", reason="costly")) == (1, 1)
        await until(lambda: not runner._costly.must_rest(COSTLY.server_name))
        await runner.run_scheduled(COSTLY.server_name)
        await runner.run_scheduled(COSTLY.server_name)
    assert len(prober.requested_seconds) == 3


async def test_a_probe_that_stalled_beside_costly_servers_is_repeated_without_them() -> None:
    """The result of the repetition counts."""
    async with probing(COSTLY, STALLED, TIMED_OUT) as (runner, prober, board):
        prober.may_end.release()
        await runner.run_scheduled(COSTLY.server_name)
        stalled = asyncio.create_task(runner.run_scheduled(NAME))
        prober.may_end.release()
        await until(lambda: len(prober.requested_seconds) == 3)
        runner._costly._rests_until.put(COSTLY.server_name, -math.inf)
        assert runner._costly.must_rest(COSTLY.server_name)
        prober.may_end.release()
        await stalled
        assert not runner._costly.must_rest(COSTLY.server_name)
        assert counted(runner, "repeated_probes") == 1
    state = board.state(NAME)
    assert state
    assert state.report
    assert state.report.stalled_seconds == 0


async def test_costly_servers_share_a_part_of_the_cpu() -> None:
    """The more of them there are, the longer each of them rests."""
    async with probing(*(replace(COSTLY, server_name=names.parse(f"{n}.test")) for n in range(3))) as (
        runner,
        prober,
        _,
    ):
        prober.may_end = asyncio.Semaphore(3)
        with capture_logs() as entries:
            for number in range(3):
                await runner.run_scheduled(names.parse(f"{number}.test"))
    assert [entry["rest_seconds"] for entry in entries if "rest_seconds" in entry] == [2, 4, 6]
