"""The policy is the same at every entry point of the exporter, and none shows more than a client needs."""

import asyncio
import json
from pathlib import Path
from typing import Final

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter import check
from exporter.app import App
from exporter.runtime.rate_limit import RateLimit
from tests.policy.attack_paths import ATTACK_PATHS
from tests.policy.probing import CONCURRENCY, write_config
from tests.policy.socket_activity import SocketActivity, recorded_activity
from tests.policy.table import FORMS, REFUSED
from tests.policy.world import World, hostile_world
from tests.web.serving import client_of, get_probed

pytestmark = pytest.mark.lab

NEVER = 1e6  # seconds
PATHS: Final = ("literal with port", "address with port")  # those that a client of the exporter can choose


def refused_names(world: World) -> list[str]:
    return [ATTACK_PATHS[name].prepare(world, case, world.trap.port) for name in PATHS for case in REFUSED]


async def request_all(
    world: World, folder: Path, path: str, server_names: list[str], **parameters: str
) -> list[httpx.Response]:
    """Send one request for each server name, and check that no forbidden address was dialled."""
    parameter = "target" if path == "/probe" else "server_name"
    app = App(write_config(world, folder), first_round=NEVER)
    app.queries.limit = RateLimit(1e9, 10_000)
    async with app, client_of(app.addresses[0]) as client:
        slots = asyncio.Semaphore(CONCURRENCY)

        async def request(name: str) -> httpx.Response:
            async with slots:
                return await get_probed(client, path, {parameter: name, **parameters})

        with recorded_activity() as activity:
            responses = await asyncio.gather(*map(request, server_names))
    assert_nothing_forbidden(activity, world, (app.addresses[0].host, app.addresses[0].port))
    return responses


def assert_nothing_forbidden(activity: SocketActivity, world: World, *more_allowed: tuple[str, int]) -> None:
    assert world.trap.count_connections() == 0
    assert activity.dialled <= world.allowed_addresses() | set(more_allowed)


async def test_probe_refuses_every_case(tmp_path: Path) -> None:
    """The metrics give the reason from the closed list, and no details."""
    async with hostile_world(tmp_path) as world:
        server_names = refused_names(world)
        assert server_names
        responses = await request_all(world, tmp_path, "/probe", server_names)
        for name, response in zip(server_names, responses, strict=True):
            assert response.status_code == 200
            families = text_string_to_metric_families(response.text)
            samples = [sample for family in families for sample in family.samples]
            failures = [sample.labels for sample in samples if sample.name == "matrix_federation_failure_info"]
            assert failures == [{"server_name": name, "probe_stage": "tcp", "reason": "blocked_address"}]
            assert [sample.value for sample in samples if sample.name == "matrix_federation_probe_success"] == [0]
            assert "public address" not in response.text


async def test_the_report_refuses_every_case(tmp_path: Path) -> None:
    async with hostile_world(tmp_path) as world:
        server_names = refused_names(world)
        assert server_names
        for response in await request_all(world, tmp_path, "/api/v1/report", server_names, fresh="true"):
            problems = response.json()["problems"]
            assert [(problem["stage"], problem["reason"]) for problem in problems] == [("tcp", "blocked_address")]


@pytest.mark.parametrize("path", ["/probe", "/api/v1/report"])
async def test_a_text_that_only_other_programs_read_as_an_address_finds_no_server(path: str, tmp_path: Path) -> None:
    """It is an invalid server name, or a name that does not exist in DNS."""
    async with hostile_world(tmp_path) as world:
        forms = [form for case in FORMS for form in (case.host, f"{case.text}:{world.trap.port}")]
        assert forms
        for response in await request_all(world, tmp_path, path, forms):
            assert response.status_code == 400 or "nxdomain" in response.text


async def test_check_refuses_every_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with hostile_world(tmp_path) as world:
        server_names = refused_names(world)
        assert server_names
        with recorded_activity() as activity:
            file = write_config(world, tmp_path)
            assert await asyncio.to_thread(check.run, server_names, file, as_json=True) == 1
        assert_nothing_forbidden(activity, world)
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [report["server_name"] for report in reports] == server_names
    for report in reports:
        problems = [(problem["stage"], problem["reason"]) for problem in report["problems"]]
        assert (problems, report["federation_ok"]) == ([("tcp", "blocked_address")], False)
