"""Worker processes, real ones, that probe the embedded federation."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import AsyncMock

import httpx
import pytest
from structlog.testing import capture_logs

from exporter.app import App
from exporter.config import Config, load
from exporter.demo.federation import Federation
from exporter.demo.servers import LabServer
from exporter.judging import verdict
from exporter.metrics.exporter_metrics import SkipReason
from exporter.model.names import parse
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import DEFAULT_GROUP
from exporter.model.shards import Shard
from exporter.probing.prober import WorkerLostError
from exporter.wiring import build_prober
from exporter.workers import pool
from exporter.workers.pool import WorkerPool, WorkerProber
from tests.embedded_federation import (
    Series,
    expected_failures,
    failures,
    lab_servers,
    network,
    scraped,
    series,
    successes,
    write_config,
)
from tests.lab.connect_proxy import connect_proxy, demand
from tests.waiting import leaked_tasks, until, until_async

pytestmark = pytest.mark.subprocess

HEALTHY, BROKEN, SRV, SILENT = lab_servers(
    "default-port.lab.test", "expired.lab.test", "srv-legacy.lab.test", "black-hole.lab.test"
)
NAME, SILENT_NAME = parse(HEALTHY.server_name), parse(SILENT.server_name)
SLOW = {"interval": "1h", "timeout": "10m"}


def prober_in(workers: WorkerPool, config: Config) -> WorkerProber:
    return workers.probers(config, {DEFAULT_GROUP: build_prober(config)})[DEFAULT_GROUP]


def worker_pool(size: int) -> WorkerPool:
    return WorkerPool(size, "warning", "logfmt")


@asynccontextmanager
async def running_workers(
    folder: Path, *servers: LabServer, size: int = 2, **changed: object
) -> AsyncIterator[tuple[WorkerPool, Config]]:
    async with Federation(servers) as federation, worker_pool(size) as workers:
        yield workers, load(write_config(folder / "config.yaml", federation, **changed))


@asynccontextmanager
async def exporter_with(folder: Path, *servers: LabServer, **changed: object) -> AsyncIterator[tuple[App, WorkerPool]]:
    workers = worker_pool(2)
    async with Federation(servers) as federation:
        file = write_config(folder / "config.yaml", federation, **changed)
        app = App(file, first_round=0.1, workers=workers)
        app._schedule._grace = 0.1
        async with app:
            yield app, workers


def facts(report: Report) -> tuple[object, ...]:
    """Return the parts of a report that are the same for every probe of a server."""
    return (
        report.server_name,
        report.route,
        {*map(str, verdict.problems(report))},
        [each.endpoint for each in report.endpoints],
    )


def kill_all(workers: WorkerPool) -> None:
    for pid in workers.pids():
        os.kill(pid, signal.SIGKILL)


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def resident_bytes() -> int:
    """Return the resident memory of the current process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---------------------------------------------------------------- replies


async def test_a_worker_reports_what_a_probe_in_the_process_reports(tmp_path: Path) -> None:
    """Healthy and broken servers are probed, with a deep look."""
    async with running_workers(tmp_path, HEALTHY, BROKEN, SRV) as (workers, config):
        for server in (HEALTHY, BROKEN, SRV):
            in_process, in_worker = build_prober(config), prober_in(workers, config)
            expected = await in_process.run_deep_look(await in_process.probe(parse(server.server_name)))
            report = await in_worker.run_deep_look(await in_worker.probe(parse(server.server_name)))
            assert facts(report) == facts(expected)
            assert report.deep is not None
    assert leaked_tasks() == set()


async def test_a_worker_probes_through_the_proxy(tmp_path: Path) -> None:
    """It reads the credentials itself. If the proxy fails, the report names it."""
    (tmp_path / "credentials").write_text("user:secret")
    async with connect_proxy(demand("user:secret")) as proxy, Federation([HEALTHY]) as federation:
        through = {"url": proxy.url, "credentials_file": "credentials"}
        changed = network(federation, proxy=through)
        config = load(write_config(tmp_path / "config.yaml", federation, network=changed))
        async with worker_pool(1) as workers:
            prober = prober_in(workers, config)
            assert verdict.federates(await prober.run_deep_look(await prober.probe(NAME)))
            proxy.rule = demand("user:other")
            failure = verdict.proxy_failure(await prober.probe(NAME))
        assert failure
        assert (failure.reason, failure.proxy) == (Reason.PROXY_AUTHENTICATION, proxy.address)


