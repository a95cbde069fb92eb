"""`kill -9` in the middle of writes: what was acknowledged is there, once, with the right times."""

import os
import random
import sqlite3
import sys
from collections import defaultdict
from contextlib import closing
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from exporter.history.incidents import Incident
from tests.histories import history_of
from tests.history import flapping
from tests.history.flapping import SERVERS, at, fails
from tests.sample_reports import ENDED_AT

KILLS = int(os.environ.get("KILLS", "10"))
ROOT = Path(__file__).parents[2]


def run_until_killed(path: Path, first: int, rounds: int) -> tuple[int, int]:
    """Run the writer from a round on, and kill it some rounds later, in the middle of one. Return the latest round
    whose results it was told were kept, and the latest that it began.
    """
    command = [sys.executable, "-m", flapping.__name__, str(path), str(first)]
    kept = begun = first - 1
    with Popen(command, stdout=PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        for line in process.stdout:
            word, number = line.split()
            kept, begun = (int(number), begun) if word == "kept" else (kept, int(number))
            if begun == first + rounds:
                process.kill()
    assert process.returncode == -9
    return kept, begun


@pytest.mark.subprocess
async def test_a_killed_exporter_loses_nothing_that_it_has_shown(tmp_path: Path) -> None:
    """Incidents whose beginning and end were kept are there once, and no others. One that a kill interrupted lasts from
    the first failing result that was kept to the first good one.
    """
    path = tmp_path / "history.sqlite"
    lost: set[int] = set()
    first = 0
    for kill in range(KILLS):
        kept, begun = run_until_killed(path, first, random.Random(kill).randrange(1, 30))
        lost |= set(range(kept + 1, begun + 1))
        first = begun + 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    async with history_of(path=path) as history:
        found = defaultdict(list)
        for incident in await history.incidents(None, ENDED_AT, 100_000):
            found[incident.server_name.text].append(incident)
    assert found.keys() == set(SERVERS)
    for number, server in enumerate(SERVERS):
        check(number, list(reversed(found[server])), first, lost)


def check(number: int, incidents: list[Incident], rounds: int, lost: set[int]) -> None:
    """Compare the incidents of a server with its results. Those of a round that was lost may have been kept."""
    ended: list[datetime | None] = []
    for incident in incidents:
        began = next(each for each in range(rounds) if at(each) == incident.began)
        assert fails(number, began)
        assert began == 0 or not fails(number, began - 1) or began - 1 in lost
        ended.append(incident.ended)
        last = next((each for each in range(rounds) if at(each) == incident.ended), rounds)
        assert last == rounds or not fails(number, last)
        between = set(range(began, last)) - lost
        assert all(fails(number, each) for each in between)
    assert all(each.ended and each.ended <= later.began for each, later in pairwise(incidents))
    covered = [(each.began, each.ended) for each in incidents]
    for each in set(range(rounds)) - lost:
        inside = any(began <= at(each) and (end is None or at(each) < end) for began, end in covered)
        assert inside is fails(number, each)
