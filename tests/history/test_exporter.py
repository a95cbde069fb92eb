"""The whole exporter with a file for its history."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.app import App
from exporter.demo.federation import Federation
from tests.embedded_federation import Series, lab_servers, scraped, series, write_config
from tests.waiting import until_async

pytestmark = pytest.mark.lab

HEALTHY, BROKEN = lab_servers("default-port.lab.test", "expired.lab.test")
BEGAN = series("incident_start_timestamp_seconds", {"server_name": BROKEN.server_name})
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
