"""The whole exporter in this process, with the embedded federation."""

import asyncio
import gc
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest
from structlog.testing import capture_logs

from exporter.app import App
from exporter.config import ConfigError, HostPort
from exporter.demo.authority import Authority
from exporter.demo.federation import Federation
from exporter.demo.servers import LabServer
from exporter.model.shards import Shard
from exporter.scheduling import grid
from exporter.web.listeners import ListenError
from tests.embedded_federation import (
    Series,
    expected_failures,
    failures,
    lab_servers,
    network,
    of_server,
    scraped,
    series,
    successes,
    write_config,
)
from tests.server_lists.serving import http_response, serving, target_groups
from tests.waiting import PATIENCE, leaked_tasks, until, until_async

pytestmark = pytest.mark.lab

HEALTHY, BROKEN, SILENT = lab_servers("default-port.lab.test", "expired.lab.test", "black-hole.lab.test")
RELOADED = "exporter_config_last_reload_successful"


@asynccontextmanager
async def exporter(config_file: Path, *, lifecycle: bool = False, reread: float = 3600) -> AsyncIterator[App]:
    """Run an exporter whose first round and whose end are quick."""
    app = App(config_file, lifecycle=lifecycle, first_round=0.1, reread=reread)
    app._schedule._grace = 0.1
    async with app:
        yield app


@asynccontextmanager
async def exporter_of(
    folder: Path, *servers: LabServer, **changed: object
) -> AsyncIterator[tuple[App, Federation, Path]]:
    """Run an exporter with these servers; yield it, the federation and its configuration file."""
    async with Federation(servers) as federation:
        file = write_config(folder / "config.yaml", federation, **changed)
        async with exporter(file, lifecycle=True) as app:
            yield app, federation, file


async def metrics(app: App) -> Series:
    return await scraped(app.addresses[0])


async def probed(app: App, *servers: LabServer) -> Series:
    """Return the metrics as soon as each server has a result."""

    async def complete() -> Series | None:
        found = await metrics(app)
        return None if None in successes(found, servers).values() else found

    found = await until_async(complete)
    assert found
    return found


async def post_reload(app: App) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        return await client.post(f"http://{app.addresses[0]}/-/reload")


# ---------------------------------------------------------------- the main job


async def test_metrics_contain_every_server(tmp_path: Path) -> None:
    """They have its verdict and the reasons of its failures. No task is left at the end."""
    async with exporter_of(tmp_path, HEALTHY, BROKEN) as (app, _, _):
        found = await probed(app, HEALTHY, BROKEN)
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://{app.addresses[0]}/-/ready")).status_code == 200
    assert successes(found, [HEALTHY, BROKEN]) == {HEALTHY.server_name: 1, BROKEN.server_name: 0}
    assert failures(found) == expected_failures([HEALTHY, BROKEN])
    assert (found["exporter_servers"], found[RELOADED]) == (2, 1)
    assert found["exporter_config_last_reload_success_timestamp_seconds"] > 1.7e9
    assert found['exporter_stage_duration_seconds_count{probe_stage="tls"}'] >= 2
    assert not app.ready
    assert leaked_tasks() == set()


