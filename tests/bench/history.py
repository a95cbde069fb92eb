"""What a history of a year costs: the size of its file, the start, memory, and what pages read of it.

`python -m tests.bench.history MEMORY CONFIG` prints the resident memory of an exporter with a report of every server.
"""

import asyncio
import gc
import json
import random
import sqlite3
import sys
import time
from collections.abc import Awaitable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from subprocess import check_output
from tempfile import TemporaryDirectory

from exporter.app import App
from exporter.config import HostPort, StorageSettings, load
from exporter.demo.listener import LOOPBACK
from exporter.history.history import Entry
from exporter.history.incidents import Phase, PhaseProblem
from exporter.history.memory import ServerMemory
from exporter.history.storage.database import Database, size
from exporter.history.storage.encoding import encode_phases, encode_report, encode_time
from exporter.history.storage.storage import Storage
from exporter.history.strips import SCALES
from exporter.judging.verdict import Federation
from exporter.model.enums import Stage
from exporter.model.names import ServerName
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import WatchedServer
from exporter.reports.report_json import report_json
from exporter.reports.server_state import ServerState
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from tests.bench.app import NEVER_SECONDS, configuration
from tests.bench.generated_reports import ISSUERS, generate_reports, generate_servers
from tests.bench.handshakes import Handshakes
from tests.bench.processes import cpu_seconds_of, resident_bytes
from tests.bench.rows import QUICK, RUNS, Row, at_most, emit
from tests.bench.serving import serving

SERVERS = 2_000 if QUICK else 20_000
MONTHS = 12  # with an incident and two changes each
MICROSECOND = timedelta(microseconds=1)
RESULTS_A_DAY = 288
WRITTEN_AT_ONCE = 1000
NOW = datetime.now(UTC)
PAGE_READS = 200
RETENTION = "365d"
MEMORY = "memory"


def main() -> None:
    servers = generate_servers(SERVERS)
    with TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "history.sqlite"
        make_up_year(path, servers)
        without = write_config(Path(folder) / "without.json", servers)
        with_storage = write_config(
            Path(folder) / "with.json", servers, storage={"path": str(path), "retention": RETENTION}
        )
        emit(size_rows(path))
        emit(start_rows(without, with_storage))
        emit(memory_rows(without, with_storage))
        emit(asyncio.run(read_rows(path, servers, Handshakes())))


def write_config(file: Path, servers: Sequence[WatchedServer], **more: object) -> Path:
    file.write_text(json.dumps({**configuration(servers), **more}))
    return file


# ---------------------------------------------------------------- a year, made up

# Each server has a random time in every month, and in every half of one.
PUT_INCIDENTS = """
    WITH RECURSIVE months (month) AS (SELECT 0 UNION ALL SELECT month + 1 FROM months WHERE month + 1 < :months)
    INSERT INTO incidents (server, began, ended, phases)
    SELECT id, began, began + :lasted, :phases FROM (
        SELECT id, :now - month * :month - abs(random()) % :month AS began FROM months JOIN servers ORDER BY began
    )
"""
PUT_FIRST_FAILURES = """
    INSERT INTO first_failures (server, began, report) SELECT server, began, :report FROM incidents ORDER BY began
"""
PUT_CHANGES = """
    WITH RECURSIVE halves (half) AS (SELECT 0 UNION ALL SELECT half + 1 FROM halves WHERE half + 1 < :months * 2)
    INSERT INTO changes (server, at, subject, before, after)
    SELECT id, at, 'certificate', hex(randomblob(32)) || :issuer, hex(randomblob(32)) || :issuer FROM (
        SELECT id, :now - half * :month / 2 - abs(random()) % (:month / 2) AS at FROM halves JOIN servers ORDER BY at
    )
"""
PUT_RESULTS = "INSERT OR REPLACE INTO results SELECT :seconds, :bucket, id, :results, 0, 0, 0 FROM servers"


