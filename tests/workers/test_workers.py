"""Processes that probe for the exporter: real ones, over the embedded federation."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from structlog.testing import capture_logs

from exporter.app import App
from exporter.config import Config, load
from exporter.demo.federation import Federation
from exporter.demo.servers import LabServer
from exporter.judging import verdict
from exporter.metrics.exporter_metrics import SkipReason
from exporter.model.names import parse
from exporter.model.report import Report
from exporter.model.shards import Shard
from exporter.probing.prober import WorkerLostError
from exporter.wiring import build_prober
from exporter.workers import pool
from exporter.workers.pool import WorkerPool
from tests.embedded_federation import (
    Series,
    expected_failures,
    failures,
    lab_servers,
    scraped,
    series,
    successes,
    write_config,
)
from tests.waiting import leaked_tasks, until, until_asked

HEALTHY, BROKEN, SRV, SILENT = lab_servers(
    "default-port.lab.test", "expired.lab.test", "srv-legacy.lab.test", "black-hole.lab.test"
)
NAME, SILENT_NAME = parse(HEALTHY.server_name), parse(SILENT.server_name)
SLOW = {"interval": "1h", "timeout": "10m"}


def staff(number: int) -> WorkerPool:
    return WorkerPool(number, "warning", "logfmt")


@asynccontextmanager
async def workers_over(
    folder: Path, *servers: LabServer, number: int = 2, **changed: object
) -> AsyncIterator[tuple[WorkerPool, Config]]:
    async with Federation(servers) as federation, staff(number) as workers:
        yield workers, load(write_config(folder / "config.yaml", federation, **changed))


@asynccontextmanager
async def exporter_with(folder: Path, *servers: LabServer, **changed: object) -> AsyncIterator[tuple[App, WorkerPool]]:
    workers = staff(2)
    async with Federation(servers) as federation:
        file = write_config(folder / "config.yaml", federation, **changed)
        app = App(file, first_round=0.1, workers=workers)
        app._schedule._grace = 0.1
        async with app:
            yield app, workers


def timeless(report: Report) -> tuple[object, ...]:
    """What another probe of the same server would report too."""
    return (
        report.server_name,
        report.route,
        {*map(str, verdict.problems(report))},
        [seen.endpoint for seen in report.endpoints],
    )


def kill_all(workers: WorkerPool) -> None:
    for pid in workers.pids():
        os.kill(pid, signal.SIGKILL)


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def resident() -> int:
    """Bytes, of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---------------------------------------------------------------- what they answer


async def test_a_report_is_that_of_our_own_probe(tmp_path: Path) -> None:
    """Of healthy servers and of broken ones, with a deep look too."""
    async with workers_over(tmp_path, HEALTHY, BROKEN, SRV) as (workers, config):
        for server in (HEALTHY, BROKEN, SRV):
            here, there = build_prober(config), workers.prober(config, build_prober(config))
            ours = await here.run_deep_look(await here.probe(parse(server.server_name)))
            theirs = await there.run_deep_look(await there.probe(parse(server.server_name)))
            assert timeless(theirs) == timeless(ours)
            assert theirs.deep is not None
    assert leaked_tasks() == set()


async def test_a_server_keeps_its_worker() -> None:
    """And the servers of one shard are shared among all workers, and not left to one of them."""
    workers, shard = staff(2), [parse(f"s{number}.test") for number in range(100)]
    assert [workers.of(name) for name in shard] == [workers.of(name) for name in shard]
    chosen = [workers.of(name) for name in shard if Shard(0, 2).holds(name)]
    assert 0.3 < chosen.count(workers.of(shard[0])) / len(chosen) < 0.7


async def test_the_latest_configuration_counts(tmp_path: Path) -> None:
    """A question of an older one, such as a deep look that a reload has overtaken, does not bring that one back."""
    async with workers_over(tmp_path, HEALTHY, number=1) as (workers, config):
        nowhere = replace(config, network=replace(config.network, connect_to={}))
        older, newer = workers.prober(nowhere, build_prober(nowhere)), workers.prober(config, build_prober(config))
        assert not verdict.federates(await older.probe(NAME))
        assert verdict.federates(await newer.probe(NAME))
        assert verdict.federates(await older.probe(NAME))


async def test_what_nobody_waits_for_is_given_up(tmp_path: Path) -> None:
    """A worker is told of a cancellation, and answers others meanwhile."""
    async with workers_over(tmp_path, HEALTHY, SILENT, number=1, probe=SLOW) as (workers, config):
        elsewhere = workers.prober(config, build_prober(config))
        silent = asyncio.create_task(elsewhere.probe(SILENT_NAME))
        assert verdict.federates(await elsewhere.probe(NAME))
        worker = workers.of(SILENT_NAME)
        assert len(worker._waiting) == 1
        silent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await silent
        assert worker._waiting == {}
        assert verdict.federates(await elsewhere.probe(NAME))
    assert leaked_tasks() == set()


# ---------------------------------------------------------------- when they die