async def test_many_new_servers_do_not_make_garbage_collections_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They and their schedule are exempt."""
    monkeypatch.setattr("exporter.runtime.event_loop._MANY_SERVERS", 2)
    try:
        async with exporter_of(tmp_path, HEALTHY, BROKEN):
            assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


async def test_servers_are_exposed_in_the_order_in_which_they_are_due(tmp_path: Path) -> None:
    """So those that change between two scrapes are next to each other, before and after a reload."""
    async with exporter_of(tmp_path, HEALTHY, BROKEN, SILENT) as (app, federation, file):
        for servers in ([HEALTHY, BROKEN], [SILENT, HEALTHY, BROKEN], [BROKEN, SILENT, HEALTHY]):
            write_config(file, federation, servers=[server.server_name for server in servers])
            assert await app.reload() == ()
            watched = [rendered.state.watched for rendered in app.board.snapshot().states]
            assert len(watched) == len(servers)
            assert watched == sorted(watched, key=grid.order)


async def test_certificate_expires_between_two_probes(tmp_path: Path) -> None:
    """The expiry is exposed before and after that, together with the reason."""
    async with exporter_of(tmp_path, HEALTHY) as (app, federation, _):
        name = HEALTHY.server_name
        server = federation.server(name)
        not_after = (datetime.now(UTC) + timedelta(seconds=8)).replace(microsecond=0)
        server.present(federation.authority.issue([name], not_after=not_after))
        expiry = series("tls_cert_not_after_timestamp_seconds", {"connection": "federation", "server_name": name})
        valid = series("tls_cert_valid", {"connection": "federation", "server_name": name})

        async def presented() -> Series | None:
            found = await metrics(app)
            return found if found.get(expiry) == not_after.timestamp() else None

        before = await until_async(presented)

        async def expired() -> Series | None:
            found = await metrics(app)
            return found if found.get(valid) == 0 else None

        after = await until_async(expired)
    assert before
    assert after
    assert (before[valid], failures(before), successes(before, [HEALTHY])) == (1, set(), {name: 1})
    assert after[expiry] == not_after.timestamp()
    labels = {"probe_stage": "tls", "reason": "certificate_expired", "server_name": name}
    assert (failures(after), successes(after, [HEALTHY])) == ({series("failure_info", labels)}, {name: 0})


async def test_stops_with_a_probe_in_flight(tmp_path: Path) -> None:
    """The probe is cancelled after a grace period, and no task is left."""
    async with exporter_of(tmp_path, SILENT, probe={"interval": "1h", "timeout": "10m"}) as (app, _, _):
        await until(lambda: app._schedule._in_flight)
    assert leaked_tasks() == set()


async def test_an_invalid_configuration_prevents_the_start(tmp_path: Path) -> None:
    """The error has all complaints, and no task is left."""
    file = tmp_path / "config.yaml"
    file.write_text("servers: 1\nprobe: 2\n")
    with pytest.raises(ConfigError) as raised:
        async with App(file):
            pass
    assert [complaint.line for complaint in raised.value.complaints] == [1, 2]
    assert leaked_tasks() == set()


async def test_an_address_in_use_prevents_the_start(tmp_path: Path) -> None:
    """The error occurs before anything is probed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = HostPort(*taken.getsockname())
        file = tmp_path / "config.yaml"
        file.write_text(json.dumps({"servers": ["example.org"], "web": {"listen": [str(address)]}}))
        with pytest.raises(ListenError, match=f"cannot listen on {address}"):
            async with App(file):
                pass
    assert leaked_tasks() == set()


async def test_addresses_of_the_command_line_override_the_configuration(tmp_path: Path) -> None:
    """The exporter listens on all of them."""
    file = tmp_path / "config.yaml"
    file.write_text(
        json.dumps({"servers": ["example.org"], "web": {"listen": ["192.0.2.1:1"]}, "probe": {"interval": "1y"}})
    )
    anywhere = HostPort("127.0.0.1", 0)
    async with App(file, listen=[anywhere, anywhere], first_round=3600) as app:
        assert len(set(app.addresses)) == 2
        for address in app.addresses:
            assert (await scraped(address))["exporter_servers"] == 1


# ---------------------------------------------------------------- reload


async def test_a_reload_changes_the_watched_servers(tmp_path: Path) -> None:
    """A server that remains keeps its results, a removed one has no series left, and a new one is probed."""
    new = lab_servers("srv.lab.test")[0]
    async with exporter_of(tmp_path, HEALTHY, BROKEN, new, servers=[HEALTHY.server_name, BROKEN.server_name]) as (
        app,
        federation,
        file,
    ):
        before = await probed(app, HEALTHY, BROKEN)
        write_config(file, federation, servers=[HEALTHY.server_name, new.server_name])
        assert await app.reload() == ()
        after = await metrics(app)
        assert of_server(after, BROKEN.server_name) == {}
        total = series("probes_total", {"server_name": HEALTHY.server_name})
        assert after[total] >= before[total]
        assert (await probed(app, new))[series("probe_success", {"server_name": new.server_name})] == 1


