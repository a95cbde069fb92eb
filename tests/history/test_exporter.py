"""The whole exporter with a file for its history."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import httpx
import pytest

from exporter.app import App
from exporter.demo.federation import Federation
from exporter.history.storage.database import Database, RenderReport
from tests.embedded_federation import Series, lab_servers, scraped, series, write_config
from tests.waiting import PATIENCE, until, until_async

pytestmark = pytest.mark.lab

HEALTHY, BROKEN = lab_servers("default-port.lab.test", "expired.lab.test")
BEGAN = series("incident_start_timestamp_seconds", {"server_name": BROKEN.server_name})
OPEN = Database.in_file
UP, SIZE = "exporter_storage_up", "exporter_storage_size_bytes"


@asynccontextmanager
async def probed(file: Path) -> AsyncIterator[Series]:
    """Run an exporter until both servers have a result, and yield its metrics."""
    app = App(file, first_round=0.1)
    app._schedule._grace = 0.1
    async with app:

        async def complete() -> Series | None:
            found = await scraped(app.addresses[0])
            names = (server.server_name for server in (HEALTHY, BROKEN))
            results = {series("probe_success", {"server_name": name}) for name in names}
            return found if results <= found.keys() else None

        found = await until_async(complete)
        assert found
        yield found


async def test_an_incident_has_the_same_beginning_after_a_restart(tmp_path: Path) -> None:
    """The path of the file is relative to the configuration file."""
    async with Federation([HEALTHY, BROKEN]) as federation:
        file = write_config(tmp_path / "config.yaml", federation, storage={"path": "history.sqlite"})
        async with probed(file) as before:
            pass
        async with probed(file) as after:
            pass
    assert (tmp_path / "history.sqlite").is_file()
    assert (before[UP], after[UP], after[SIZE] > 0) == (1, 1, True)
    assert before[BEGAN] == after[BEGAN]
    assert {name for name in after if name.startswith("incident_start")} == {BEGAN}


async def test_a_file_that_cannot_be_used_does_not_stop_the_start(tmp_path: Path) -> None:
    """The metrics say so, and the servers are probed."""
    async with Federation([HEALTHY, BROKEN]) as federation:
        file = write_config(tmp_path / "config.yaml", federation, storage={"path": "missing/history.sqlite"})
        async with probed(file) as found:
            assert (found[UP], found[SIZE], BEGAN in found) == (0, 0, True)


async def test_nothing_is_served_before_the_history_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that needs it would fail."""
    opening, goes_on = Event(), Event()

    def open_slowly(path: Path, render: RenderReport) -> Database:
        opening.set()
        assert goes_on.wait(PATIENCE)
        return OPEN(path, render)

    monkeypatch.setattr(Database, "in_file", open_slowly)
    async with Federation([HEALTHY]) as federation:
        app = App(write_config(tmp_path / "config.yaml", federation, storage={"path": "history.sqlite"}))
        starting = asyncio.create_task(app.__aenter__())
        await until(opening.is_set)
        assert not app.addresses
        goes_on.set()
        await starting
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            answer = await client.get(f"http://{app.addresses[0]}/api/v1/incidents")
        await app.__aexit__()
    assert (answer.status_code, answer.json()["incidents"]) == (200, [])
