"""How the board comes to watch other servers, in small steps."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from exporter.app import board_changes
from exporter.history.memory import ServerMemory
from exporter.metrics.exposition import render_lines
from exporter.model.names import ServerName
from exporter.reports.board import Board
from tests.sample_reports import watched_server


async def nothing_is_remembered(_: Sequence[ServerName]) -> dict[ServerName, ServerMemory]:
    return {}


async def test_the_servers_are_in_the_new_order_after_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some are removed and some are new, and more are moved than in one step."""
    monkeypatch.setattr(board_changes, "_MOVED_BATCH", 2)
    board = Board(render_lines, lambda: datetime.now(UTC))
    board.watch([watched_server(f"s{number}.test") for number in range(8)])
    watched = [watched_server(f"s{number}.test") for number in (9, 7, 2, 8, 1, 3)]
    await board_changes.apply(board.snapshot().compare(watched), board, nothing_is_remembered)
    assert [each.watched for each in board.snapshot().states] == watched