async def test_a_reload_that_moves_a_server_to_another_group_keeps_its_results(tmp_path: Path) -> None:
    """All series have the new labels at once, and none the old ones. It is probed on, and no run is lost."""
    name = HEALTHY.server_name

    def groups(team: str) -> list[dict[str, object]]:
        return [{"name": team, "labels": {"team": team}, "servers": [name]}]

    async with exporter_of(tmp_path, HEALTHY, servers=[], groups=groups("a")) as (app, federation, file):
        before = of_server(await probed_with(app, name, team="a"), name)
        write_config(file, federation, servers=[], groups=groups("b"))
        assert await app.reload() == ()
        after = of_server(await metrics(app), name)
        probes = after[series("probes_total", {"server_name": name, "team": "b"})]

        async def probed_again() -> Series | None:
            found = await metrics(app)
            return found if found[series("probes_total", {"server_name": name, "team": "b"})] > probes else None

        found = await until_async(probed_again)
    assert {each.replace('team="a"', 'team="b"') for each in before} == set(after)
    assert probes >= 1
    assert found
    assert sum(value for each, value in found.items() if each.startswith("exporter_probes_skipped_total")) == 0


async def test_labels_of_a_server_file_change_without_ghosts(tmp_path: Path) -> None:
    """The file is read again, and all series have the new labels. The results are kept."""
    name, servers = HEALTHY.server_name, tmp_path / "servers.json"

    def write(**labels: str) -> None:
        servers.write_text(json.dumps([{"targets": [name], "labels": labels}]))

    write(team="chat", env="prod")
    stop, hangup = asyncio.Event(), asyncio.Event()
    async with Federation([HEALTHY]) as federation:
        file = write_config(tmp_path / "config.yaml", federation, servers=[], server_files=["servers.json"])
        async with exporter(file, reread=0.05) as app:
            running = asyncio.create_task(app.run(stop, hangup))
            before = of_server(await probed_with(app, name, team="chat", env="prod"), name)
            write(team="ops")
            after = of_server(await probed_with(app, name, team="ops"), name)
            stop.set()
            await running
    assert all('team="chat"' in each for each in before)
    assert all('team="ops"' in each and "env=" not in each for each in after)
    assert len(after) == len(before)


async def probed_with(app: App, name: str, **labels: str) -> Series:
    """Return the metrics as soon as the server has a result with these labels."""
    result = series("probe_success", {"server_name": name, **labels})

    async def complete() -> Series | None:
        found = await metrics(app)
        return found if result in found else None

    found = await until_async(complete)
    assert found
    return found


async def test_a_probe_that_ends_after_the_removal_of_its_server_is_ignored(tmp_path: Path) -> None:
    """The server has no series after the reload."""
    async with exporter_of(tmp_path, HEALTHY, SILENT) as (app, federation, file):
        await until(lambda: app._schedule._in_flight)
        await probed(app, HEALTHY)
        write_config(file, federation, servers=[HEALTHY.server_name])
        assert await app.reload() == ()
        await until(lambda: not app._schedule._in_flight)
        assert of_server(await metrics(app), SILENT.server_name) == {}


async def test_an_invalid_configuration_is_not_applied(tmp_path: Path) -> None:
    """Every complaint is logged, and the metric shows the failed reload until the file is valid again."""
    async with exporter_of(tmp_path, HEALTHY) as (app, federation, file):
        before = await probed(app, HEALTHY)
        file.write_text("servers: [a..b]\nprobe: {interval: 5}\n")
        with capture_logs() as logged:
            complaints = await app.reload()
        assert [complaint.line for complaint in complaints] == [1, 2]
        errors = [entry["complaint"] for entry in logged if entry["log_level"] == "error"]
        assert errors == [str(complaint) for complaint in complaints]
        after = await metrics(app)
        assert (after[RELOADED], after["exporter_servers"]) == (0, 1)
        stamp = "exporter_config_last_reload_success_timestamp_seconds"
        assert after[stamp] == before[stamp]
        total = series("probes_total", {"server_name": HEALTHY.server_name})
        await until_async(lambda: more_than(app, total, after[total]))
        write_config(file, federation)
        assert await app.reload() == ()
        assert (await metrics(app))[RELOADED] == 1


async def more_than(app: App, name: str, value: float) -> bool:
    return (await metrics(app))[name] > value


