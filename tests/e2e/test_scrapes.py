"""A real Prometheus scrapes many servers, most of which have not changed since its previous scrape."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.metrics.exposition import render_lines
from exporter.reports.board import Board
from tests.e2e.scraping import Prometheus, prometheus
from tests.sample_reports import delegated_by_well_known, watched_server
from tests.scrapes import samples_of, text_of
from tests.waiting import until_equal
from tests.web.serving import served

pytestmark = [pytest.mark.prometheus, pytest.mark.system("prometheus")]

NAMES = [f"s{number}.example.org" for number in range(600)]
SERIES = "matrix_federation_probe_duration_seconds"


async def test_prometheus_reads_all_series_of_every_scrape(tmp_path: Path) -> None:
    """It asks for gzip. Results that are new are in its next scrape, and so are all others."""
    board = Board(render_lines, lambda: datetime.now(UTC))
    board.watch(map(watched_server, NAMES))
    for name in NAMES:
        board.put(replace(delegated_by_well_known(name), ended_at=board.now()))
    async with served(board) as address, prometheus(tmp_path, [address]) as found:
        for seconds in (1.0, 2.0):
            board.put(replace(delegated_by_well_known(NAMES[300]), ended_at=board.now(), seconds=seconds))
            await until_equal(seconds, lambda: _duration(found, NAMES[300]))
            assert await _count(found) == len(samples_of(text_of(board)))


async def _duration(found: Prometheus, name: str) -> float | None:
    series = await found.now(f'{SERIES}{{server_name="{name}"}}')
    return float(series[0]["value"][1]) if series else None


async def _count(found: Prometheus) -> int:
    (series,) = await found.now('count({server_name!=""})')
    return int(series["value"][1])
