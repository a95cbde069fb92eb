"""`python -m tests.history.flapping FILE FIRST`: records results of servers that come and go, as fast as it can.

It prints `begun N` before it records round N, and `kept N` once it has read what that round added to the history.
"""

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from exporter.config import StorageSettings
from exporter.history.storage.storage import Storage
from exporter.model import names
from exporter.reports.board import Board, RenderedLines
from exporter.reports.report_json import report_json
from tests.sample_reports import ENDED_AT, delegated_by_well_known, expired_certificate, watched_server

SERVERS = tuple(f"server-{number}.example.org" for number in range(100))
ROUNDS_PER_READ = 3


def at(number: int) -> datetime:
    """Return the time of a round."""
    return ENDED_AT + timedelta(seconds=number)


def fails(server: int, number: int) -> bool:
    """Return whether a server fails in a round. Each of them has a rhythm of its own."""
    return number // (server % 10 + 1) % 2 == 1


async def flap(path: Path, first: int) -> None:
    history = Storage(report_json, lambda: datetime.now(UTC))
    async with history.open(StorageSettings(path)):
        board = Board(lambda _: RenderedLines(b"", ()), lambda: ENDED_AT, history.record)
        watched = [watched_server(server) for server in SERVERS]
        board.add(watched, await history.recall(board.new_among(watched)))
        for number in count(first):
            print("begun", number, flush=True)  # noqa: T201 - for the test
            for server, name in enumerate(SERVERS):
                report = expired_certificate() if fails(server, number) else delegated_by_well_known()
                board.put(replace(report, server_name=names.parse(name), ended_at=at(number)))
            if number % ROUNDS_PER_READ == 0:
                await history.incidents(None, ENDED_AT, 1)
                print("kept", number, flush=True)  # noqa: T201 - for the test
            await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(flap(Path(sys.argv[1]), int(sys.argv[2])))
