"""When servers are probed: the grid, the trigger, and a real scheduler with intervals of less than a second."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.names import ServerName
from exporter.model.servers import Expectations, WatchedServer
from exporter.scheduling.grid import TICK_SECONDS, Grid, ScheduleChanges, diff, fraction, order, tick
from exporter.scheduling.schedule import GridTrigger, Schedule
from exporter.scheduling.wall_clock import WallClock
from tests.properties import PATIENT
from tests.sample_reports import watched_server
from tests.waiting import leaked_tasks, until

NOW = 4_000_000_000.0  # in the year 2096, so that nothing is due by the real clock
A, B, C = (names.parse(f"{letter}.example.org") for letter in "abc")


def server(name: ServerName, interval: float = 300) -> WatchedServer:
    return watched_server(name.text, interval)


# ---------------------------------------------------------------- pure


def test_diff_lists_added_rescheduled_and_removed_servers() -> None:
    """A server with the same interval is in none of them, whatever else has changed."""
    intervals = {A: 300.0, B: 60.0, names.parse("d.example.org"): 300.0}
    new = [
        server(C),
        server(B, 120),
        watched_server("d.example.org", expected=Expectations(Target("hs.example.org", 443))),
    ]
    assert diff(intervals, new) == ScheduleChanges(added=(server(C),), rescheduled=(server(B, 120),), removed=(A,))
    assert diff({each.server_name: each.interval for each in new}, new) == ScheduleChanges((), (), ())


def test_the_fraction_of_a_name_never_changes() -> None:
    """The phases of all servers depend on it, over restarts and releases."""
    assert [round(fraction(name), 6) for name in (A, B, C)] == [0.517482, 0.494964, 0.158251]


def test_fractions_are_spread_evenly() -> None:
    """Each tenth has about a tenth of a thousand names."""
    tenths = Counter(int(fraction(names.parse(f"s{number}.example.org")) * 10) for number in range(1000))
    assert sorted(tenths) == list(range(10))
    assert all(70 <= count <= 130 for count in tenths.values())


def test_servers_in_order_are_due_one_after_the_other() -> None:
    """Those with one interval, as others come again sooner or later."""
    servers = [server(names.parse(f"s{number}.example.org"), 60 * (1 + number % 2)) for number in range(100)]
    in_order = sorted(servers, key=order)
    assert [each.interval for each in in_order] == [60] * 50 + [120] * 50
    for same_interval in (in_order[:50], in_order[50:]):
        due = [Grid.of(each).at_or_after(0) for each in same_interval]
        assert due == sorted(due)


def test_servers_are_due_at_whole_ticks() -> None:
    """So a few of thousands are due at exactly the same time, whatever their phases are."""
    servers = [server(names.parse(f"s{number}.example.org")) for number in range(3000)]
    due = Counter(Grid.of(each).at_or_after(NOW) for each in servers)
    ticks = Counter(round((when - NOW) / TICK_SECONDS) for when in due)
    assert set(ticks.values()) == {1}
    assert all(abs((when - NOW) / TICK_SECONDS - round((when - NOW) / TICK_SECONDS)) < 1e-4 for when in due)
    assert max(due.values()) > 1


GRID = Grid(interval=300, phase=100)


@pytest.mark.parametrize(
    ("start", "following"),
    [(100, 400), (100.2, 400), (100 + 149, 400), (100 + 151, 700), (399, 700), (0, 400), (-60, 100)],
)
def test_the_following_probe_is_on_the_grid(start: float, following: float) -> None:
    """It comes half an interval after the start at the earliest."""
    assert GRID.following(start) == following


@pytest.mark.parametrize(
    ("due", "following", "skipped_between"),
    [
        (100, 400, 0),
        (100, 700, 1),
        (100, 100 + 12 * 300, 11),
        (20, 400, 0),
        (250, 400, 0),
        (260, 700, 0),
        (249.9, 700, 0),  # it started at 250.1
        (400, 100, 0),
    ],
)
def test_skipped_between_counts_the_due_times_between_two_probes(
    due: float, following: float, skipped_between: int
) -> None:
    """Neighbours have none between them, even if the first one is off the grid."""
    assert GRID.skipped_between(due, following) == skipped_between


@PATIENT
@given(
    start=st.floats(0, 4e9),
    interval=st.floats(1, 31_536_000),
    share=st.floats(0, 1, exclude_max=True),
)
def test_the_following_probe_is_half_to_one_and_a_half_intervals_later(
    start: float, interval: float, share: float
) -> None:
    """The bounds hold for any grid, to the microsecond."""
    wait = Grid(interval, share * interval).following(start) - start
    assert interval / 2 - 1e-6 <= wait <= interval * 1.5 + 1e-6


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_the_trigger_fires_at_first_and_then_on_the_grid() -> None:
    """After a restart at another time, the grid is the same."""
    grid = Grid.of(server(A))
    phases = []
    for start in (NOW + 1, NOW + 100):
        trigger = GridTrigger(grid, start)
        first = trigger.get_next_fire_time(None, at(NOW))
        second = trigger.get_next_fire_time(first, first)
        third = trigger.get_next_fire_time(second, second)
        assert (first, third - second) == (at(start), timedelta(seconds=300))
        phases.append(third.timestamp() % 300)
    assert phases == pytest.approx([tick(fraction(A) * 300)] * 2, abs=1e-5)


def test_a_clock_that_is_set_forward_causes_one_probe() -> None:
    """It does not cause a probe for each interval of the year that was skipped: the next one is on the grid."""
    trigger = GridTrigger(GRID, NOW)
    year_later = at(NOW + 365 * 86400)
    following = trigger.get_next_fire_time(at(NOW), year_later)
    assert timedelta(seconds=150) <= following - year_later <= timedelta(seconds=450)


# ---------------------------------------------------------------- a real scheduler


class FakeProbes:
    """Counts probes, by server name. They do not end while `gate` is closed."""

    def __init__(self, *, gate_open: bool = True) -> None:
        self.started: Counter[str] = Counter()
        self.running: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.gate = asyncio.Event()
        if gate_open:
            self.gate.set()

    async def probe(self, name: ServerName) -> None:
        self.started[name.text] += 1
        self.running[name.text] += 1
        self.most_at_once[name.text] = max(self.most_at_once[name.text], self.running[name.text])
        try:
            await self.gate.wait()
            self.ended[name.text] += 1
        finally:
            self.running[name.text] -= 1


def count(exporter_metrics: ExporterMetrics, name: str, **labels: str) -> float:
    value = exporter_metrics.registry.get_sample_value(f"matrix_federation_exporter_{name}", labels)
    assert value is not None
    return value


def schedule_of(
    probe: Callable[[ServerName], Awaitable[None]], exporter_metrics: ExporterMetrics | None = None, grace: float = 5
) -> Schedule:
    return Schedule(probe, exporter_metrics or ExporterMetrics(), first_round=0.05, grace=grace)


async def test_every_server_is_probed_at_its_own_interval() -> None:
    """All probes after the first one are on its grid. The lag of every start is observed."""
    probes, exporter_metrics = FakeProbes(), ExporterMetrics()
    servers = [server(A, 0.5), server(B, 3600)]
    async with schedule_of(probes.probe, exporter_metrics) as schedule:
        await schedule.watch(servers, concurrency=10)
        await until(lambda: probes.ended[A.text] >= 3 and probes.ended[B.text] == 1)
        planned = schedule._scheduler.get_job(A.text).next_run_time.timestamp()
        assert planned % 0.5 == pytest.approx(0.2, abs=1e-5)  # 0.517482 of the interval, which is in the third tick
    assert count(exporter_metrics, "schedule_lag_seconds_count") == probes.started.total()
    assert count(exporter_metrics, "probes_in_flight") == 0
    assert not schedule._scheduler.running
    assert leaked_tasks() == set()


async def test_the_first_round_is_spread_by_the_hash_of_the_name() -> None:
    """It takes `first_round` seconds, or one interval if that is shorter."""
    clock = WallClock(wall=lambda: NOW)
    async with Schedule(FakeProbes().probe, ExporterMetrics(), first_round=60, clock=clock) as schedule:
        await schedule.watch([server(A, 3600), server(B, 10)], concurrency=10)
        schedule._scheduler.pause()
        planned = {job.id: job.next_run_time.timestamp() - NOW for job in schedule._scheduler.get_jobs()}
    assert planned == pytest.approx({A.text: tick(fraction(A) * 60), B.text: tick(fraction(B) * 10)}, abs=1e-5)


async def test_the_first_round_of_many_servers_takes_longer() -> None:
    """Otherwise it would keep the exporter busy for a minute, and make its measurements unreliable."""
    clock = WallClock(wall=lambda: NOW)
    thousands = [server(names.parse(f"s{number}.example.org"), 3600) for number in range(5000)]
    async with Schedule(FakeProbes().probe, ExporterMetrics(), first_round=10, clock=clock) as schedule:
        await schedule.watch(thousands, concurrency=10)
        schedule._scheduler.pause()
        planned = sorted(job.next_run_time.timestamp() - NOW for job in schedule._scheduler.get_jobs())
    assert planned[-1] <= 100
    assert planned[2500] == pytest.approx(50, abs=4)


async def test_probes_of_one_server_never_overlap() -> None:
    """A probe that is due while another one runs is skipped and counted."""
    probes, exporter_metrics = FakeProbes(gate_open=False), ExporterMetrics()
    async with schedule_of(probes.probe, exporter_metrics) as schedule:
        await schedule.watch([server(A, 0.1)], concurrency=10)
        await until(lambda: count(exporter_metrics, "probes_skipped_total", reason="overlap") >= 2)
        assert probes.started == {A.text: 1}
        probes.gate.set()
        await until(lambda: probes.ended[A.text] >= 2)
    assert probes.most_at_once == {A.text: 1}


async def test_concurrency_is_limited() -> None:
    """The other probes wait for a slot, and are not in flight meanwhile."""
    probes, exporter_metrics = FakeProbes(gate_open=False), ExporterMetrics()
    servers = [watched_server(f"s{number}.example.org") for number in range(5)]
    async with schedule_of(probes.probe, exporter_metrics) as schedule:
        await schedule.watch(servers, concurrency=2)
        await until(lambda: len(schedule._waiting) == 3)
        assert (probes.running.total(), count(exporter_metrics, "probes_in_flight")) == (2, 2)
        assert repr(schedule) == "<Schedule: 5 servers, 3 waiting, 2 in flight>"
        probes.gate.set()
        await until(lambda: probes.ended.total() == 5)


async def test_concurrency_can_be_changed() -> None:
    """A probe that has a slot keeps it."""
    probes = FakeProbes(gate_open=False)
    async with schedule_of(probes.probe) as schedule:
        await schedule.watch([server(A)], concurrency=1)
        await until(lambda: probes.running.total() == 1)
        await schedule.watch([server(A), server(B)], concurrency=2)
        await until(lambda: probes.running.total() == 2)
        assert (probes.started, probes.ended.total()) == ({A.text: 1, B.text: 1}, 0)
        probes.gate.set()


async def test_servers_that_stay_keep_their_phase() -> None:
    """A reload reschedules only servers with another interval. Servers that are removed are not probed again."""
    probes = FakeProbes()
    async with schedule_of(probes.probe) as schedule:
        await schedule.watch([server(A), server(B), server(C, 3600)], concurrency=10)
        await until(lambda: probes.ended.total() == 3)
        planned = {job.id: job.next_run_time for job in schedule._scheduler.get_jobs()}
        await schedule.watch([server(A), server(C, 60)], concurrency=10)
        replanned = {job.id: job.next_run_time for job in schedule._scheduler.get_jobs()}
    assert replanned.keys() == {A.text, C.text}
    assert replanned[A.text] == planned[A.text]
    grid = Grid.of(server(C, 60))
    assert replanned[C.text].timestamp() == pytest.approx(grid.at_or_after(time.time()), abs=1e-5)


async def test_a_longer_interval_does_not_delay_the_next_probe() -> None:
    """A server that was to be probed within a minute is, although its interval is now an hour."""
    async with Schedule(FakeProbes().probe, ExporterMetrics()) as schedule:
        await schedule.watch([server(A, 60)], concurrency=10)
        planned = schedule._scheduler.get_job(A.text).next_run_time
        await schedule.watch([server(A, 3600)], concurrency=10)
        assert schedule._scheduler.get_job(A.text).next_run_time <= planned


async def test_a_result_may_put_another_interval_in_force() -> None:
    """A shorter one counts from now. A longer one leads to the grid: so those that change together are spread."""
    clock = WallClock(wall=lambda: NOW)
    async with Schedule(FakeProbes().probe, ExporterMetrics(), clock=clock) as schedule:
        await schedule.watch([server(A), server(B)], concurrency=10)
        before = schedule._scheduler.get_job(B.text).next_run_time
        planned = []
        for interval in (30, 30, 300, 3600):
            schedule.follow(server(A, interval))
            planned.append(schedule._scheduler.get_job(A.text).next_run_time.timestamp())
        assert planned[:2] == [NOW + 30] * 2
        assert planned[2:] == pytest.approx([Grid.of(server(A, each)).following(NOW) for each in (300, 3600)], abs=1e-5)
        assert schedule._scheduler.get_job(B.text).next_run_time == before


async def test_the_interval_in_force_stays_over_a_reload() -> None:
    """What a result has changed is not a change of the reload, and what the reload changes is."""
    async with Schedule(FakeProbes().probe, ExporterMetrics()) as schedule:
        await schedule.watch([server(A)], concurrency=10)
        schedule.follow(server(A, 3600))
        planned = schedule._scheduler.get_job(A.text).next_run_time
        await schedule.watch([server(A, 3600)], concurrency=10)
        assert schedule._scheduler.get_job(A.text).next_run_time == planned
        await schedule.watch([server(A)], concurrency=10)
        assert schedule._scheduler.get_job(A.text).next_run_time <= datetime.now(UTC) + timedelta(seconds=300)


async def test_a_result_of_a_server_that_was_removed_plans_nothing() -> None:
    """Its last probe may end after the reload, or while the server is being removed."""
    async with Schedule(FakeProbes().probe, ExporterMetrics()) as schedule:
        await schedule.watch([server(A), server(B)], concurrency=10)
        removing = asyncio.create_task(schedule.watch([server(B)], concurrency=10))
        await asyncio.sleep(0)
        schedule.follow(server(A, 30))
        await removing
        schedule.follow(server(A, 60))
        await schedule.watch([server(B)], concurrency=10)
        assert [job.id for job in schedule._scheduler.get_jobs()] == [B.text]


async def test_a_server_is_removed_and_added_while_it_is_probed() -> None:
    """The probe runs to its end, and the next one does not overlap with it."""
    probes = FakeProbes(gate_open=False)
    async with schedule_of(probes.probe) as schedule:
        await schedule.watch([server(A, 0.1)], concurrency=10)
        await until(lambda: probes.running[A.text])
        await schedule.watch([], concurrency=10)
        await schedule.watch([server(A, 0.1)], concurrency=10)
        probes.gate.set()
        await until(lambda: probes.ended[A.text] >= 2)
    assert probes.most_at_once == {A.text: 1}


async def test_a_probe_that_raises_does_not_end_the_schedule(caplog: pytest.LogCaptureFixture) -> None:
    """The exception is a bug of the exporter, and is logged with its traceback."""
    raised = 0

    async def broken(_: ServerName) -> None:
        nonlocal raised
        raised += 1
        raise RuntimeError("a fault")

    async with schedule_of(broken) as schedule:
        await schedule.watch([server(A, 0.1)], concurrency=1)
        await until(lambda: raised >= 2)
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert errors
    assert all("RuntimeError: a fault" in caplog.handler.format(record) for record in errors)


async def test_probes_that_were_due_during_a_stall_are_counted_as_missed() -> None:
    """One probe is made for all of them."""
    probes, exporter_metrics = FakeProbes(), ExporterMetrics()
    async with schedule_of(probes.probe, exporter_metrics) as schedule:
        await schedule.watch([server(A, 0.1)], concurrency=1)
        await until(lambda: probes.ended[A.text] >= 1)
        before, missed_before = probes.started[A.text], count(exporter_metrics, "probes_skipped_total", reason="missed")
        began = time.monotonic()
        time.sleep(1)  # noqa: ASYNC251 - the stall
        await until(lambda: probes.started[A.text] > before)
        missed = count(exporter_metrics, "probes_skipped_total", reason="missed") - missed_before
        due = (time.monotonic() - began) / 0.1
    assert 8 <= missed <= due + 1


async def test_a_clock_that_is_set_back_reschedules_all_probes() -> None:
    """Otherwise nothing would be probed until the clock is where it was. The phases stay."""
    wall = NOW
    async with Schedule(FakeProbes().probe, ExporterMetrics(), clock=WallClock(lambda: wall, lambda: 0)) as schedule:
        await schedule.watch([server(A), server(B)], concurrency=10)
        schedule._scheduler.pause()
        wall = NOW - 86400
        schedule.follow_clock_changes()
        schedule._scheduler.pause()
        planned = {job.id: job.next_run_time.timestamp() for job in schedule._scheduler.get_jobs()}
    expected = {name.text: Grid.of(server(name)).at_or_after(NOW - 86400) for name in (A, B)}
    assert planned == pytest.approx(expected, abs=1e-5)


async def test_a_clock_that_is_set_forward_and_soon_back_reschedules_all_probes() -> None:
    """Between two checks, probes may have been planned by the clock while it was ahead."""
    ahead, probes = 0.0, FakeProbes()
    clock = WallClock(lambda: time.time() + ahead)
    async with Schedule(probes.probe, ExporterMetrics(), first_round=0.05, clock=clock) as schedule:
        await schedule.watch([server(A, 0.1)], concurrency=10)
        await until(lambda: probes.ended[A.text] > 0)
        ahead, before = 86400.0, probes.started[A.text]
        await until(lambda: probes.started[A.text] > before)
        schedule._scheduler.get_job(A.text).modify(next_run_time=datetime.now(UTC) + timedelta(days=1))
        ahead = 0.0
        schedule.follow_clock_changes()
        assert schedule._scheduler.get_job(A.text).next_run_time < datetime.now(UTC) + timedelta(seconds=1)


async def test_probes_that_a_clock_set_back_has_delayed_are_counted_as_missed() -> None:
    """These are all that would have been due until the check."""
    wall, steady, exporter_metrics = NOW, 0.0, ExporterMetrics()
    async with Schedule(
        FakeProbes().probe, exporter_metrics, clock=WallClock(lambda: wall, lambda: steady)
    ) as schedule:
        await schedule.watch([server(A)], concurrency=10)
        schedule._scheduler.pause()
        due = Grid.of(server(A)).at_or_after(NOW)
        schedule._scheduler.get_job(A.text).modify(next_run_time=datetime.fromtimestamp(due, UTC))
        steady = due + 2 * 300 + 1 - NOW
        wall = NOW + steady - 86400
        schedule.follow_clock_changes()
    assert count(exporter_metrics, "probes_skipped_total", reason="missed") == 3


async def test_probes_that_are_overdue_when_the_interval_changes_are_counted_as_missed() -> None:
    """One probe is made for all of them, and is not counted."""
    wall, exporter_metrics = NOW, ExporterMetrics()
    async with Schedule(FakeProbes().probe, exporter_metrics, clock=WallClock(lambda: wall, lambda: 0)) as schedule:
        await schedule.watch([server(A)], concurrency=10)
        due = schedule._scheduler.get_job(A.text).next_run_time.timestamp()
        wall = due + 2 * 300 + 1
        await schedule.watch([server(A, 3600)], concurrency=10)
    assert count(exporter_metrics, "probes_skipped_total", reason="missed") == 2


async def test_a_clock_that_is_slewed_changes_nothing() -> None:
    """Half a second between two checks is not a step back, and a step forward reschedules nothing."""
    wall = NOW
    async with Schedule(FakeProbes().probe, ExporterMetrics(), clock=WallClock(lambda: wall, lambda: 0)) as schedule:
        await schedule.watch([server(A)], concurrency=10)
        planned = schedule._scheduler.get_job(A.text).next_run_time
        for shift in (-0.5, -1, 1000):
            wall = NOW + shift
            schedule.follow_clock_changes()
        assert schedule._scheduler.get_job(A.text).next_run_time == planned


# ---------------------------------------------------------------- shutdown


async def test_probes_in_flight_may_end_at_shutdown() -> None:
    """No probe starts any more, and those that wait for a slot are counted as skipped."""
    probes, exporter_metrics = FakeProbes(gate_open=False), ExporterMetrics()
    async with schedule_of(probes.probe, exporter_metrics) as schedule:
        await schedule.watch([server(A, 0.1), server(B), server(C)], concurrency=2)
        await until(lambda: len(schedule._waiting) == 1 and probes.running.total() == 2)
        asyncio.get_running_loop().call_later(0.3, probes.gate.set)
    assert (probes.started.total(), probes.ended.total()) == (2, 2)
    assert count(exporter_metrics, "probes_skipped_total", reason="shutdown") == 1
    assert leaked_tasks() == set()


async def test_probes_that_do_not_end_are_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """They are cancelled after the grace period, and nothing is logged."""
    probes = FakeProbes(gate_open=False)
    async with schedule_of(probes.probe, grace=0.05) as schedule:
        await schedule.watch([server(A), server(B)], concurrency=10)
        await until(lambda: probes.running.total() == 2)
    assert (probes.running.total(), probes.ended.total()) == (0, 0)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    assert leaked_tasks() == set()
