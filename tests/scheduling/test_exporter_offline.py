"""The exporter's own network goes and comes back, as `/metrics` tells it: over the lab's real sockets."""

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.app import App
from exporter.demo.federation import Federation
from exporter.demo.servers import LabServer
from exporter.demo.zone import SERVFAIL, Zone
from exporter.internet import resolver as resolving
from exporter.internet.tcp import TcpStream
from exporter.probing import connectivity
from exporter.runtime import loop_lag
from exporter.scheduling import outage
from tests.embedded_federation import (
    Series,
    expected_failures,
    failures,
    network,
    scraped,
    series,
    successes,
    write_config,
)
from tests.lab.catalogue import EVERY_SERVER
from tests.lab.dns_faults import REFUSED
from tests.waiting import leaked_tasks, until_asked

UP = "exporter_connectivity_up"
FRESH = ("v1/report", "report", "federation-ok")


def lab(server_name: str) -> LabServer:
    return next(server for server in EVERY_SERVER if server.server_name == server_name)


HEALTHY = [lab(name) for name in ("default-port.lab.test", "well-known-port.lab.test", "ipv6-only.lab.test")]
"""In three networks."""
DEAD, UNANSWERED = lab("black-hole.lab.test"), lab("dns-silent.lab.test")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "RECHECK_SECONDS", 0.2)
    monkeypatch.setattr(connectivity, "WITNESS_SECONDS", 0.5)
    monkeypatch.setattr(resolving, "ALIVE_SECONDS", 0.2)


@asynccontextmanager
async def serving(config_file: Path) -> AsyncIterator[App]:
    app = App(config_file, first_round=0.1)
    app._schedule._grace = 0.1
    async with app:
        yield app
    assert leaked_tasks() == set()


@asynccontextmanager
async def exporter_of(folder: Path, *servers: LabServer, **changed: object) -> AsyncIterator[tuple[App, Federation]]:
    async with (
        Federation(servers) as federation,
        serving(write_config(folder / "config.yaml", federation, **changed)) as app,
    ):
        yield app, federation


async def get(app: App, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        return await client.get(f"http://{app.addresses[0]}{path}")


def of(server: LabServer, found: Series, metric: str) -> float:
    return found.get(series(metric, {"server_name": server.server_name}), 0)


async def probed_more(app: App, servers: Sequence[LabServer], times: int) -> Series:
    """As soon as each was probed so many times more."""
    before = await scraped(app.addresses[0])

    async def look() -> Series | None:
        found = await scraped(app.addresses[0])
        ended = (of(server, found, "probes_total") - of(server, before, "probes_total") for server in servers)
        return found if min(ended) >= times else None

    found = await until_asked(look)
    assert found
    return found


async def network_is(app: App, up: int) -> None:
    async def look() -> bool:
        return (await scraped(app.addresses[0]))[UP] == up

    await until_asked(look)


async def no_answer(*_: object) -> None:
    await asyncio.Event().wait()


async def no_route(*_: object) -> None:
    raise OSError(errno.ENETUNREACH, "Network is unreachable")


@pytest.mark.parametrize("servers", [HEALTHY[:1], HEALTHY], ids=["one server", "several"])
async def test_resolver_goes_and_comes_back(tmp_path: Path, servers: list[LabServer]) -> None:
    """Meanwhile every server is what it was; its probes are counted, and none as a failure. Then all goes on."""
    async with exporter_of(tmp_path, *servers) as (app, federation):
        before = await probed_more(app, servers, 1)
        await federation.dns.stop()
        await network_is(app, 0)
        during = await probed_more(app, servers, 1)
        page = (await get(app, "/")).text
        await federation.dns.start()
        await network_is(app, 1)
        after = await probed_more(app, servers, 1)
    assert [found[UP] for found in (before, during, after)] == [1, 0, 1]
    for server in servers:
        for found in (before, during, after):
            assert of(server, found, "probe_success") == 1
            assert of(server, found, "probe_failures_total") == 0
            assert failures(found) == set()
        assert of(server, during, "probe_last_timestamp_seconds") < of(server, after, "probe_last_timestamp_seconds")
    assert "own network is down, and nothing is seen of them: no resolver answers anything." in page


@pytest.mark.parametrize("hole", [True, False], ids=["black hole", "no route"])
async def test_network_goes_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hole: bool) -> None:  # noqa: FBT001 - one of the cases
    """Though the resolver answers, from its cache perhaps: that nobody else is reached tells."""
    async with exporter_of(tmp_path, *HEALTHY) as (app, _):
        await probed_more(app, HEALTHY, 1)
        with monkeypatch.context() as outage:
            outage.setattr(TcpStream, "open", no_answer if hole else no_route)
            await network_is(app, 0)
            during = await probed_more(app, HEALTHY, 1)
        await network_is(app, 1)
        after = await probed_more(app, HEALTHY, 1)
    for found in (during, after):
        assert set(successes(found, HEALTHY).values()) == {1}
        assert {of(server, found, "probe_failures_total") for server in HEALTHY} == {0}
        assert failures(found) == set()