async def test_a_worker_that_is_killed_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was asked is asked of its successor, and whoever asked sees nothing of it."""
    monkeypatch.setattr(pool, "RESTART_SECONDS", 0.01)
    async with workers_over(tmp_path, HEALTHY, number=1) as (workers, config):
        with capture_logs() as logs:
            asked = asyncio.create_task(workers.prober(config, build_prober(config)).probe(NAME))
            await until(lambda: workers.of(NAME)._waiting)
            kill_all(workers)
            assert verdict.federates(await asked)
        assert workers.restarts == 1
        assert [(line["event"], line["status"]) for line in logs] == [("a worker ended: starting another", -9)]


async def test_a_probe_is_lost_with_the_second_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that kills workers must not be able to kill one after the other for ever."""
    monkeypatch.setattr(pool, "RESTART_SECONDS", 0.01)
    async with workers_over(tmp_path, SILENT, number=1, probe=SLOW) as (workers, config):
        worker = workers.of(SILENT_NAME)
        asked = asyncio.create_task(workers.prober(config, build_prober(config)).probe(SILENT_NAME))
        for _ in range(2):
            await until(lambda: worker._waiting)
            kill_all(workers)
            await until(lambda: worker.pid is None)
        with pytest.raises(WorkerLostError):
            await asked


async def test_a_deep_look_that_is_lost_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report of the probe before it is worth keeping."""
    async with workers_over(tmp_path, HEALTHY, number=1) as (workers, config):
        elsewhere = workers.prober(config, build_prober(config))
        report = await elsewhere.probe(NAME)
        monkeypatch.setattr(pool.WorkerHandle, "ask", AsyncMock(side_effect=WorkerLostError))
        assert await elsewhere.run_deep_look(report) is report


async def test_workers_run_in_the_loop_of_serve() -> None:
    """In uvloop's where it is installed: the library is loaded in each of them."""
    async with staff(2) as workers:
        assert all(map(has_loaded_uvloop, workers.pids()))


def has_loaded_uvloop(pid: int) -> bool:
    return "uvloop" in Path(f"/proc/{pid}/maps").read_text()


async def test_no_worker_outlives_the_exporter(tmp_path: Path) -> None:
    """Not even one that it was not able to stop: each ends when nobody is at the other end of its socket."""
    async with workers_over(tmp_path, HEALTHY) as (workers, config):
        await workers.prober(config, build_prober(config)).probe(NAME)
        pids = list(workers.pids())
        worker = workers.of(NAME)
        worker._supervising.cancel()
        worker._writer.transport.abort()
        assert await asyncio.wait_for(worker._process.wait(), 10) == 0
    assert pids
    assert not any(map(runs, pids))


# ---------------------------------------------------------------- within the exporter


async def test_one_metrics_page_for_all(tmp_path: Path) -> None:
    """The servers of both workers are on it, counters and histograms hold all probes, CPU and memory all processes."""
    async with exporter_with(tmp_path, HEALTHY, BROKEN, SRV) as (app, workers):

        async def look() -> Series | None:
            found = await scraped(app.addresses[0])
            return None if None in successes(found, [HEALTHY, BROKEN, SRV]).values() else found

        found = await until_asked(look)
        assert found
        assert len({workers.of(parse(server.server_name)) for server in (HEALTHY, BROKEN, SRV)}) == 2
        assert failures(found) == expected_failures([BROKEN])
        probes = [
            found[series("probes_total", {"server_name": server.server_name})] for server in (HEALTHY, BROKEN, SRV)
        ]
        timed = found['exporter_stage_duration_seconds_count{probe_stage="dns"}']
        assert timed + found["exporter_unreliable_timings_total"] == sum(probes)
        assert found["exporter_workers"] == 2
        lags = found["exporter_event_loop_lag_seconds_count"]
        await until_asked(lambda: more_lags(app, lags + 2 * 20))
        assert found["process_resident_memory_bytes"] > resident() + 2 * 20 * 2**20
    assert leaked_tasks() == set()


async def more_lags(app: App, than: float) -> bool:
    """Both workers have told of theirs, twenty at a time, beside the exporter's own."""
    return (await scraped(app.addresses[0]))["exporter_event_loop_lag_seconds_count"] > than


async def test_lost_probes_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are no failures of the server: nobody knows what became of it."""
    monkeypatch.setattr(pool, "RESTART_SECONDS", 0.01)
    async with exporter_with(tmp_path, SILENT, probe=SLOW) as (app, workers):
        worker = workers.of(SILENT_NAME)
        for _ in range(2):
            await until(lambda: worker._waiting)
            kill_all(workers)
            await until(lambda: worker.pid is None)
        lost = app.exporter_metrics.probes_skipped.labels(SkipReason.WORKER_LOST)
        await until(lambda: lost._value.get() == 1)
        state = app.board.state(SILENT_NAME)
        assert state
        assert state.report is None
        found = await scraped(app.addresses[0])
        assert found["exporter_worker_restarts_total"] >= 2
