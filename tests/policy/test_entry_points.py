"""Whoever asks for a probe, by whatever way: the policy is the same, and what they are shown is no more than needed."""

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
from tests.policy.probing import AT_ONCE, config_file
from tests.policy.table import FORMS, REFUSED
from tests.policy.wire import Wire, watched
from tests.policy.world import World, world
from tests.web.serving import client_of

NEVER = 1e6  # seconds
ASKED_BY: Final = ("literal with port", "address with port")


def server_names(at: World) -> list[str]:
    """Every case, in every way in which somebody may ask for it."""
    return [ATTACK_PATHS[name].lead(at, case, at.trap.port) for name in ASKED_BY for case in REFUSED]


async def answers(at: World, folder: Path, path: str, asked: list[str], **parameters: str) -> list[httpx.Response]:
    """To one question for each server name; nobody but them was dialled."""
    parameter = "target" if path == "/probe" else "server_name"
    app = App(config_file(at, folder), first_round=NEVER)
    app.queries.limit = RateLimit(1e9, 10_000)
    async with app, client_of(app.addresses[0]) as client:
        turns = asyncio.Semaphore(AT_ONCE)

        async def ask(name: str) -> httpx.Response:
            async with turns:
                return await client.get(path, params={parameter: name, **parameters})

        with watched() as wire:
            found = await asyncio.gather(*map(ask, asked))
    nothing_happened(wire, at, (app.addresses[0].host, app.addresses[0].port))
    return found


def nothing_happened(wire: Wire, at: World, *more: tuple[str, int]) -> None:
    assert at.trap.visits() == 0
    assert wire.dialled <= at.own_places() | set(more)


async def test_probe_refuses_every_case(tmp_path: Path) -> None:
    """The metrics tell the reason from the closed list, and nothing else of what was met."""
    async with world(tmp_path) as at:
        asked = server_names(at)
        assert asked
        for name, answer in zip(asked, await answers(at, tmp_path, "/probe", asked), strict=True):
            assert answer.status_code == 200
            samples = [one for family in text_string_to_metric_families(answer.text) for one in family.samples]
            failures = [one.labels for one in samples if one.name == "matrix_federation_failure_info"]
            assert failures == [{"server_name": name, "probe_stage": "tcp", "reason": "blocked_address"}]
            assert [one.value for one in samples if one.name == "matrix_federation_probe_success"] == [0]
            assert "public address" not in answer.text


async def test_the_report_refuses_every_case(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        asked = server_names(at)
        assert asked
        for answer in await answers(at, tmp_path, "/api/v1/report", asked, fresh="true"):
            problems = answer.json()["problems"]
            assert [(problem["stage"], problem["reason"]) for problem in problems] == [("tcp", "blocked_address")]


@pytest.mark.parametrize("path", ["/probe", "/api/v1/report"])
async def test_what_only_others_read_as_an_address_is_asked_for_in_vain(path: str, tmp_path: Path) -> None:
    """It is no server name, or a name that DNS does not hold."""
    async with world(tmp_path) as at:
        forms = [form for case in FORMS for form in (case.host, f"{case.text}:{at.trap.port}")]
        assert forms
        for answer in await answers(at, tmp_path, path, forms):
            refused = answer.status_code == 400
            assert refused or "nxdomain" in answer.text


async def test_check_refuses_every_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with world(tmp_path) as at:
        asked = server_names(at)
        assert asked
        with watched() as wire:
            assert await asyncio.to_thread(check.run, asked, config_file(at, tmp_path), as_json=True) == 1
        nothing_happened(wire, at)
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [report["server_name"] for report in reports] == asked
    for report in reports:
        problems = [(problem["stage"], problem["reason"]) for problem in report["problems"]]
        assert (problems, report["federation_ok"]) == ([("tcp", "blocked_address")], False)