async def test_a_reload_applies_network_settings(tmp_path: Path) -> None:
    """With another certificate authority, the server is not trusted any more."""
    other = Authority(tmp_path)
    async with exporter_of(tmp_path, HEALTHY) as (app, federation, file):
        await probed(app, HEALTHY)
        write_config(file, federation, network=network(federation, ca_file=str(other.ca_file)))
        assert await app.reload() == ()
        labels = {"server_name": HEALTHY.server_name, "probe_stage": "tls", "reason": "certificate_untrusted"}
        await until_async(lambda: has(app, series("failure_info", labels)))


async def has(app: App, name: str) -> bool:
    return name in await metrics(app)


async def test_a_reload_applies_the_ip_families(tmp_path: Path) -> None:
    """The one that is missing is told in the log, and in the metric."""
    async with exporter_of(tmp_path, HEALTHY) as (app, federation, file):
        told = []
        for families in (["ipv4", "ipv6"], ["ipv6"]):
            write_config(file, federation, network=network(federation, ip_families=families))
            with capture_logs() as logged:
                assert await app.reload() == ()
            found = await metrics(app)
            labels = [{"group": "default", "ip_family": family} for family in ("ipv4", "ipv6")]
            up = [found[series("exporter_ip_family_up", each)] for each in labels]
            told.append((up, [entry["ip_family"] for entry in logged if entry["log_level"] == "warning"]))
        assert told == [([1, 1], []), ([0, 1], ["ipv4"])]


async def test_a_reload_does_not_change_the_addresses(tmp_path: Path) -> None:
    """A warning in the log says so."""
    async with exporter_of(tmp_path, HEALTHY) as (app, federation, file):
        write_config(file, federation, web={"listen": ["127.0.0.1:1"]})
        with capture_logs() as logged:
            assert await app.reload() == ()
        warnings = [entry["event"] for entry in logged if entry["log_level"] == "warning"]
        assert warnings == ["a reload does not change web.listen: restart the exporter"]
        assert (await metrics(app))["exporter_servers"] == 1


async def test_a_reload_over_http_returns_the_complaints(tmp_path: Path) -> None:
    """The status is 500 if there are any, and 200 otherwise."""
    async with exporter_of(tmp_path, HEALTHY) as (app, federation, file):
        file.write_text("servers: [a..b]\n")
        response = await post_reload(app)
        assert response.status_code == 500
        assert f"{file}:1: servers[0]:" in response.text
        write_config(file, federation)
        assert (await post_reload(app)).status_code == 200


async def test_a_flood_of_reloads_is_a_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks while one is in progress shares the next one, which comes after a rest."""
    async with exporter_of(tmp_path, HEALTHY, BROKEN) as (app, federation, file):
        first = asyncio.create_task(app.reload())
        await asyncio.sleep(0)
        monkeypatch.setattr(app, "_read", read := Mock(side_effect=app._read))
        await until(lambda: app._reloads.next is None)
        write_config(file, federation, servers=[HEALTHY.server_name])
        assert {await first, *await asyncio.gather(*(app.reload() for _ in range(100)))} == {()}
        assert len(app.board.snapshot().states) == 1
        assert read.call_count <= 2
        assert app._reloads.rested_at > asyncio.get_running_loop().time()


async def test_a_reload_that_waits_ends_when_the_exporter_stops(tmp_path: Path) -> None:
    async with exporter_of(tmp_path, HEALTHY) as (app, _, _):
        app._reloads.rested_at = asyncio.get_running_loop().time() + 3600
        waiting = asyncio.create_task(app.reload())
        await until(lambda: app._reloads.next)
        await app._prevent_reloads()
        (complaint,) = await waiting
    assert complaint.sentence == "the exporter is stopping: start it again"
    assert leaked_tasks() == set()


async def test_a_bug_in_a_reload_does_not_end_the_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged, and the previous configuration stays in effect."""
    async with exporter_of(tmp_path, HEALTHY) as (app, _, _):
        monkeypatch.setattr(app, "_read", Mock(side_effect=RuntimeError("a bug")))
        with capture_logs() as logged:
            (complaint,) = await app.reload()
        assert complaint.sentence == "internal error, see the log"
        assert [entry["event"] for entry in logged] == ["internal error during a reload", "configuration not applied"]
        assert (await metrics(app))[RELOADED] == 0


