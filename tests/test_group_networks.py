"""Groups with networks that contradict each other in one exporter, over real DNS and real TLS."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter import check
from exporter.app import App
from exporter.demo.federation import Federation
from exporter.demo.servers import LabServer, delegates, federates
from exporter.model import durations, names
from exporter.model.enums import Method
from exporter.workers.pool import WorkerPool
from tests.embedded_federation import Series, failures, lab_servers, of_server, scraped, series
from tests.lab.dns_faults import drop
from tests.waiting import PATIENCE, leaked_tasks, slowness, until, until_async
from tests.web.serving import client_of, get_probed

pytestmark = pytest.mark.lab

SHARED_HOST = "hs.shared.test"
UNTRUSTED = {("tls", "certificate_untrusted")}
RARELY = {"interval": "1h", "timeout": durations.text(round(10 * slowness()))}


def delegating(server_name: str, ip: str, host_ip: str) -> LabServer:
    """Return a server that delegates to the shared host, which has this address in the DNS of its federation."""
    return LabServer(
        server_name,
        "a delegation to a host with different addresses in different networks",
        Method.WELL_KNOWN_PORT,
        zone=f"{server_name} A {ip}\n{SHARED_HOST} A {host_ip}",
        ports={f"{ip}:443": delegates(server_name, f"{SHARED_HOST}:8449"), f"{host_ip}:8449": federates(SHARED_HOST)},
    )


RED, BLUE = delegating("red.test", "192.0.2.1", "198.51.100.1"), delegating("blue.test", "192.0.2.1", "198.51.100.2")
MIXED = LabServer(f"{SHARED_HOST}:8449", "the same host, by its own name", Method.EXPLICIT_PORT)
"""Not started: it leads to the endpoint of a server that is."""
SERVERS = (RED, BLUE, MIXED)


def network_of(federation: Federation, **changed: object) -> dict[str, Any]:
    return {**federation.config()["network"], **changed}


def write(file: Path, groups: Mapping[str, Mapping[str, object]], **changed: object) -> Path:
    """Write a configuration whose top level reaches nothing."""
    named = [{"name": name, **group} for name, group in groups.items()]
    whole = {"groups": named, "network": {"resolvers": ["127.0.0.1:1"]}, "probe": RARELY}
    file.write_text(json.dumps({**whole, "web": {"listen": ["127.0.0.1:0"]}, **changed}))
    return file


@dataclass(frozen=True, slots=True)
class World:
    red: Federation
    blue: Federation
    config_file: Path


@asynccontextmanager
async def contradicting(folder: Path) -> AsyncIterator[World]:
    """Run two federations. The group `mixed` is in the red one, and trusts the blue authority.

    So its server leads to the same endpoint and the same chain as that of the group `red`.
    """
    async with Federation([RED]) as red, Federation([BLUE]) as blue:
        groups = {
            "red": {"servers": [RED.server_name], "network": network_of(red)},
            "blue": {"servers": [BLUE.server_name], "network": network_of(blue)},
            "mixed": {"servers": [MIXED.server_name], "network": network_of(red, ca_file=str(blue.ca_file))},
        }
        yield World(red, blue, write(folder / "config.yaml", groups))


@asynccontextmanager
async def exporter(file: Path, workers: WorkerPool | None = None) -> AsyncIterator[App]:
    app = App(file, first_round=0.1, workers=workers)
    app._schedule._grace = 0.1
    async with app:
        yield app


async def results_of(app: App) -> dict[str, float]:
    """Return the success of each server as soon as all have a result."""
    verdicts = {each.server_name: series("probe_success", {"server_name": each.server_name}) for each in SERVERS}

    async def complete() -> Series | None:
        found = await scraped(app.addresses[0])
        return found if found.keys() >= set(verdicts.values()) else None

    found = await until_async(complete)
    assert found
    return {name: found[verdict] for name, verdict in verdicts.items()}


def problems_in(report: Any) -> set[tuple[str, str]]:
    return {(problem["stage"], problem["reason"]) for problem in report["problems"]}


def asked(federation: Federation) -> set[str]:
    """Return the servers that the DNS server of a federation was asked for."""
    asked_for = {question.name for question in federation.dns.questions}
    return {
        each.server_name for each in SERVERS if any(f".{name}".endswith(f".{each.server_name}") for name in asked_for)
    }


ALL_AS_EXPECTED = {RED.server_name: 1, BLUE.server_name: 1, MIXED.server_name: 0}


@pytest.mark.parametrize("in_workers", [False, pytest.param(True, marks=pytest.mark.subprocess)])
async def test_contradicting_networks_live_side_by_side(in_workers: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """One name has two addresses, one chain is trusted and not trusted, and no resolver hears of the other's servers.

    The schedule, /probe and the API agree. What was verified in one group does not count in another, however often.
    """
    workers = WorkerPool(1, "warning", "logfmt") if in_workers else None
    async with contradicting(tmp_path) as world, exporter(world.config_file, workers) as app:
        assert await results_of(app) == ALL_AS_EXPECTED
        async with client_of(app.addresses[0]) as client:
            for _ in range(2):
                for server in SERVERS:
                    report = await fresh_report(client, server)
                    assert report["federation_ok"] is bool(ALL_AS_EXPECTED[server.server_name]), report["problems"]
                    assert problems_in(report) == (UNTRUSTED if server is MIXED else set())
                    probed = await get_probed(client, "/probe", {"target": server.server_name})
                    success = (
                        f'probe_success{{server_name="{server.server_name}"}} {ALL_AS_EXPECTED[server.server_name]}'
                    )
                    assert success in probed.text
            addresses = [(await fresh_report(client, server))["endpoints"][0]["address"] for server in (RED, BLUE)]
    assert addresses == ["198.51.100.1:8449", "198.51.100.2:8449"]
    assert (asked(world.red), asked(world.blue)) == ({RED.server_name}, {BLUE.server_name})
    assert leaked_tasks() == set()


async def fresh_report(client: httpx.AsyncClient, server: LabServer) -> Any:
    response = await get_probed(client, "/api/v1/report", {"server_name": server.server_name, "fresh": "true"})
    assert response.status_code == 200, response.text
    return response.json()


async def test_check_uses_the_networks_of_the_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with contradicting(tmp_path) as world:
        servers = [each.server_name for each in SERVERS]
        assert await asyncio.to_thread(check.run, servers, world.config_file, as_json=True) == 1
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {report["server_name"]: report["federation_ok"] for report in reports} == ALL_AS_EXPECTED
    assert [problems_in(report) for report in reports] == [set(), set(), UNTRUSTED]
    assert [report["group"] for report in reports] == ["red", "blue", "mixed"]
    assert asked(world.blue) == {BLUE.server_name}


async def test_check_takes_the_group_that_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The configuration does not know the groups of the servers on lists that would have to be fetched."""
    async with contradicting(tmp_path) as world:
        groups = {
            "red": {"server_urls": ["http://127.0.0.1:1/red"], "network": network_of(world.red)},
            "blue": {"server_urls": ["http://127.0.0.1:1/blue"], "network": network_of(world.blue)},
        }
        file = write(tmp_path / "lists.yaml", groups)
        with_group = await asyncio.to_thread(check.run, [BLUE.server_name], file, as_json=True, group="blue")
        output = capsys.readouterr()
        assert (with_group, output.err) == (0, "")
        assert await asyncio.to_thread(check.run, [BLUE.server_name], file, as_json=True) == 1
        assert "probed like the servers at the top level, for want of --group: blue.test" in capsys.readouterr().err
        assert check.run([BLUE.server_name], file, as_json=True, group="green") == 2
        assert capsys.readouterr().err == "there is no group 'green': the groups are default, red, blue\n"


