"""A disk that takes long: the event loop does not wait for it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest

from exporter.history.history import Entry
from exporter.history.storage import storage
from exporter.history.storage.database import Database
from tests.histories import history_of, record
from tests.history.sequences import EXAMPLE, failing, good, sequence
from tests.sample_reports import ENDED_AT
from tests.waiting import PATIENCE

WRITE = Database.write


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Return what the disk waits for before it writes anything."""
    goes_on = Event()

    def write(database: Database, entries: Sequence[Entry]) -> None:
        assert goes_on.wait(PATIENCE)
        WRITE(database, entries)

    monkeypatch.setattr(Database, "write", write)
    return goes_on


async def test_probes_go_on_while_the_disk_is_busy(tmp_path: Path, disk: Event) -> None:
    """What is recorded meanwhile is written afterwards, in one go. Who reads waits, and then sees all of it."""
    async with history_of(*sequence(failing(), good()), path=tmp_path / "history.sqlite") as history:
        await asyncio.sleep(0)  # the thread begins to write
        for number in range(1, 50):
            record(history, sequence(failing(), good(), start=2 * number))
        reading = asyncio.create_task(history.incidents(EXAMPLE, ENDED_AT, 100))
        await asyncio.sleep(0)
        assert not reading.done()
        disk.set()
        assert len(await reading) == 50


async def test_what_waits_for_the_disk_is_bounded(tmp_path: Path, disk: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is dropped."""
    monkeypatch.setattr(storage, "_MAX_WAITING", 20)
    async with history_of(*sequence(failing(), good()), path=tmp_path / "history.sqlite") as history:
        await asyncio.sleep(0)
        for number in range(1, 50):
            record(history, sequence(failing(), good(), start=2 * number))
        disk.set()
        assert len(await history.incidents(EXAMPLE, ENDED_AT, 100)) == 11
