"""Each group has its own address policy, and no entry point lets its servers through another one."""

import asyncio
import json
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from exporter import check, wiring
from exporter.app import App
from exporter.config import load
from exporter.model import names
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from exporter.workers.pool import WorkerPool
from tests.policy.attack_paths import ATTACK_PATHS, Problems
from tests.policy.probing import CONCURRENCY, probe_all, problems_of
from tests.policy.socket_activity import SocketActivity, recorded_activity
from tests.policy.table import REFUSED
from tests.policy.test_entry_points import assert_nothing_forbidden
from tests.policy.world import World, hostile_world
from tests.waiting import until
from tests.web.serving import client_of, get_probed

pytestmark = pytest.mark.lab

NEVER = 1e6  # seconds
CLOSED_NETWORK = ip_network("10.0.0.0/8")
"""What the group `closed` may reach, and no other group."""
CLOSED_PORT, WEBSITE_PORT = 8448, 443
BLOCKED: Problems = frozenset({(Stage.TCP, Reason.BLOCKED_ADDRESS)})
UNREACHABLE: Problems = frozenset({(Stage.TCP, Reason.UNREACHABLE)})
"""The recording of socket activity stops the connection."""


def servers_of(world: World) -> dict[str, dict[str, Problems]]:
    """Return the servers of each group, which lead to every address of the table, with the problems of each.

    A server that may reach its address is only in the group `closed`, and on another port, which tells it from others.
    """
    prepare = ATTACK_PATHS["address with port"].prepare
    public = {prepare(world, case, world.trap.port): BLOCKED for case in REFUSED}
    closed = {
        prepare(world, case, CLOSED_PORT): UNREACHABLE if case.ip in CLOSED_NETWORK else BLOCKED for case in REFUSED
    }
    return {"default": public, "closed": closed}


def write_config(world: World, folder: Path, servers: Mapping[str, Mapping[str, Problems]]) -> Path:
    """The last group may reach everything."""
    file = folder / "config.json"
    groups = [
        {"name": "closed", "servers": list(servers["closed"]), "network": {"allow_networks": [str(CLOSED_NETWORK)]}},
        {"name": "free", "servers": [f"127.0.0.1:{world.trap.port}"], "network": {"address_policy": "any"}},
    ]
    document = {
        "servers": list(servers["default"]),
        "groups": groups,
        "probe": {"concurrency": CONCURRENCY, "interval": "1h", "timeout": "2m"},
        "network": world.network(),
        "web": {"listen": ["127.0.0.1:0"]},
    }
    file.write_text(json.dumps(document))
    return file


def all_of(servers: Mapping[str, Mapping[str, Problems]]) -> dict[str, Problems]:
    return {**servers["default"], **servers["closed"]}


def allowed_to_closed(port: int) -> set[tuple[str, int]]:
    return {(case.text, port) for case in REFUSED if case.ip in CLOSED_NETWORK}


def assert_only_closed_reached(activity: SocketActivity, world: World, *more_allowed: tuple[str, int]) -> None:
    """A deep look also asks the web server at the address."""
    allowed = allowed_to_closed(CLOSED_PORT) | allowed_to_closed(WEBSITE_PORT)
    assert_nothing_forbidden(activity, world, *allowed, *more_allowed)
    assert allowed_to_closed(CLOSED_PORT) <= activity.dialled


async def test_the_schedule_keeps_to_the_policy_of_each_group(tmp_path: Path) -> None:
    """Each probe is followed by a deep look."""
    async with hostile_world(tmp_path) as world:
        servers = servers_of(world)
        file = write_config(world, tmp_path, servers)
        free = names.parse(f"127.0.0.1:{world.trap.port}")
        app = App(file, first_round=NEVER)
        async with app:
            slots = asyncio.Semaphore(CONCURRENCY)

            async def run(name: str) -> None:
                async with slots:
                    await app._runner.run_scheduled(names.parse(name))

            with recorded_activity() as activity:
                await asyncio.gather(*map(run, servers["default"]))
            assert_nothing_forbidden(activity, world)
            with recorded_activity() as activity:
                await asyncio.gather(*map(run, servers["closed"]))
            assert_only_closed_reached(activity, world)
            found = {name: problems_on_board(app, name) for name in all_of(servers)}
            run_of_free = asyncio.create_task(app._runner.run_scheduled(free))
            await until(world.trap.count_connections)
            run_of_free.cancel()
    assert found == all_of(servers)


def problems_on_board(app: App, name: str) -> Problems:
    state = app.board.state(names.parse(name))
    assert state
    assert state.report
    return problems_of(state.report)


@pytest.mark.parametrize(
    ("path", "parameter"), [("/probe", "target"), ("/api/v1/report", "server_name"), ("/api/report", "server_name")]
)
async def test_requests_keep_to_the_policy_of_each_group(path: str, parameter: str, tmp_path: Path) -> None:
    """A name that is not watched is under that of the top level."""
    async with hostile_world(tmp_path) as world:
        servers = servers_of(world)
        app = App(write_config(world, tmp_path, servers), first_round=NEVER)
        async with app, client_of(app.addresses[0]) as client:
            slots = asyncio.Semaphore(CONCURRENCY)

            async def request(name: str) -> int:
                async with slots:
                    response = await get_probed(client, path, {parameter: name, "fresh": "true"})
                    return response.status_code

            with recorded_activity() as activity:
                statuses = await asyncio.gather(*map(request, all_of(servers)))
            assert_only_closed_reached(activity, world, (app.addresses[0].host, app.addresses[0].port))
            found = {name: problems_on_board(app, name) for name in all_of(servers)}
    assert set(statuses) == {200}
    assert found == all_of(servers)


async def test_check_keeps_to_the_policy_of_each_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with hostile_world(tmp_path) as world:
        servers = servers_of(world)
        file = write_config(world, tmp_path, servers)
        with recorded_activity() as activity:
            assert await asyncio.to_thread(check.run, list(all_of(servers)), file, as_json=True) == 1
        assert_only_closed_reached(activity, world)
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {report["server_name"]: problems_in(report) for report in reports} == all_of(servers)


def problems_in(report: Any) -> Problems:
    return frozenset((Stage(each["stage"]), Reason(each["reason"])) for each in report["problems"])


@pytest.mark.subprocess
async def test_workers_keep_to_the_policy_of_each_group(tmp_path: Path) -> None:
    """All of them are refused to servers of the groups that may not reach them, and not to one that may."""
    async with hostile_world(tmp_path) as world, WorkerPool(1, "warning", "logfmt") as workers:
        servers = servers_of(world)
        config = load(write_config(world, tmp_path, servers))
        probers = workers.probers(config, wiring.build_probers(config, wiring.build_networks(config)))
        for group, expected in servers.items():
            refused = [name for name, problems in expected.items() if problems == BLOCKED]
            prober: Any = probers[group]
            reports = await probe_all(prober, refused)
            assert {problems_of(report) for report in reports if report} == {BLOCKED}
            assert len(reports) == len(refused)
        assert world.trap.count_connections() == 0
        probe_of_free = asyncio.create_task(probers["free"].probe(names.parse(f"127.0.0.1:{world.trap.port}")))
        await until(world.trap.count_connections)
        probe_of_free.cancel()