async def test_a_server_keeps_its_worker() -> None:
    """The servers of one shard are distributed over all workers."""
    workers, shard = worker_pool(2), [parse(f"s{number}.test") for number in range(100)]
    assert [workers.worker_for(name) for name in shard] == [workers.worker_for(name) for name in shard]
    used = [workers.worker_for(name) for name in shard if Shard(0, 2).contains(name)]
    assert 0.3 < used.count(workers.worker_for(shard[0])) / len(used) < 0.7


async def test_the_latest_configuration_is_used(tmp_path: Path) -> None:
    """A request with an older one, such as a deep look that began before a reload, does not restore that one."""
    async with running_workers(tmp_path, HEALTHY, size=1) as (workers, config):
        old_config = replace(config, network=replace(config.network, connect_to={}))
        older, newer = (
            prober_in(workers, old_config),
            prober_in(workers, config),
        )
        assert not verdict.federates(await older.probe(NAME))
        assert verdict.federates(await newer.probe(NAME))
        assert verdict.federates(await older.probe(NAME))


async def test_a_cancelled_request_is_cancelled_in_the_worker(tmp_path: Path) -> None:
    """The worker runs other tasks meanwhile."""
    async with running_workers(tmp_path, HEALTHY, SILENT, size=1, probe=SLOW) as (workers, config):
        worker_prober = prober_in(workers, config)
        silent = asyncio.create_task(worker_prober.probe(SILENT_NAME))
        assert verdict.federates(await worker_prober.probe(NAME))
        worker = workers.worker_for(SILENT_NAME)
        assert len(worker._pending) == 1
        silent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await silent
        assert worker._pending == {}
        assert verdict.federates(await worker_prober.probe(NAME))
    assert leaked_tasks() == set()


# ---------------------------------------------------------------- workers that end


async def test_a_worker_that_is_killed_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its requests are sent to the replacement, and succeed."""
    monkeypatch.setattr(pool, "RESTART_SECONDS", 0.01)
    async with running_workers(tmp_path, HEALTHY, size=1) as (workers, config):
        with capture_logs() as logs:
            probe = asyncio.create_task(prober_in(workers, config).probe(NAME))
            await until(lambda: workers.worker_for(NAME)._pending)
            kill_all(workers)
            assert verdict.federates(await probe)
        assert workers.restarts == 1
        assert [(line["event"], line["status"]) for line in logs] == [("a worker ended: starting another", -9)]


async def test_a_worker_that_stands_still_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its probe is made again. Until then, /-/healthy tells."""
    monkeypatch.setattr(pool, "SILENT_SECONDS", 3)
    async with exporter_with(tmp_path, HEALTHY, probe=SLOW) as (app, workers):
        worker = workers.worker_for(NAME)
        assert worker.pid
        stopped = worker.pid
        await until(lambda: successful(app))
        os.kill(stopped, signal.SIGSTOP)
        probe = asyncio.create_task(app.queries.probe_now(NAME))
        health = await until_async(lambda: unhealthy(app))
        assert health
        assert health.startswith("The exporter is not healthy: 1 of 2 workers have not responded for up to ")
        assert (await probe).failures == 0
        assert worker.restarts == 1
        assert worker.pid != stopped
        await until_async(lambda: healthy(app))
    assert leaked_tasks() == set()


def successful(app: App) -> bool:
    state = app.board.state(NAME)
    return bool(state and state.probes)


async def unhealthy(app: App) -> str | None:
    """Return what /-/healthy says, unless the exporter is healthy."""
    response = await asyncio.to_thread(httpx.get, f"http://{app.addresses[0]}/-/healthy", trust_env=False)
    return response.text if response.status_code == 503 else None


async def healthy(app: App) -> bool:
    return await unhealthy(app) is None


async def test_a_worker_that_is_starting_may_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It imports its modules meanwhile."""
    monkeypatch.setattr(pool, "SILENT_SECONDS", 0)
    async with worker_pool(1) as workers:
        assert workers.restarts == 0


async def test_a_probe_is_lost_if_a_second_worker_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose probe kills workers must not kill all of them, one after the other."""
    monkeypatch.setattr(pool, "RESTART_SECONDS", 0.01)
    async with running_workers(tmp_path, SILENT, size=1, probe=SLOW) as (workers, config):
        worker = workers.worker_for(SILENT_NAME)
        probe = asyncio.create_task(prober_in(workers, config).probe(SILENT_NAME))
        for _ in range(2):
            await until(lambda: worker._pending)
            kill_all(workers)
            await until(lambda: worker.pid is None)
        with pytest.raises(WorkerLostError):
            await probe


