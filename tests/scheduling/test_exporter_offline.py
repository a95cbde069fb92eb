"""Outages of the exporter's own network, as `/metrics` shows them, over the real sockets of the embedded federation."""

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from exporter.app import App
from exporter.demo.federation import Federation
from exporter.demo.servers import LabServer
from exporter.demo.zone import SERVFAIL, Zone
from exporter.internet import IPEndpoint
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
    quick,
    scraped,
    series,
    successes,
    write_config,
)
from tests.lab.catalogue import EVERY_SERVER
from tests.lab.dns_faults import REFUSED
from tests.waiting import PATIENCE, leaked_tasks, slowness, until_async

pytestmark = pytest.mark.silence

UP = 'exporter_connectivity_up{group="default"}'
FRESH = ("v1/report", "report", "federation-ok")


def lab(server_name: str) -> LabServer:
    return next(server for server in EVERY_SERVER if server.server_name == server_name)


HEALTHY = [lab(name) for name in ("default-port.lab.test", "well-known-port.lab.test", "ipv6-only.lab.test")]
"""Servers in three networks."""
SILENT_SERVER, SILENT_DNS = lab("black-hole.lab.test"), lab("dns-silent.lab.test")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "RECHECK_SECONDS", 0.2)
    monkeypatch.setattr(connectivity, "WITNESS_SECONDS", 1.0)
    monkeypatch.setattr(resolving, "LIVENESS_SECONDS", 0.5)


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
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        return await client.get(f"http://{app.addresses[0]}{path}")


def value_of(server: LabServer, found: Series, metric: str) -> float:
    return found.get(series(metric, {"server_name": server.server_name}), 0)


async def probed_more(app: App, servers: Sequence[LabServer], times: int) -> Series:
    """Return the metrics as soon as each server has been probed `times` more times."""
    before = await scraped(app.addresses[0])

    async def scrape() -> Series | None:
        found = await scraped(app.addresses[0])
        ended = (
            value_of(server, found, "probes_total") - value_of(server, before, "probes_total") for server in servers
        )
        return found if min(ended) >= times else None

    found = await until_async(scrape)
    assert found
    return found


async def reported_later(app: App, servers: Sequence[LabServer], before: Series) -> Series:
    """Return the metrics as soon as each server has a later report than in these.

    A probe that began before the network was up again counts, but brings none.
    """

    async def scrape() -> Series | None:
        found = await scraped(app.addresses[0])
        name = "probe_last_timestamp_seconds"
        return found if all(value_of(each, found, name) > value_of(each, before, name) for each in servers) else None

    found = await until_async(scrape)
    assert found
    return found


async def until_all_federate(app: App, servers: Sequence[LabServer]) -> Series:
    """Return the metrics as soon as the latest probe of each server has succeeded."""

    async def scrape() -> Series | None:
        found = await scraped(app.addresses[0])
        return found if set(successes(found, servers).values()) == {1} else None

    found = await until_async(scrape)
    assert found
    return found


async def until_network_is(app: App, up: int) -> None:
    async def has_changed() -> bool:
        return (await scraped(app.addresses[0]))[UP] == up

    await until_async(has_changed)


async def no_answer(*_: object) -> None:
    await asyncio.Event().wait()


async def no_route(*_: object) -> None:
    raise OSError(errno.ENETUNREACH, "Network is unreachable")


@pytest.mark.parametrize("servers", [HEALTHY[:1], HEALTHY], ids=["one server", "several"])
async def test_an_outage_of_the_resolver(tmp_path: Path, servers: list[LabServer]) -> None:
    """During it, the metrics of every server stay, and its probes are counted, but not as failures."""
    async with exporter_of(tmp_path, *servers) as (app, federation):
        before = await until_all_federate(app, servers)
        await federation.dns.stop()
        await until_network_is(app, 0)
        during = await probed_more(app, servers, 1)
        page = (await get(app, "/")).text
        await federation.dns.start()
        await until_network_is(app, 1)
        after = await reported_later(app, servers, during)
    assert [found[UP] for found in (before, during, after)] == [1, 0, 1]
    for server in servers:
        for found in (before, during, after):
            assert value_of(server, found, "probe_success") == 1
            assert value_of(server, found, "probe_failures_total") == value_of(server, before, "probe_failures_total")
            assert failures(found) == set()
    assert "own network is down, so it cannot probe servers: no DNS resolver answers." in page


@pytest.mark.parametrize("hole", [True, False], ids=["black hole", "no route"])
async def test_an_outage_of_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, hole: bool) -> None:
    """The resolver may answer, from its cache perhaps: that no other server can be reached proves the outage."""
    async with exporter_of(tmp_path, *HEALTHY) as (app, _):
        before = await until_all_federate(app, HEALTHY)
        with monkeypatch.context() as outage:
            outage.setattr(TcpStream, "open", no_answer if hole else no_route)
            await until_network_is(app, 0)
            during = await probed_more(app, HEALTHY, 1)
        await until_network_is(app, 1)
        after = await probed_more(app, HEALTHY, 1)
    for found in (during, after):
        assert set(successes(found, HEALTHY).values()) == {1}
        for server in HEALTHY:
            assert value_of(server, found, "probe_failures_total") == value_of(server, before, "probe_failures_total")
        assert failures(found) == set()


