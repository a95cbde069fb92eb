"""How many series a server has: the table in docs/scaling.md, from the reports that benchmarks use."""

from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from exporter.metrics.exposition import Selection, expose
from exporter.metrics.families import METRIC_NAMES, PREFIX
from exporter.reports.board import Board
from tests.bench.generated_reports import generate_reports, generate_servers
from tests.scrapes import board_of, samples_of

SCALING: Final = Path(__file__).parents[2] / "docs" / "scaling.md"
DURATION, SUCCESS, CHANGES, SRV = (
    f"{PREFIX}{name}" for name in ("stage_duration_seconds", "stage_success", "changes_total", "srv_records")
)
SELECTIONS: Final = {
    "everything": Selection(),
    "without `stage_duration_seconds`": Selection(disabled=frozenset({DURATION})),
    "without `stage_duration_seconds` and `stage_success`": Selection(disabled=frozenset({DURATION, SUCCESS})),
    "without those two, `changes_total` and `srv_records`": Selection(
        disabled=frozenset({DURATION, SUCCESS, CHANGES, SRV})
    ),
    "`name[]` of `peer_success` and `probe_success`": Selection(
        frozenset({f"{PREFIX}peer_success", f"{PREFIX}probe_success"})
    ),
}


@pytest.fixture(scope="module")
def board() -> Board:
    """One healthy server with a well-known and one address."""
    servers = generate_servers(1)
    (report,) = generate_reports(servers)
    return board_of(servers, report, at=report.ended_at)


@pytest.mark.parametrize("row", SELECTIONS)
def test_the_table_of_series_is_true(board: Board, row: str) -> None:
    """Of one server, of 20,000, and how many samples a second these are if each is scraped every minute."""
    exposition = expose(board.snapshot(), CollectorRegistry(), None, SELECTIONS[row])
    of_one = len(samples_of(b"".join(exposition.chunks).decode()))
    of_all = of_one * 20_000
    assert f"| {row} | {of_one} | {of_all:,} | {round(of_all / 60):,} |" in SCALING.read_text()


def test_the_metrics_in_the_table_exist() -> None:
    """A metric that was renamed would select nothing."""
    named = {name for each in SELECTIONS.values() for name in each.disabled | (each.names or frozenset())}
    assert named <= set(METRIC_NAMES)