async def test_a_report_is_kept_if_its_deep_look_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_workers(tmp_path, HEALTHY, size=1) as (workers, config):
        worker_prober = prober_in(workers, config)
        report = await worker_prober.probe(NAME)
        monkeypatch.setattr(pool.WorkerHandle, "run", AsyncMock(side_effect=WorkerLostError))
        assert await worker_prober.run_deep_look(report) is report


async def test_workers_use_uvloop() -> None:
    """As `serve` does, if it is installed."""
    async with worker_pool(2) as workers:
        assert all(map(has_loaded_uvloop, workers.pids()))


def has_loaded_uvloop(pid: int) -> bool:
    return "uvloop" in Path(f"/proc/{pid}/maps").read_text()


async def test_no_worker_outlives_the_exporter(tmp_path: Path) -> None:
    """A worker that was not stopped ends when the other end of its socket is closed."""
    async with running_workers(tmp_path, HEALTHY) as (workers, config):
        await prober_in(workers, config).probe(NAME)
        pids = list(workers.pids())
        worker = workers.worker_for(NAME)
        worker._supervisor.cancel()
        worker._writer.transport.abort()
        assert await asyncio.wait_for(worker._process.wait(), 10) == 0
    assert pids
    assert not any(map(runs, pids))


async def test_repr_shows_the_state() -> None:
    workers = worker_pool(1)
    worker = workers.worker_for(NAME)
    assert repr(workers) == "<WorkerPool: 0 of 1 running, 0 restarts>"
    assert repr(worker) == "<WorkerHandle: not running, 0 pending requests, 0 restarts>"
    async with workers:
        assert repr(workers) == "<WorkerPool: 1 of 1 running, 0 restarts>"
        assert repr(worker) == f"<WorkerHandle: pid {worker.pid}, 0 pending requests, 0 restarts>"


# ---------------------------------------------------------------- in the exporter


async def test_the_metrics_include_all_workers(tmp_path: Path) -> None:
    """Counters and histograms include all probes, and CPU time and memory all processes."""
    async with exporter_with(tmp_path, HEALTHY, BROKEN, SRV) as (app, workers):

        async def scrape() -> Series | None:
            found = await scraped(app.addresses[0])
            return None if None in successes(found, [HEALTHY, BROKEN, SRV]).values() else found

        found = await until_async(scrape)
        assert found
        assert len({workers.worker_for(parse(server.server_name)) for server in (HEALTHY, BROKEN, SRV)}) == 2
        assert failures(found) == expected_failures([BROKEN])
        probes = [
            found[series("probes_total", {"server_name": server.server_name})] for server in (HEALTHY, BROKEN, SRV)
        ]
        timed_probes = found['exporter_stage_duration_seconds_count{probe_stage="dns"}']
        assert timed_probes + found["exporter_unreliable_timings_total"] == sum(probes)
        assert found["exporter_workers"] == 2
        lags = found["exporter_event_loop_lag_seconds_count"]
        await until_async(lambda: has_more_lags(app, lags + 2 * 20))
        assert found["process_resident_memory_bytes"] > resident_bytes() + 2 * 20 * 2**20
    assert leaked_tasks() == set()


async def has_more_lags(app: App, than: float) -> bool:
    """Whether both workers have sent their lags, twenty at a time, besides those of the exporter itself."""
    return (await scraped(app.addresses[0]))["exporter_event_loop_lag_seconds_count"] > than


async def test_lost_probes_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not failures of the server, whose state is unknown."""
    monkeypatch.setattr(pool, "RESTART_SECONDS", 0.01)
    async with exporter_with(tmp_path, SILENT, probe=SLOW) as (app, workers):
        worker = workers.worker_for(SILENT_NAME)
        for _ in range(2):
            await until(lambda: worker._pending)
            kill_all(workers)
            await until(lambda: worker.pid is None)
        lost = app.exporter_metrics.probes_skipped.labels(SkipReason.WORKER_LOST)
        await until(lambda: lost._value.get() == 1)
        state = app.board.state(SILENT_NAME)
        assert state
        assert state.report is None
        found = await scraped(app.addresses[0])
        assert found["exporter_worker_restarts_total"] >= 2