async def test_check_shows_whether_a_server_is_as_its_group_expects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As text and as JSON, for a server that a file names."""
    async with contradicting(tmp_path) as world:
        (tmp_path / "red.json").write_text(json.dumps([{"targets": [RED.server_name], "labels": {"team": "chat"}}]))
        expect = {"delegation": "elsewhere.test:443"}
        group = {"server_files": ["red.json"], "network": network_of(world.red), "expect": expect}
        file = write(tmp_path / "expecting.yaml", {"red": group})
        assert await asyncio.to_thread(check.run, [RED.server_name], file, as_json=True) == 0
        report = json.loads(capsys.readouterr().out)
        assert await asyncio.to_thread(check.run, [RED.server_name], file, as_json=False) == 0
        text = capsys.readouterr().out
    assert (report["group"], report["labels"]) == ("red", {"team": "chat"})
    assert [(each["expectation"], each["as_expected"]) for each in report["expectations"]] == [("delegation", False)]
    assert "elsewhere.test:443" in text


# ---------------------------------------------------------------- reloads

(HEALTHY,) = lab_servers("default-port.lab.test")
NAME = names.parse(HEALTHY.server_name)


@asynccontextmanager
async def in_both(folder: Path) -> AsyncIterator[tuple[Federation, Federation, Path]]:
    """Run a server in two federations, whose configuration file has it in the red one."""
    async with Federation([HEALTHY]) as red, Federation([HEALTHY]) as blue:
        file = folder / "config.yaml"
        write_member(file, red, blue, "red")
        yield red, blue, file


def write_member(file: Path, red: Federation, blue: Federation, member: str) -> None:
    groups = {
        "red": {"servers": ["nobody.red.test"], "network": network_of(red)},
        "blue": {"servers": ["nobody.blue.test"], "network": network_of(blue)},
    }
    groups[member]["servers"] = [HEALTHY.server_name]
    write(file, groups)


def times_asked(federation: Federation) -> int:
    return sum(question.name == NAME.text for question in federation.dns.questions)


def fingerprint(found: Series) -> str:
    (info,) = (
        name
        for name in of_server(found, HEALTHY.server_name)
        if name.startswith("tls_cert_info") and "federation" in name
    )
    return info


async def probes_total(app: App) -> Series | None:
    found = await scraped(app.addresses[0])
    return found if found.get(series("probes_total", {"server_name": HEALTHY.server_name})) else None


async def test_a_reload_that_moves_a_server_keeps_its_results(tmp_path: Path) -> None:
    """They come from the network of the new group from the next probe on, with no failure in between."""
    async with in_both(tmp_path) as (red, blue, file), exporter(file) as app:
        before = await until_async(lambda: probes_total(app))
        assert before
        write_member(file, red, blue, "blue")
        assert await app.reload() == ()
        kept = await probes_total(app)
        assert kept
        assert fingerprint(kept) == fingerprint(before)
        questions = times_asked(red)
        await app._runner.run_scheduled(NAME)
        after = await scraped(app.addresses[0])
        assert fingerprint(after) != fingerprint(before)
        total, failed = (series(f"{each}_total", {"server_name": NAME.text}) for each in ("probes", "probe_failures"))
        assert (after[total], after[failed]) == (before[total] + 1, 0)
        assert times_asked(red) == questions
        state = app.board.state(NAME)
        assert state
        assert state.watched.group == "blue"


async def test_a_server_that_moves_during_a_probe_is_probed_in_its_new_group(tmp_path: Path) -> None:
    """No run is lost, and what the old network showed in the end is not held against the server."""
    async with in_both(tmp_path) as (red, blue, file), exporter(file) as app:
        assert await until_async(lambda: probes_total(app))
        state = app.board.state(NAME)
        assert state
        red.dns.zone.fail(NAME.text, "A", drop)
        asked_before = times_asked(red)
        run = asyncio.create_task(app._runner.run_scheduled(NAME))
        await until(lambda: times_asked(red) > asked_before)
        write_member(file, red, blue, "blue")
        assert await app.reload() == ()
        await asyncio.wait_for(run, PATIENCE)
        found = await scraped(app.addresses[0])
        after = app.board.state(NAME)
    assert after
    assert (after.probes, after.failures) == (state.probes + 1, state.failures)
    assert failures(of_server(found, NAME.text)) == set()
    assert times_asked(blue) > 0


async def test_a_request_after_a_move_does_not_join_a_probe_over_the_old_network(tmp_path: Path) -> None:
    async with in_both(tmp_path) as (red, blue, file), exporter(file) as app:
        assert await until_async(lambda: probes_total(app))
        red.dns.zone.fail(NAME.text, "A", drop)
        asked_before = times_asked(red)
        run = asyncio.create_task(app._runner.run_scheduled(NAME))
        await until(lambda: times_asked(red) > asked_before)
        write_member(file, red, blue, "blue")
        assert await app.reload() == ()
        async with client_of(app.addresses[0]) as client:
            assert (await fresh_report(client, HEALTHY))["federation_ok"]
        assert not run.done()


async def test_a_server_that_is_removed_is_not_probed_any_more(tmp_path: Path) -> None:
    """Not even at the top level, where others would hear of it."""
    async with in_both(tmp_path) as (_, blue, file), exporter(file) as app:
        assert await until_async(lambda: probes_total(app))
        groups = {"blue": {"servers": ["nobody.blue.test"], "network": network_of(blue)}}
        write(file, groups, network=network_of(blue))
        assert await app.reload() == ()
        await app._runner.run_scheduled(NAME)
        assert times_asked(blue) == 0
