"""What a scrape says of servers whose reports were built by hand."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry

from exporter.metrics.exposition import expose, render_lines
from exporter.model.report import Report
from exporter.model.servers import WatchedServer
from exporter.reports.board import Board
from tests.sample_reports import ENDED_AT

OPENMETRICS = "application/openmetrics-text"


def board_of(watched: Iterable[WatchedServer], *reports: Report, at: datetime = ENDED_AT) -> Board:
    board = Board(render_lines, lambda: at)
    board.watch(watched)
    for report in reports:
        assert board.put(report)
    return board


def text_of(board: Board, accept: str | None = None) -> str:
    """The servers alone, without the exporter's own series."""
    return b"".join(expose(board.snapshot(), CollectorRegistry(), accept).chunks).decode()


def samples_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]