async def test_resolver_without_a_way_to_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers, with errors about everything: so do forwarders, when what is behind them is away."""
    async with exporter_of(tmp_path, *HEALTHY) as (app, _):
        await probed_more(app, HEALTHY, 1)
        monkeypatch.setattr(Zone, "fault", lambda *_: SERVFAIL)
        await network_is(app, 0)
        during = await probed_more(app, HEALTHY, 1)
    assert set(successes(during, HEALTHY).values()) == {1}
    assert failures(during) == set()


async def test_our_standstill_is_no_failure_of_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first probe never hears what is answered; it is told as skipped, and the next one tells of the server."""
    standstills = [1.1]  # seconds
    open_as_ever = TcpStream.open

    def open_at_last(stream: TcpStream, *where: Any) -> Awaitable[None]:
        if standstills:
            time.sleep(standstills.pop())
        return open_as_ever(stream, *where)

    monkeypatch.setattr(loop_lag, "STALL_SECONDS", 0.05)
    monkeypatch.setattr(TcpStream, "open", open_at_last)
    server = HEALTHY[0]
    async with exporter_of(tmp_path, server, probe={"interval": "2s", "timeout": "1s"}) as (app, _):
        found = await probed_more(app, [server], 1)
    assert found[series("exporter_probes_skipped_total", {"reason": "no_resources"})] == 1
    assert (of(server, found, "probe_success"), of(server, found, "probe_failures_total")) == (1, 0)


async def test_servers_that_break_are_not_our_blindness(tmp_path: Path) -> None:
    """However they are silent: one that answers is enough. Every probe is a success or a failure."""
    servers = [*HEALTHY, DEAD, UNANSWERED]
    async with exporter_of(tmp_path, *servers) as (app, _):
        found = await probed_more(app, servers, 2)
    assert found[UP] == 1
    assert failures(found) == expected_failures(servers)
    for server in servers:
        ended, failed = (of(server, found, f"{counter}_total") for counter in ("probes", "probe_failures"))
        assert failed == (ended if server.expected else 0)


@pytest.mark.parametrize("server", [DEAD, UNANSWERED], ids=lambda server: server.server_name)
async def test_server_that_is_alone_is_down(tmp_path: Path, server: LabServer) -> None:
    """Nothing proves that it is us, for the resolver answers; not even one that refuses to speak of the root."""
    async with exporter_of(tmp_path, server) as (app, federation):
        federation.dns.zone.fail(".", "A", REFUSED)
        found = await probed_more(app, [server], 2)
    assert (found[UP], successes(found, [server])) == (1, {server.server_name: 0})


@pytest.mark.parametrize("up", [1, 0])
async def test_places_to_ask_tell_of_a_server_that_is_alone(tmp_path: Path, up: int) -> None:
    """By an operator who watches few: one that is up shows the server to be down, silence shows that we are."""
    open_place = "matrix.org:443" if up else "black-hole.lab.test:8448"
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        there = f"127.0.0.1:{listener.getsockname()[1]}"
        async with Federation([DEAD]) as federation:
            redirected = {**federation.connect_to, "matrix.org:443": there}
            changed = network(federation, connect_to=redirected, connectivity_check=[open_place])
            file = write_config(tmp_path / "config.yaml", federation, network=changed)
            async with serving(file) as app:
                found = await probed_more(app, [DEAD], 1)
    assert found[UP] == up
    assert successes(found, [DEAD]) == {DEAD.server_name: 0 if up else None}


async def test_whoever_asks_for_a_probe_is_told(tmp_path: Path) -> None:
    """Instead of a verdict; the latest report is still there, marked, beside what is remembered."""
    name = HEALTHY[0].server_name
    async with exporter_of(tmp_path, HEALTHY[0], probe={"interval": "1h", "timeout": "2s"}) as (app, federation):
        await probed_more(app, HEALTHY[:1], 1)
        await federation.dns.stop()
        paths = (f"/probe?target={name}", *(f"/api/{path}?fresh=true&server_name={name}" for path in FRESH))
        refused = [await get(app, path) for path in paths]
        report = (await get(app, f"/api/v1/report?server_name={name}")).json()
        await federation.dns.start()
    assert {answer.status_code for answer in refused} == {503}
    assert all("own network is down" in answer.text for answer in refused)
    assert (report["federation_ok"], report["exporter_offline"]) == (True, True)
    assert [result["exporter_offline"] for result in report["history"]] == [True] * len(paths) + [False]
    assert report["last_failures"] == []
