"""What does one server cost while it waits for its next probe, and while Prometheus scrapes? For docs/scaling.md.

The reports are real ones of the lab's, copied under other names, each with objects of its own.
"""

import asyncio
import pickle
import resource
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from exporter import names
from exporter.board import Board
from exporter.config import load
from exporter.exposition import lines, scrape
from exporter.instruments import Instruments
from exporter.model import Report, Watched
from exporter.shards import Shard
from exporter.wiring import prober
from tests.bench.probing import probe_all
from tests.bench.processes import served_by
from tests.bench.tables import QUICK, show

PROBED = 100
SERVERS = 2_000 if QUICK else 20_000
LISTED = 200_000
SHARDS = 20


def main() -> None:
    board, instruments = Board(lines, lambda: datetime.now(UTC)), Instruments()
    reports = probed()
    watched = [Watched(names.parse(f"s{number}.example.org"), 300.0, None) for number in range(SERVERS)]
    board.watch(watched)
    before = resident()
    for server, report in zip(watched, copies(reports), strict=False):
        board.put(replace(report, server_name=server.server_name))
    kept = resident() - before
    started = time.perf_counter()
    text = b"".join(scrape(board, instruments, None, None).chunks)
    scraped = time.perf_counter() - started
    started = time.perf_counter()
    compressed = zlib.compress(text, 1)
    zipped = time.perf_counter() - started
    series = sum(1 for line in text.splitlines() if line.startswith(b"matrix_federation_"))
    show(
        f"scale: {SERVERS} servers with a report each, {LISTED} on a list",
        ["", ""],
        [
            ["resident memory of a server", f"{kept / SERVERS / 1024:.1f} KiB"],
            ["series of a server", f"{series / SERVERS:.1f}"],
            ["scrape, plain", f"{scraped:.2f} s, {len(text) / 2**20:.1f} MiB"],
            ["more for gzip", f"{zipped:.2f} s, {len(compressed) / 2**20:.2f} MiB"],
            ["one of 20 shards of the list", divided()],
        ],
    )


def probed() -> list[Report]:
    reports: list[Report] = []
    with served_by("tests.bench.lab", str(PROBED), "5m") as file:
        config = load(file)
        asyncio.run(probe_all(prober(config), [server.server_name for server in config.servers], 10, reports.append))
    return reports


def copies(reports: list[Report]) -> Iterator[Report]:
    pickled = [pickle.dumps(report) for report in reports]
    for number in range(SERVERS):
        yield pickle.loads(pickled[number % len(pickled)])


def divided() -> str:
    everyone = [Watched(names.parse(f"s{number}.example.org"), 300.0, None) for number in range(LISTED)]
    started = time.perf_counter()
    part = Shard(7, SHARDS).part(everyone)
    return f"{len(part)} servers, chosen in {time.perf_counter() - started:.2f} s"


def resident() -> int:
    """Bytes at the peak: nothing is given back in between."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
