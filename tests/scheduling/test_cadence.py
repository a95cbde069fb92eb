"""How soon a break is confirmed, and how rarely a dead server is probed, over the sockets of the federation."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from exporter.app import App
from exporter.demo.federation import Federation
from exporter.model import names
from exporter.model.servers import DEFAULT_CADENCE, WatchedServer
from exporter.scheduling.grid import Grid
from tests.embedded_federation import Series, lab_servers, quick, scraped, series, write_config
from tests.sample_reports import watched_server
from tests.waiting import PATIENCE, leaked_tasks, slowness, until_async

pytestmark = pytest.mark.lab

(SERVER,) = lab_servers("default-port.lab.test")
NAME = SERVER.server_name
HOUR = 3600.0
SOON = {"interval": "1h", "confirm_after": "100ms"}
DORMANT = {"interval": "1h", "confirm_after": "1h", "dormant": {"after": "1ms", "interval": "3h"}}


def patient() -> dict[str, str]:
    """Return settings with which a probe that gets no response ends soon, and nothing is due for an hour."""
    return {**quick(slowness()), "interval": "1h", "confirm_after": "1m"}


@asynccontextmanager
async def serving(config_file: Path) -> AsyncIterator[App]:
    app = App(config_file, first_round=0.1)
    app._schedule._grace = 0.1
    async with app:
        yield app
    assert leaked_tasks() == set()


@asynccontextmanager
async def exporter(folder: Path, **probe: object) -> AsyncIterator[tuple[App, Federation]]:
    """Run an exporter whose only server is healthy, and has been probed."""
    async with Federation([SERVER]) as federation:
        file = write_config(folder / "config.yaml", federation, probe=probe)
        async with serving(file) as app:
            await until(app, lambda found: value(found, "probe_success") == 1)
            yield app, federation


def value(found: Series, name: str) -> float | None:
    return found.get(series(name, {"server_name": NAME}))


async def until(app: App, condition: Callable[[Series], bool]) -> Series:
    async def scrape() -> Series | None:
        found = await scraped(app.addresses[0])
        return found if condition(found) else None

    found = await until_async(scrape)
    assert found
    return found


async def probe_now(app: App) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        await client.get(f"http://{app.addresses[0]}/probe?target={NAME}")


def planned(app: App) -> float:
    moment: float = app._schedule._scheduler.get_job(NAME).next_run_time.timestamp()
    return moment


@pytest.mark.parametrize("change", ["break", "repair"])
async def test_a_change_is_confirmed_long_before_the_next_probe(tmp_path: Path, change: str) -> None:
    """The second probe comes by itself, whoever asked for the first. When both agree, the interval is the usual one."""
    async with exporter(tmp_path, **SOON) as (app, federation):
        listener = federation.server(NAME).listener
        await listener.stop()
        await probe_now(app)
        found = await until(app, lambda found: value(found, "probe_failures_total") == 2)
        if change == "repair":
            await listener.start()
            await probe_now(app)
            found = await until(app, lambda found: value(found, "probes_total") == 5)
        assert value(found, "probe_success") == (change == "repair")
        assert value(found, "probe_interval_seconds") == HOUR
        assert planned(app) > app._schedule._clock.now() + HOUR / 3


@pytest.mark.silence
async def test_nothing_is_confirmed_during_an_outage_of_the_exporter(tmp_path: Path) -> None:
    """All servers seem to have changed then, and a storm of probes would tell nothing."""
    async with exporter(tmp_path, **patient()) as (app, federation):
        before = planned(app)
        await federation.dns.stop()
        await probe_now(app)
        during = await until(app, lambda found: value(found, "probes_total") == 2)
        assert (during['exporter_connectivity_up{group="default"}'], value(during, "probe_interval_seconds")) == (
            0,
            HOUR,
        )
        assert planned(app) == before
        await federation.dns.start()


@pytest.mark.silence
async def test_a_confirmation_that_is_due_waits_for_the_end_of_an_outage(tmp_path: Path) -> None:
    """The change that it is about was seen before the outage."""
    async with exporter(tmp_path, **patient()) as (app, federation):
        await federation.server(NAME).listener.stop()
        await probe_now(app)
        assert value(await scraped(app.addresses[0]), "probe_interval_seconds") == 60
        assert planned(app) < app._schedule._clock.now() + 61
        await federation.dns.stop()
        await probe_now(app)
        await until(app, lambda found: value(found, "probe_interval_seconds") == HOUR)
        assert planned(app) > app._schedule._clock.now() + HOUR / 3
        await federation.dns.start()


async def make_dormant(app: App, federation: Federation) -> None:
    await federation.server(NAME).listener.stop()
    for _ in range(2):
        await probe_now(app)
    assert value(await scraped(app.addresses[0]), "probe_interval_seconds") == 3 * HOUR
    assert planned(app) > app._schedule._clock.now() + HOUR


async def test_dormancy_survives_a_reload(tmp_path: Path) -> None:
    """The next probe is where it was."""
    async with exporter(tmp_path, **DORMANT) as (app, federation):
        await make_dormant(app, federation)
        before = planned(app)
        assert await app.reload() == ()
        assert value(await scraped(app.addresses[0]), "probe_interval_seconds") == 3 * HOUR
        assert planned(app) == before


async def test_a_reload_may_end_dormancy(tmp_path: Path) -> None:
    """`probe.dormant: null` wakes all servers, without waiting for the next probe of each."""
    async with exporter(tmp_path, **DORMANT) as (app, federation):
        await make_dormant(app, federation)
        write_config(tmp_path / "config.yaml", federation, probe={**DORMANT, "dormant": None})
        assert await app.reload() == ()
        assert value(await scraped(app.addresses[0]), "probe_interval_seconds") == HOUR
        assert planned(app) <= app._schedule._clock.now() + HOUR


async def test_dormancy_survives_a_restart(tmp_path: Path) -> None:
    """With `storage.path`. Every server is probed once, and the dormant ones rarely from then on."""
    async with Federation([SERVER]) as federation:
        file = write_config(tmp_path / "config.yaml", federation, probe=DORMANT, storage={"path": "history.sqlite"})
        async with serving(file) as app:
            await until(app, lambda found: value(found, "probe_success") == 1)
            await make_dormant(app, federation)
        async with serving(file) as app:
            found = await until(app, lambda found: value(found, "probes_total") == 1)
            assert value(found, "probe_interval_seconds") == 3 * HOUR
            assert planned(app) > app._schedule._clock.now() + HOUR


async def test_one_success_ends_dormancy(tmp_path: Path) -> None:
    """Whoever asked for the probe."""
    async with exporter(tmp_path, **DORMANT) as (app, federation):
        await make_dormant(app, federation)
        await federation.server(NAME).listener.start()
        await probe_now(app)
        found = await scraped(app.addresses[0])
        assert (value(found, "probe_success"), value(found, "probe_interval_seconds")) == (1, HOUR)
        assert planned(app) <= app._schedule._clock.now() + HOUR


# ---------------------------------------------------------------- what dormant servers cost


def probes_in_a_day(server: WatchedServer) -> int:
    grid, day = Grid.of(server), 86_400.0
    midnight = 20_000 * day
    return round((grid.at_or_after(midnight + day) - grid.at_or_after(midnight)) / grid.interval)


def test_dormant_servers_are_probed_a_twelfth_as_often() -> None:
    """The figures in docs/scaling.md: of 20,000 servers, 8,000 are gone."""
    gone = [watched_server(names.parse(f"s{number}.example.org").text) for number in range(8000)]
    dormant = [replace(server, interval=DEFAULT_CADENCE.dormant_interval) for server in gone]
    assert (sum(map(probes_in_a_day, gone)), sum(map(probes_in_a_day, dormant))) == (2_304_000, 192_000)