def make_up_year(path: Path, servers: Sequence[WatchedServer]) -> None:
    """Write the history of a year, in the order in which it would have been written."""
    reports = generate_reports(list(servers))
    database = Database.in_file(path, report_json)
    while batch := [entry_of(report) for report in islice(reports, WRITTEN_AT_ONCE)]:
        database.write(batch)
    database.close()
    failing = next(generate_reports(generate_servers(1)))
    problem = PhaseProblem(Stage.TLS, Reason.CERTIFICATE_EXPIRED, 1, 2)
    values = {
        "now": encode_time(NOW),
        "months": MONTHS,
        "month": timedelta(days=30) // MICROSECOND,
        "lasted": timedelta(minutes=20) // MICROSECOND,
        "phases": encode_phases((Phase(NOW, Federation.NONE, (problem,)),) * 2),
        "report": encode_report(report_json(failing)),
        "issuer": ISSUERS[0],
    }
    with sqlite3.connect(path) as connection:
        for statement in (PUT_INCIDENTS, PUT_FIRST_FAILURES, PUT_CHANGES):
            connection.execute(statement, values)
        for scale in SCALES:
            per_bucket = RESULTS_A_DAY * scale.bucket // timedelta(days=1)
            for bucket in scale.range(NOW):
                of_bucket = {"seconds": scale.bucket // timedelta(seconds=1), "bucket": bucket, "results": per_bucket}
                connection.execute(PUT_RESULTS, of_bucket)
    connection.close()


def entry_of(report: Report) -> Entry:
    state = ServerState(WatchedServer(report.server_name, 300)).with_report(report)
    return Entry(report.server_name, NOW, Federation.FULL, state.memory)


# ---------------------------------------------------------------- rows


def size_rows(path: Path) -> Iterator[Row]:
    yield Row.of(f"history: file of {SERVERS:,} servers after a year", size(path) / 2**20, "MiB", at_most(1024))


def start_rows(without: Path, with_storage: Path) -> Iterator[Row]:
    pairs = [(start(without), start(with_storage)) for _ in range(RUNS)]
    name = f"history: CPU of the start with {SERVERS:,} servers"
    yield Row.of(f"{name}, without a file", [before for before, _ in pairs], "s")
    ratios = [after / before for before, after in pairs]
    yield Row.of(f"{name}, with a file relative to without", ratios, "", at_most(1.5))


def start(file: Path) -> float:
    """Return how many seconds of CPU time the exporter takes until it is ready."""
    with serving(file) as exporter:
        return cpu_seconds_of(exporter.pid)


def memory_rows(without: Path, with_storage: Path) -> Iterator[Row]:
    pairs = [(memory(without), memory(with_storage)) for _ in range(RUNS)]
    more = [(after - before) / 1024 / SERVERS for before, after in pairs]
    name = "history: memory of a server"
    yield Row.of(f"{name}, without a file", [before / 1024 / SERVERS for before, _ in pairs], "KiB")
    yield Row.of(f"{name}, more with a file", more, "KiB", at_most(2))


def memory(config: Path) -> int:
    return int(check_output([sys.executable, "-m", __spec__.name, MEMORY, str(config)]))


async def print_memory(config: Path) -> None:
    """Print the resident memory in bytes, once there is a report of every server."""
    logs.configure(LogLevel.ERROR, LogFormat.LOGFMT)
    servers = list(load(config).servers)
    async with App(config, listen=[HostPort(LOOPBACK, 0)], first_round=NEVER_SECONDS) as app:
        for report in generate_reports(servers):
            app.board.put(report)
        await app.history.recall([servers[0].server_name])
        gc.collect()
        sys.stdout.write(f"{resident_bytes()}\n")


async def read_rows(path: Path, servers: Sequence[WatchedServer], handshakes: Handshakes) -> list[Row]:
    history = Storage(report_json, lambda: NOW)
    async with history.open(StorageSettings(path, retention=400 * 86400.0)):
        names = [server.server_name for server in random.Random(4).sample(list(servers), PAGE_READS)]
        one = [await cpu_of(page_of_one(history, name)) for name in names]
        every = [await cpu_of(page_of_all(history)) for _ in range(PAGE_READS)]
        waits = [await longest_wait(history, servers) for _ in range(RUNS)]
    return [
        handshakes.row("history: CPU of reading what the page of a server shows", one, at_most(6)),
        handshakes.row("history: CPU of reading the latest incidents and changes of all servers", every, at_most(6)),
        Row.of(f"history: longest wait of the event loop while {SERVERS:,} results are written", waits, "ms"),
    ]


async def cpu_of(work: Awaitable[None]) -> float:
    """Return the CPU seconds of the event loop and the thread of the storage together."""
    started = time.process_time()
    await work
    return time.process_time() - started


async def page_of_one(history: Storage, name: ServerName) -> None:
    incidents = await history.incidents(name, NOW - timedelta(days=365), 20)
    await history.changes(name, NOW - timedelta(days=365), 20)
    await history.strips(name)
    assert await history.first_failure(incidents[0])


async def page_of_all(history: Storage) -> None:
    assert len(await history.incidents(None, NOW - timedelta(days=365), 50)) == 50
    assert len(await history.changes(None, NOW - timedelta(days=365), 50)) == 50


async def longest_wait(history: Storage, servers: Sequence[WatchedServer]) -> float:
    """Return the longest time, in milliseconds, between two iterations of the event loop while the thread writes."""
    memory = ServerMemory(Federation.FULL, NOW)
    for server in servers:
        history.record(Entry(server.server_name, NOW, Federation.FULL, memory))
    written = asyncio.ensure_future(history.recall([servers[0].server_name]))
    longest, before = 0.0, time.monotonic()
    while not written.done():
        await asyncio.sleep(0)
        now = time.monotonic()
        longest, before = max(longest, now - before), now
    return longest * 1000


if __name__ == "__main__":
    if sys.argv[1:2] == [MEMORY]:
        asyncio.run(print_memory(Path(sys.argv[2])))
    else:
        main()