async def test_an_exporter_that_is_stopping_does_not_reload(tmp_path: Path) -> None:
    """The complaint says that it is stopping."""
    async with exporter_of(tmp_path, HEALTHY) as (app, _, _):
        await app._prevent_reloads()
        (complaint,) = await app.reload()
    assert complaint.sentence == "the exporter is stopping: start it again"


# ---------------------------------------------------------------- server files


async def test_server_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    """No reload is required. An invalid file keeps its last good content, and is logged once."""
    names = tmp_path / "servers.json"
    names.write_text(json.dumps([{"targets": [HEALTHY.server_name]}]))
    stop, hangup = asyncio.Event(), asyncio.Event()
    async with Federation([HEALTHY, BROKEN]) as federation:
        file = write_config(tmp_path / "config.yaml", federation, servers=[], server_files=[str(names)])
        async with exporter(file, reread=0.05) as app:
            running = asyncio.create_task(app.run(stop, hangup))
            await probed(app, HEALTHY)
            names.write_text(json.dumps([{"targets": [BROKEN.server_name]}]))
            found = await probed(app, BROKEN)
            assert of_server(found, HEALTHY.server_name) == {}
            with capture_logs() as logged:
                names.write_text("[")
                await until(lambda: [entry for entry in logged if entry["log_level"] == "warning"])
                assert (await metrics(app))["exporter_servers"] == 1
                names.unlink()
                await until_async(lambda: watches_nothing(app))
            stop.set()
            await running
    complaints = [entry["complaint"] for entry in logged if entry["log_level"] == "warning"]
    assert len(complaints) == 2
    assert all(str(names) in complaint for complaint in complaints)


async def test_an_invalid_entry_of_a_server_file_is_left_out_logged_and_counted(tmp_path: Path) -> None:
    """The others are watched from the start. A file that is gone has no metrics."""
    names = tmp_path / "servers.json"
    names.write_text(json.dumps([{"targets": ["https://x.example", HEALTHY.server_name]}], indent=1))
    lists = {"list": str(names)}
    metric_names = ("servers", "rejected_servers", "failures_total", "last_success_timestamp_seconds")
    counted = [series(f"exporter_list_{name}", lists) for name in metric_names]
    async with Federation([HEALTHY]) as federation:
        config = {"servers": [], "server_files": [f"{tmp_path}/*.json"]}
        file = write_config(tmp_path / "config.yaml", federation, **config)
        with capture_logs() as logged:
            async with exporter(file) as app:
                found = await metrics(app)
                names.write_text("[")
                await app.reload()
                after = await metrics(app)
                names.unlink()
                await app.reload()
                assert (await metrics(app)).keys() & set(counted) == set()
    assert [found[name] for name in ("exporter_servers", *counted[:3])] == [1, 1, 1, 0]
    assert found[counted[3]] > 1.7e9
    assert [after[name] for name in ("exporter_servers", *counted)] == [1, 1, 0, 1, found[counted[3]]]
    (complaint,) = (entry["complaint"] for entry in logged if entry["event"] == "entry of a server list left out")
    assert complaint.startswith(f"{names}:4: [0].targets[0]: expected a server name such as ")


async def test_the_event_loop_continues_while_thousands_of_new_servers_are_added(tmp_path: Path) -> None:
    """To render and schedule each of them takes much longer in total than the event loop may be stopped."""
    names = tmp_path / "servers.json"
    names.write_text("[]")
    async with Federation([HEALTHY]) as federation:
        probe = {"interval": "1d", "timeout": "1s"}
        config = {"servers": [HEALTHY.server_name], "server_files": [str(names)], "probe": probe}
        file = write_config(tmp_path / "config.yaml", federation, **config)
        async with exporter(file) as app:
            names.write_text(json.dumps([{"targets": [f"server-{number}.example.org" for number in range(5000)]}]))
            async with measuring_stretches() as stretches:
                assert await app.reload() == ()
            assert (await metrics(app))["exporter_servers"] == 5001
    assert len(stretches) > 10
    assert max(stretches) < sum(stretches) / 8


@asynccontextmanager
async def measuring_stretches() -> AsyncIterator[list[float]]:
    """Yield the seconds of CPU that this process takes between two turns of another task."""
    stretches: list[float] = []

    async def take_turns() -> None:
        while True:
            before = time.process_time()
            await asyncio.sleep(0.001)
            stretches.append(time.process_time() - before)

    gc.collect()
    gc.disable()  # a collection traverses all tests
    task = asyncio.create_task(take_turns())
    try:
        yield stretches
    finally:
        task.cancel()
        gc.enable()