async def test_a_resolver_that_fails_for_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forwarder answers with an error to every query if its upstream server is down."""
    async with exporter_of(tmp_path, *HEALTHY) as (app, _):
        await until_all_federate(app, HEALTHY)
        monkeypatch.setattr(Zone, "fault", lambda *_: SERVFAIL)
        await until_network_is(app, 0)
        during = await probed_more(app, HEALTHY, 1)
    assert set(successes(during, HEALTHY).values()) == {1}
    assert failures(during) == set()


async def test_a_stall_of_the_exporter_is_not_a_failure_of_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first probe never notices the response: it counts as skipped. The next one succeeds."""
    stalls = [1.1]  # seconds
    original_open = TcpStream.open

    def stall_and_open(stream: TcpStream, endpoint: IPEndpoint) -> Awaitable[None]:
        if stalls:
            time.sleep(stalls.pop())
        return original_open(stream, endpoint)

    monkeypatch.setattr(loop_lag, "STALL_SECONDS", 0.05)
    monkeypatch.setattr(TcpStream, "open", stall_and_open)
    server = HEALTHY[0]
    async with exporter_of(tmp_path, server, probe={"interval": "4s", "timeout": "3s"}) as (app, _):
        found = await probed_more(app, [server], 1)
    assert found[series("exporter_probes_skipped_total", {"reason": "no_cpu_time"})] >= 1
    assert (value_of(server, found, "probe_success"), value_of(server, found, "probe_failures_total")) == (1, 0)


async def test_silent_servers_are_not_an_outage(tmp_path: Path) -> None:
    """One server that responds shows that the network is up. Every probe is a success or a failure."""
    servers = [*HEALTHY, SILENT_SERVER, SILENT_DNS]
    async with exporter_of(tmp_path, *servers) as (app, _):
        found = await probed_more(app, servers, 2)
    assert found[UP] == 1
    assert failures(found) == expected_failures(servers)
    for server in servers:
        ended, failed = (value_of(server, found, f"{counter}_total") for counter in ("probes", "probe_failures"))
        assert failed == (ended if server.expected else 0)


@pytest.mark.parametrize("server", [SILENT_SERVER, SILENT_DNS], ids=lambda server: server.server_name)
async def test_a_single_silent_server_is_down(tmp_path: Path, server: LabServer) -> None:
    """Nothing proves an outage, as the resolver responds, even if it refuses the query for the root."""
    async with exporter_of(tmp_path, server) as (app, federation):
        federation.dns.zone.fail(".", "A", REFUSED)
        found = await probed_more(app, [server], 2)
    assert (found[UP], successes(found, [server])) == (1, {server.server_name: 0})


@pytest.mark.parametrize("up", [1, 0])
async def test_connectivity_check_decides_for_a_single_server(tmp_path: Path, up: int) -> None:
    """A configured endpoint that responds shows that the server is down, and one that does not shows an outage."""
    target = "matrix.org:443" if up else "black-hole.lab.test:8448"
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        async with Federation([SILENT_SERVER]) as federation:
            redirected = {**federation.connect_to, "matrix.org:443": address}
            changed = network(federation, connect_to=redirected, connectivity_check=[target])
            file = write_config(tmp_path / "config.yaml", federation, network=changed)
            async with serving(file) as app:
                found = await probed_more(app, [SILENT_SERVER], 1)
    assert found[UP] == up
    assert successes(found, [SILENT_SERVER]) == {SILENT_SERVER.server_name: 0 if up else None}


async def test_a_probe_on_demand_during_an_outage_is_an_error(tmp_path: Path) -> None:
    """The latest report is still available. It says that the exporter is offline."""
    name = HEALTHY[0].server_name
    async with exporter_of(tmp_path, HEALTHY[0], probe={**quick(slowness()), "interval": "1h"}) as (app, federation):
        await until_all_federate(app, HEALTHY[:1])
        await federation.dns.stop()
        paths = (f"/probe?target={name}", *(f"/api/{path}?fresh=true&server_name={name}" for path in FRESH))
        responses = [await get(app, path) for path in paths]
        report = (await get(app, f"/api/v1/report?server_name={name}")).json()
        await federation.dns.start()
    assert {response.status_code for response in responses} == {503}
    assert all("own network is down" in response.text for response in responses)
    assert (report["federation_ok"], report["exporter_offline"]) == (True, True)
    assert [result["exporter_offline"] for result in report["history"]] == [True] * len(paths) + [False]
    assert report["last_failures"] == []
