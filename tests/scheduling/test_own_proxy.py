"""A proxy that fails, as `/metrics` and the pages show it, over the real sockets of the embedded federation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.app import App
from exporter.demo.federation import Federation
from exporter.demo.servers import LabServer
from exporter.model import names
from exporter.model.reasons import Reason
from exporter.probing import connectivity
from exporter.scheduling import outage
from tests.embedded_federation import Series, lab_servers, network, scraped, series, successes, write_config
from tests.lab.connect_proxy import ConnectProxy, Rule, always, connect_proxy, demand, permit, status
from tests.waiting import leaked_tasks, until_async

pytestmark = pytest.mark.silence

SERVERS = lab_servers("default-port.lab.test", "well-known-port.lab.test", "ipv6-only.lab.test")
"""Three servers in three networks."""
UP = series("exporter_connectivity_up", {"group": "default"})


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "RECHECK_SECONDS", 0.2)
    monkeypatch.setattr(connectivity, "WITNESS_SECONDS", 1.0)


@asynccontextmanager
async def exporter_through(
    proxy: ConnectProxy, folder: Path, *servers: LabServer
) -> AsyncIterator[tuple[App, Federation]]:
    async with Federation(servers) as federation:
        file = write_config(folder / "config.yaml", federation, network=network(federation, proxy=proxy.url))
        app = App(file, first_round=0.1)
        app._schedule._grace = 0.1
        async with app:
            yield app, federation
        assert leaked_tasks() == set()


def spoiled(found: Series, proxy: ConnectProxy, reason: Reason) -> float:
    return found[series("exporter_proxy_failures_total", {"proxy": proxy.address, "reason": reason})]


def blamed(found: Series) -> float:
    """Return how many probes failed, of all servers."""
    return sum(value for name, value in found.items() if name.startswith("probe_failures_total"))


async def until_all_federate(app: App) -> Series:
    async def scrape() -> Series | None:
        found = await scraped(app.addresses[0])
        return found if set(successes(found, SERVERS).values()) == {1} else None

    found = await until_async(scrape)
    assert found
    return found


async def until_spoiled(app: App, proxy: ConnectProxy, reason: Reason, probes: int) -> Series:
    """Return the metrics once so many more probes were spoiled for this reason."""
    before = spoiled(await scraped(app.addresses[0]), proxy, reason)

    async def scrape() -> Series | None:
        found = await scraped(app.addresses[0])
        return found if spoiled(found, proxy, reason) >= before + probes else None

    found = await until_async(scrape)
    assert found
    return found


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (demand("someone:else"), Reason.PROXY_AUTHENTICATION),
        (always(status(403, "Forbidden")), Reason.PROXY_FORBIDDEN),
        (always(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Reason.PROXY_PROTOCOL),
        ("stopped", Reason.PROXY_UNREACHABLE),
    ],
    ids=lambda value: value if isinstance(value, Reason) else "",
)
async def test_no_server_is_blamed_for_a_proxy_that_fails(tmp_path: Path, rule: Rule | str, reason: Reason) -> None:
    """The metrics of every server stay. The log tells it once, the counter of the proxy every time."""
    with capture_logs() as logs:
        async with connect_proxy() as proxy, exporter_through(proxy, tmp_path, *SERVERS) as (app, _):
            before = await until_all_federate(app)
            if isinstance(rule, str):
                await proxy.stop()
            else:
                proxy.rule = rule
            during = await until_spoiled(app, proxy, reason, 2 * len(SERVERS))
            proxy.rule = permit
            if isinstance(rule, str):
                await proxy.start()
            after = await until_all_federate(app)
    assert [spoiled(before, proxy, each) for each in Reason if each.startswith("proxy_")] == [0] * 4
    for found in (before, during, after):
        assert (set(successes(found, SERVERS).values()), blamed(found)) == ({1}, 0)
    told = [(line["event"].partition(":")[0], line["proxy"]) for line in logs if "proxy" in line]
    assert told[0] == ("the exporter's own proxy fails", proxy.address)
    assert [line["reason"] for line in logs if "proxy" in line and "reason" in line] == [reason]


async def test_a_proxy_that_does_not_reach_one_server(tmp_path: Path) -> None:
    """That is a failure of this server, as others are reached."""
    server = SERVERS[0]
    async with connect_proxy() as proxy, exporter_through(proxy, tmp_path, *SERVERS) as (app, federation):
        await until_all_federate(app)
        unreachable = federation.connect_to[_address_of(server, app)]
        proxy.rule = lambda authority, _: status(503, "Cannot connect") if authority == unreachable else None

        async def fails() -> Series | None:
            found = await scraped(app.addresses[0])
            return found if successes(found, SERVERS)[server.server_name] == 0 else None

        found = await until_async(fails)
    assert found
    assert sum(successes(found, SERVERS).values()) == len(SERVERS) - 1  # type: ignore[arg-type]
    labels = {"server_name": server.server_name, "probe_stage": "tunnel", "reason": "tunnel_failed"}
    assert found[series("failure_info", labels)] == 1
    assert found[UP] == 1


def _address_of(server: LabServer, app: App) -> str:
    """Return where the only endpoint of a server is, according to its latest report."""
    state = app.board.state(names.parse(server.server_name))
    assert state
    assert state.report
    (seen,) = state.report.endpoints
    return seen.endpoint.address


@pytest.mark.parametrize(
    "rule", [None, always(status(503, "No route")), always(status(504))], ids=["mute", "503", "504"]
)
async def test_a_proxy_that_reaches_nobody_is_an_outage(tmp_path: Path, rule: Rule | None) -> None:
    """Its own network may be down. The servers that were healthy prove it, as they do without a proxy."""
    async with connect_proxy() as proxy, exporter_through(proxy, tmp_path, *SERVERS) as (app, _):
        before = await until_all_federate(app)
        proxy.rule = rule

        async def is_up(up: int) -> Series | None:
            found = await scraped(app.addresses[0])
            return found if found[UP] == up else None

        during = await until_async(lambda: is_up(0))
        proxy.rule = permit
        await until_async(lambda: is_up(1))
        after = await until_all_federate(app)
    assert during
    for found in (before, during, after):
        assert (set(successes(found, SERVERS).values()), blamed(found)) == ({1}, 0)
