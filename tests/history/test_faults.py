"""Files that cannot be used: each is logged and shown, and the history goes on in memory until the file can be used."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.config import StorageSettings
from exporter.history.storage import resilient, schema
from exporter.history.storage.database import Database
from exporter.history.storage.storage import Storage
from exporter.reports.report_json import report_json
from tests.histories import history_of, record
from tests.history.sequences import EXAMPLE, failing, good, minute, sequence
from tests.namespaces import run_python_with_mounts
from tests.programs import program
from tests.sample_reports import ENDED_AT

UNAVAILABLE = "storage unavailable, continuing in memory"


class Health:
    """What the exporter shows of its storage."""

    def __init__(self) -> None:
        self.up, self.size = True, 0

    def record(self, up: bool, size: int) -> None:  # noqa: FBT001 - as `Storage` calls it
        self.up, self.size = up, size


@asynccontextmanager
async def storage(path: Path) -> AsyncIterator[tuple[Storage, Health]]:
    health = Health()
    history = Storage(report_json, lambda: datetime.now(UTC), health.record)
    async with history.open(StorageSettings(path)):
        yield history, health


async def times(history: Storage) -> list[tuple[object, object]]:
    """Return when the incidents began and ended."""
    return [(each.began, each.ended) for each in await history.incidents(EXAMPLE, ENDED_AT, 10)]


@pytest.fixture
def _retried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resilient, "_RETRY_SECONDS", 0.0)


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def empty_pages(path: Path) -> None:
    """The header is intact, and nothing else."""
    fill(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(path.stat().st_size - 4096))


def cut_off(path: Path) -> None:
    fill(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def of_a_later_version(path: Path) -> None:
    fill(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA user_version = 99")


def of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE moz_places (id INTEGER)")


def a_directory(path: Path) -> None:
    path.mkdir()


def fill(path: Path) -> None:
    async def write() -> None:
        async with history_of(*sequence(good(), failing(), good()), path=path):
            pass

    asyncio.run(write())


@pytest.mark.parametrize("break_file", [garbage, of_a_later_version, of_another_program, a_directory])
def test_a_file_that_cannot_be_used_is_left_as_it_is(break_file: Callable[[Path], None], tmp_path: Path) -> None:
    """Somebody may want to repair it. It is told once."""
    path = tmp_path / "history.sqlite"
    break_file(path)
    before = path.read_bytes() if path.is_file() else b""
    with capture_logs() as logs:
        asyncio.run(uses_memory(path))
    assert [(each["event"], each["path"]) for each in logs] == [(UNAVAILABLE, str(path))]
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.parametrize("break_file", [empty_pages, cut_off])
def test_a_damaged_file_does_not_stop_the_exporter(break_file: Callable[[Path], None], tmp_path: Path) -> None:
    """The damage may be found late."""
    path = tmp_path / "history.sqlite"
    break_file(path)
    with capture_logs() as logs:
        asyncio.run(uses_memory(path))
    assert [(each["event"], each["path"]) for each in logs] == [(UNAVAILABLE, str(path))]


async def uses_memory(path: Path) -> None:
    async with storage(path) as (history, health):
        record(history, sequence(failing(), start=10))
        record(history, sequence(failing(), start=20))
        assert (minute(20), None) in await times(history)
        assert await history.recall([EXAMPLE])
        assert not health.up


@pytest.mark.usefixtures("_retried_at_once")
async def test_what_was_kept_in_memory_is_moved_to_the_file(tmp_path: Path) -> None:
    """As soon as the file can be used. It begins where an incident of the file is still open."""
    path = tmp_path / "folder" / "history.sqlite"
    elsewhere = tmp_path / "elsewhere"
    path.parent.mkdir()
    async with history_of(*sequence(good(), failing()), path=path):
        pass
    path.parent.rename(elsewhere)
    async with storage(path) as (history, health):
        record(history, sequence(good(), failing(), good(), start=10))
        assert (await times(history), health.up) == ([(minute(11), minute(12))], False)
        elsewhere.rename(path.parent)
        assert await times(history) == [(minute(11), minute(12)), (minute(1), minute(11))]
        assert (health.up, health.size > 0) == (True, True)
        incident, _ = await history.incidents(EXAMPLE, ENDED_AT, 10)
        assert await history.first_failure(incident) is not None
    async with history_of(path=path, now=minute(13)) as history:
        assert await times(history) == [(minute(11), minute(12)), (minute(1), minute(11))]
        assert sum(each.full for each in (await history.strips(EXAMPLE))[0].counts) == 3


async def test_an_earlier_schema_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it contains is kept."""
    path = tmp_path / "history.sqlite"
    async with history_of(*sequence(failing(), good()), path=path):
        pass
    migrated = (*schema._MIGRATIONS, "ALTER TABLE incidents ADD COLUMN note TEXT; CREATE TABLE notes (text TEXT)")
    monkeypatch.setattr(schema, "_MIGRATIONS", migrated)
    async with storage(path) as (history, health):
        assert (await times(history), health.up) == ([(minute(0), minute(1))], True)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.sqlite"
    fill(path)
    monkeypatch.setattr(schema, "_MIGRATIONS", (*schema._MIGRATIONS, "CREATE TABLE notes (text TEXT); NONSENSE"))
    with pytest.raises(sqlite3.OperationalError):
        Database.in_file(path, report_json)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'notes'").fetchone() == (0,)


