from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from exporter import names
from exporter.board import NEVER, Board, Lines, Posted, Snapshot, Standing
from exporter.model import Method, Report, Route, Target
from tests.reports import ENDED_AT, MATRIX_443, delegated_by_well_known, expired_certificate, nothing_resolved, watched

EXAMPLE = names.parse("example.org")
LATER = ENDED_AT + timedelta(minutes=5)


def drawn(standing: Standing) -> Lines:
    return (f"{standing.watched.server_name} {standing.watched.interval:g} {standing.probes}".encode(),)


@pytest.fixture
def board() -> Board:
    board = Board(drawn, lambda: ENDED_AT)
    board.watch([watched("example.org"), watched("gone.example.org")])
    return board


def standing_of(board: Board) -> Standing:
    standing = board.standing(EXAMPLE)
    assert standing is not None
    return standing


def leading_to(method: Method, *targets: Target) -> Report:
    return replace(delegated_by_well_known(), route=Route(method, targets, "example.org", "example.org", "example.org"))


def changes(board: Board, *reports: Report) -> Iterator[int]:
    for report in reports:
        assert board.put(report)
        yield standing_of(board).delegation_changes


def test_begins_with_nothing_known(board: Board) -> None:
    """A server that was never probed stands on the board, and is never fresh."""
    first, second = (Standing(watched(name)) for name in ("example.org", "gone.example.org"))
    assert board.snapshot() == Snapshot(
        ENDED_AT,
        (Posted(first, (b"example.org 300 0",), NEVER), Posted(second, (b"gone.example.org 300 0",), NEVER)),
    )


def test_remembers_the_latest_report(board: Board) -> None:
    """The first result sets the counters out."""
    report = delegated_by_well_known()
    assert board.put(report)
    assert standing_of(board) == Standing(
        watched("example.org"),
        report,
        last_success=ENDED_AT,
        probes=1,
        failures=0,
        delegation_changes=0,
        delegated=(Method.WELL_KNOWN_PORT, frozenset({MATRIX_443})),
    )


def test_counts_failures_and_keeps_the_last_success(board: Board) -> None:
    """A failure after a success leaves the time of that success."""
    failed = replace(expired_certificate(), server_name=EXAMPLE, ended_at=LATER)
    board.put(delegated_by_well_known())
    board.put(failed)
    standing = standing_of(board)
    assert (standing.report, standing.probes, standing.failures) == (failed, 2, 1)
    assert standing.last_success == ENDED_AT


def test_has_no_success_before_the_first(board: Board) -> None:
    """A server that never succeeded has no time of success."""
    board.put(replace(expired_certificate(), server_name=EXAMPLE))
    assert standing_of(board).last_success is None


def test_counts_changes_of_method_and_targets(board: Board) -> None:
    """Another method or another set of targets is a change; another order is none."""
    one, two = Target("one.example.org", 8448), Target("two.example.org", 8448)
    reports = (
        leading_to(Method.SRV_FED, one, two),
        leading_to(Method.SRV_FED, two, one),
        leading_to(Method.SRV_FED, one),
        leading_to(Method.SRV_LEGACY, one),
    )
    assert list(changes(board, *reports)) == [0, 0, 1, 2]


def test_a_failed_lookup_is_no_change(board: Board) -> None:
    """What counts is the latest delegation that led anywhere."""
    one, two = Target("one.example.org", 8448), Target("two.example.org", 8448)
    reports = (
        leading_to(Method.SRV_FED),
        leading_to(Method.SRV_FED, one),
        leading_to(Method.SRV_FED),
        leading_to(Method.SRV_FED, one),
        leading_to(Method.SRV_FED),
        leading_to(Method.SRV_FED, two),
    )
    assert list(changes(board, *reports)) == [0, 0, 0, 0, 0, 1]


def test_refuses_a_server_that_is_not_watched(board: Board) -> None:
    """A probe that outlives the removal of its server brings no ghost series back."""
    board.watch([watched("gone.example.org")])
    assert not board.put(delegated_by_well_known())
    assert board.standing(EXAMPLE) is None
    assert [posted.lines for posted in board.snapshot().posted] == [(b"gone.example.org 300 0",)]


def test_forgets_a_server_that_comes_back(board: Board) -> None:
    """Its counters begin anew."""
    board.put(delegated_by_well_known())
    board.watch([])
    board.watch([watched("example.org")])
    assert standing_of(board) == Standing(watched("example.org"))


def test_servers_that_stay_keep_their_results(board: Board) -> None:
    """They are not even drawn again where nothing about them changed."""
    board.put(delegated_by_well_known())
    (before, _) = board.snapshot().posted
    board.watch([watched("new.example.org"), watched("example.org")])
    (_, after) = board.snapshot().posted
    assert after is before


def test_a_new_interval_is_drawn_at_once(board: Board) -> None:
    """A reload need not wait for the next probe; the results stay."""
    board.put(delegated_by_well_known())
    board.watch([watched("example.org", interval=3600)])
    (posted,) = board.snapshot().posted
    assert posted.lines == (b"example.org 3600 1",)
    assert posted.fresh_until == ENDED_AT + timedelta(hours=3)


@pytest.mark.parametrize(
    ("interval", "fresh_for"),
    [(10, timedelta(minutes=5)), (100, timedelta(minutes=5)), (101, timedelta(seconds=303))],
)
def test_a_result_is_fresh_for_three_intervals(interval: float, fresh_for: timedelta) -> None:
    """And for five minutes at least."""
    standing = Standing(watched("example.org", interval)).after(delegated_by_well_known())
    assert standing.fresh_until == ENDED_AT + fresh_for


def test_a_snapshot_does_not_change(board: Board) -> None:
    """A scrape that is under way is not disturbed by results and reloads."""
    snapshot = board.snapshot()
    before = list(snapshot.posted)
    board.put(nothing_resolved())
    board.watch([])
    assert list(snapshot.posted) == before
