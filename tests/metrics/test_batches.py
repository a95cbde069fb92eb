"""What was compressed of servers is kept until they change, and no longer."""

import gc
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from exporter.metrics import batches
from exporter.metrics.batches import RecentBatches
from exporter.metrics.exposition import render_lines
from exporter.metrics.families import FAMILIES
from exporter.reports.board import Board, RenderedState
from tests.sample_reports import ENDED_AT, delegated_by_well_known, watched_server

SERVERS = 10
FAMILY = next(index for index, family in enumerate(FAMILIES) if family.name == "probe_duration_seconds")


class Clock:
    now = ENDED_AT

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    """Ten servers in four batches."""
    board = Board(render_lines, clock)
    board.watch([watched_server(f"s{number}.example.org") for number in range(SERVERS)])
    for number in range(SERVERS):
        board.put(delegated_by_well_known(f"s{number}.example.org"))
    return board


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_SERVERS", 3)


def compressed(recent: RecentBatches, board: Board) -> list[object]:
    return [batch.deflated(FAMILY) for batch in recent.restore(board.snapshot())]


def kept(before: Iterable[object], after: Iterable[object]) -> list[bool]:
    return [each in [id(other) for other in before] for each in map(id, after)]


def test_nothing_is_compressed_again_if_nothing_has_changed(board: Board) -> None:
    recent = RecentBatches()
    before = compressed(recent, board)
    assert kept(before, compressed(recent, board)) == [True] * 4


def test_a_report_changes_the_batch_of_its_server(board: Board) -> None:
    recent = RecentBatches()
    before = compressed(recent, board)
    board.put(replace(delegated_by_well_known("s4.example.org"), seconds=7.0))
    after = compressed(recent, board)
    assert kept(before, after) == [True, False, True, True]
    assert b"7.0" in list(recent.restore(board.snapshot()))[1].lines(FAMILY)


def test_a_result_that_has_become_too_old_changes_its_batch(board: Board, clock: Clock) -> None:
    """Nothing was reported of the others either, but more lately."""
    recent = RecentBatches()
    clock.now += timedelta(days=1)
    for number in range(3, SERVERS):
        board.put(replace(delegated_by_well_known(f"s{number}.example.org"), ended_at=clock.now))
    clock.now -= timedelta(days=1)
    before = compressed(recent, board)
    clock.now += timedelta(days=1)
    assert kept(before, compressed(recent, board)) == [False, True, True, True]
    assert next(recent.restore(board.snapshot())).lines(FAMILY) == b""


def test_a_server_that_is_gone_or_new_moves_those_behind_it(board: Board) -> None:
    recent = RecentBatches()
    before = compressed(recent, board)
    board.watch([watched_server(f"s{number}.example.org") for number in range(SERVERS) if number != 5])
    assert kept(before, compressed(recent, board)) == [True, False, False]
    assert len(list(recent.restore(board.snapshot()))) == 3
    board.watch([])
    assert compressed(recent, board) == []


def test_states_that_were_replaced_are_not_kept(board: Board) -> None:
    """Otherwise, they would take memory until the next scrape."""
    recent = RecentBatches()
    compressed(recent, board)
    gc.collect()
    before = count_states()
    for number in range(SERVERS):
        board.put(delegated_by_well_known(f"s{number}.example.org"))
    assert count_states() == before


def count_states() -> int:
    return sum(isinstance(each, RenderedState) for each in gc.get_objects())