async def watches_nothing(app: App) -> bool:
    return (await metrics(app))["exporter_servers"] == 0


# ---------------------------------------------------------------- shards


async def test_every_shard_can_probe_every_configured_server(tmp_path: Path) -> None:
    """A load balancer does not know the shards. A server that no shard watches is refused by all."""
    statuses = []
    async with Federation([HEALTHY]) as federation:
        file = write_config(tmp_path / "config.yaml", federation)
        for index in range(2):
            async with App(file, shard=Shard(index, 2)) as app, httpx.AsyncClient(trust_env=False) as client:
                for name in (HEALTHY.server_name, "example.org"):
                    response = await client.get(f"http://{app.addresses[0]}/probe", params={"target": name})
                    statuses.append((name, response.status_code, "probe_success" in response.text))
    assert statuses == [(HEALTHY.server_name, 200, True), ("example.org", 404, False)] * 2


# ---------------------------------------------------------------- server lists


async def test_server_lists_are_refreshed(tmp_path: Path) -> None:
    """A list that fails keeps its servers. If it is removed from the configuration, so are its servers."""
    stop, hangup = asyncio.Event(), asyncio.Event()
    async with (
        Federation([HEALTHY, BROKEN]) as federation,
        serving(lambda _: target_groups(HEALTHY.server_name)) as server,
    ):
        failures_of_list = series("exporter_list_failures_total", {"list": server.url})
        lists = [{"url": server.url, "refresh_interval": "50ms"}]
        file = write_config(tmp_path / "config.yaml", federation, servers=[], server_urls=lists)
        async with exporter(file) as app:
            running = asyncio.create_task(app.run(stop, hangup))
            await probed(app, HEALTHY)
            server.respond = lambda _: target_groups(BROKEN.server_name)
            assert of_server(await probed(app, BROKEN), HEALTHY.server_name) == {}
            server.respond = lambda _: http_response(b"", status="500 Internal Server Error")
            await until_async(lambda: more_than(app, failures_of_list, 0))
            assert (await metrics(app))["exporter_servers"] == 1
            write_config(file, federation, servers=[HEALTHY.server_name])
            assert await app.reload() == ()
            found = await metrics(app)
            assert (found["exporter_servers"], of_server(found, BROKEN.server_name)) == (1, {})
            assert failures_of_list not in found
            stop.set()
            await running
    assert leaked_tasks() == set()


# ---------------------------------------------------------------- run


async def test_every_hangup_reloads(tmp_path: Path) -> None:
    """The event can be set several times."""
    stop, hangup = asyncio.Event(), asyncio.Event()
    async with exporter_of(tmp_path, HEALTHY, BROKEN) as (app, federation, file):
        running = asyncio.create_task(app.run(stop, hangup))
        for servers in ([HEALTHY.server_name], [HEALTHY.server_name, BROKEN.server_name]):
            write_config(file, federation, servers=servers)
            hangup.set()
            await until(lambda: len(app.board.snapshot().states) == len(servers))  # noqa: B023 - called at once
            assert not hangup.is_set()
        stop.set()
        await running


async def test_a_part_that_fails_ends_the_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is raised, so that a supervisor restarts the exporter."""
    async with Federation([HEALTHY]) as federation:
        file = write_config(tmp_path / "config.yaml", federation)
        async with exporter(file, reread=0.01) as app:

            def fail() -> bool:
                raise RuntimeError("a bug")

            monkeypatch.setattr(app._files, "refresh", fail)
            with pytest.raises(RuntimeError, match="a bug"):
                await app.run(asyncio.Event(), asyncio.Event())
    assert leaked_tasks() == set()


async def test_repr_shows_the_state_and_the_addresses(tmp_path: Path) -> None:
    """It is not ready after it has stopped."""
    async with exporter_of(tmp_path, HEALTHY) as (app, _, file):
        assert repr(app) == f"<App {file}: ready, listening on {app.addresses[0]}>"
    assert repr(app) == f"<App {file}: not ready, listening on {app.addresses[0]}>"