# ---------------------------------------------------------------- disks

DISK = Path("/mnt")
FILE = DISK / "history.sqlite"
SMALL_DISK = f"mount -t tmpfs -o size=1m none {DISK}"


@pytest.mark.system("unshare")
@pytest.mark.parametrize("fault", ["full_disk", "read_only_disk"])
def test_a_disk_that_cannot_be_written_to(fault: str) -> None:
    """What happens meanwhile is kept in memory, and is in the file once it can be written to again."""
    code = f"import asyncio; from tests.history import test_faults as faults; asyncio.run(faults.{fault}())"
    assert run_python_with_mounts(code, [SMALL_DISK]).endswith("incidents on disk: all")


async def full_disk() -> None:
    """Runs on a small disk of its own."""
    resilient._RETRY_SECONDS = 0.0
    async with storage(FILE) as (history, health):
        happened = await record_incident(history, 0)
        ballast = DISK / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        while health.up:
            happened = await record_incident(history, happened)
        happened = await record_incident(history, happened)
        ballast.unlink()
        assert await shown(history, health) == (happened, True)
    await print_incidents(happened)


async def read_only_disk() -> None:
    """Runs on a small disk of its own."""
    resilient._RETRY_SECONDS = 0.0
    async with storage(FILE) as (history, _):
        happened = await record_incident(history, 0)
    await remount("ro")
    async with storage(FILE) as (history, health):
        happened = await record_incident(history, happened)
        assert await shown(history, health) == (1, False)  # SQLite cannot read a write-ahead log there
        await remount("rw")
        assert await shown(history, health) == (happened, True)
    await print_incidents(happened)


async def remount(mode: str) -> None:
    process = await asyncio.create_subprocess_exec(program("mount"), "-o", f"remount,{mode}", DISK)
    assert await process.wait() == 0


async def shown(history: Storage, health: Health) -> tuple[int, bool]:
    """Return how many incidents there are, and whether the file can be used."""
    return len(await history.incidents(EXAMPLE, ENDED_AT, 10_000)), health.up


async def record_incident(history: Storage, number: int) -> int:
    """Record one more incident than `number`, and return how many there are."""
    record(history, sequence(failing(), good(), start=2 * number))
    await history.recall([EXAMPLE])
    return number + 1


async def print_incidents(happened: int) -> None:
    async with storage(FILE) as (history, health):
        found, _ = await shown(history, health)
    print("incidents on disk:", "all" if found == happened else f"{found} of {happened}")  # noqa: T201 - for the test
