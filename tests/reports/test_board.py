from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from exporter.judging.warnings import WarningName
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.enums import Method, Stage
from exporter.model.outcomes import Failed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import DeepLook, EndpointDeepLook, Report
from exporter.model.routes import Route
from exporter.reports.board import Board, RenderedLines, RenderedState, Snapshot
from exporter.reports.server_state import FAILURES_KEPT, NEVER, RESULTS_KEPT, Result, ServerState
from tests.sample_reports import (
    ENDED_AT,
    MATRIX_443,
    delegated_by_well_known,
    expired_certificate,
    healthy_at,
    nothing_resolved,
    two_families,
    watched_server,
    with_deep_look,
    with_endpoints,
)

EXAMPLE = names.parse("example.org")
LATER = ENDED_AT + timedelta(minutes=5)


def drawn(state: ServerState) -> RenderedLines:
    return (f"{state.watched.server_name} {state.watched.interval:g} {state.probes}".encode(),)


@pytest.fixture
def board() -> Board:
    board = Board(drawn, lambda: ENDED_AT)
    board.watch([watched_server("example.org"), watched_server("gone.example.org")])
    return board


def standing_of(board: Board) -> ServerState:
    state = board.state(EXAMPLE)
    assert state is not None
    return state


def leading_to(method: Method, *targets: Target) -> Report:
    return replace(delegated_by_well_known(), route=Route(method, targets, "example.org", "example.org", "example.org"))


def changes(board: Board, *reports: Report) -> Iterator[int]:
    for report in reports:
        assert board.put(report)
        yield standing_of(board).delegation_changes


def test_begins_with_nothing_known(board: Board) -> None:
    """A server that was never probed stands on the board, and is never fresh."""
    first, second = (ServerState(watched_server(name)) for name in ("example.org", "gone.example.org"))
    assert board.snapshot() == Snapshot(
        ENDED_AT,
        (
            RenderedState(first, (b"example.org 300 0",), NEVER),
            RenderedState(second, (b"gone.example.org 300 0",), NEVER),
        ),
    )


def test_remembers_the_latest_report(board: Board) -> None:
    """The first result sets the counters out."""
    report = delegated_by_well_known()
    assert board.put(report)
    assert standing_of(board) == ServerState(
        watched_server("example.org"),
        report,
        last_success=ENDED_AT,
        probes=1,
        failures=0,
        delegation_changes=0,
        delegated=(Method.WELL_KNOWN_PORT, frozenset({MATRIX_443})),
        well_known_last_seen=ENDED_AT,
        history=(Result(ENDED_AT, 0.25, federates=True, problems=()),),
    )


def test_counts_failures_and_keeps_the_last_success(board: Board) -> None:
    """A failure after a success leaves the time of that success."""
    failed = replace(expired_certificate(), server_name=EXAMPLE, ended_at=LATER)
    board.put(delegated_by_well_known())
    board.put(failed)
    state = standing_of(board)
    assert (state.report, state.probes, state.failures) == (failed, 2, 1)
    assert state.last_success == ENDED_AT


def test_has_no_success_before_the_first(board: Board) -> None:
    """A server that never succeeded has no time of success."""
    board.put(replace(expired_certificate(), server_name=EXAMPLE))
    assert standing_of(board).last_success is None


def test_remembers_the_last_results_and_failures() -> None:
    """So many and no more, the newest first; failures are not pushed out by successes."""
    failed = [replace(expired_certificate(), ended_at=minute(number)) for number in range(FAILURES_KEPT + 1)]
    succeeded = [replace(delegated_by_well_known(), ended_at=minute(60 + number)) for number in range(RESULTS_KEPT)]
    state = ServerState(watched_server("example.org"))
    for report in (*failed, *succeeded):
        state = state.with_report(report)
    assert state.history == tuple(
        Result(report.ended_at, 0.25, federates=True, problems=()) for report in reversed(succeeded)
    )
    why = ((Stage.TLS, Reason.CERTIFICATE_EXPIRED),)
    assert state.last_failures == tuple(
        Result(report.ended_at, 0.25, federates=False, problems=why) for report in reversed(failed[1:])
    )


def minute(number: int) -> datetime:
    return ENDED_AT + timedelta(minutes=number)


def test_a_result_names_each_reason_once_a_stage() -> None:
    """However many endpoints fail for it."""
    state = ServerState(watched_server("dual.example.org")).with_report(two_families())
    assert state.history[0].problems == (
        (Stage.WELL_KNOWN, Reason.HTTP_STATUS),
        (Stage.TCP, Reason.CONNECT_REFUSED),
    )


def test_remembers_when_a_well_known_was_last_seen() -> None:
    """And warns where it is gone, for as long as peers may remember it too."""
    state = ServerState(watched_server("example.org")).with_report(delegated_by_well_known())
    gone = replace(delegated_by_well_known(), well_known=nothing_resolved().well_known)
    hours = [1, 47, 49]
    lost = []
    for later in hours:
        state = state.with_report(replace(gone, ended_at=ENDED_AT + timedelta(hours=later)))
        lost.append(WarningName.DELEGATION_LOST in {located.warning for located in state.warnings()})
    assert (state.well_known_last_seen, lost) == (ENDED_AT, [True, True, False])


def test_warns_of_nothing_before_the_first_result() -> None:
    assert ServerState(watched_server("example.org")).warnings() == ()


# ---------------------------------------------------------------- the deep look


def test_keeps_what_a_deep_look_found_until_the_next() -> None:
    """Also where the probes in between did not reach the endpoint."""
    problem = Problem(Reason.PATH_DECODED, "decoded")
    state = ServerState(watched_server("example.org")).with_report(with_deep_look(problem))
    for report in (delegated_by_well_known(), expired_certificate(), delegated_by_well_known()):
        state = state.with_report(report)
        assert state.report is not None
        assert state.report.deep == with_deep_look().deep
        assert [endpoint.deep for endpoint in state.report.endpoints] == [EndpointDeepLook(Failed(0.05, (problem,)))]
        assert (Stage.PROXY, Reason.PATH_DECODED) in state.history[0].problems
    mended = replace(with_deep_look(), deep=DeepLook(LATER, {}, None))
    assert state.with_report(mended).report == mended


def test_an_endpoint_that_is_gone_takes_its_finding_with_it() -> None:
    """And a new one has none before it is looked at."""
    moved = with_endpoints(healthy_at("192.0.2.9"))
    state = ServerState(watched_server("example.org")).with_report(with_deep_look()).with_report(moved)
    assert state.report == replace(moved, deep=with_deep_look().deep)


def test_a_report_without_an_earlier_one_stays_as_it_is() -> None:
    assert delegated_by_well_known().with_deep_look_from(None) == delegated_by_well_known()
    assert delegated_by_well_known().with_deep_look_from(delegated_by_well_known()) == delegated_by_well_known()


# ---------------------------------------------------------------- counters and reloads


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
    board.watch([watched_server("gone.example.org")])
    assert not board.put(delegated_by_well_known())
    assert board.state(EXAMPLE) is None
    assert [rendered.lines for rendered in board.snapshot().states] == [(b"gone.example.org 300 0",)]


def test_forgets_a_server_that_comes_back(board: Board) -> None:
    """Its counters begin anew."""
    board.put(delegated_by_well_known())
    board.watch([])
    board.watch([watched_server("example.org")])
    assert standing_of(board) == ServerState(watched_server("example.org"))


def test_servers_that_stay_keep_their_results(board: Board) -> None:
    """They are not even drawn again where nothing about them changed."""
    board.put(delegated_by_well_known())
    (before, _) = board.snapshot().states
    board.watch([watched_server("new.example.org"), watched_server("example.org")])
    (_, after) = board.snapshot().states
    assert after is before


def test_a_new_interval_is_drawn_at_once(board: Board) -> None:
    """A reload need not wait for the next probe; the results stay."""
    board.put(delegated_by_well_known())
    board.watch([watched_server("example.org", interval=3600)])
    (rendered,) = board.snapshot().states
    assert rendered.lines == (b"example.org 3600 1",)
    assert rendered.fresh_until == ENDED_AT + timedelta(hours=3)


@pytest.mark.parametrize(
    ("interval", "fresh_for"),
    [(10, timedelta(minutes=5)), (100, timedelta(minutes=5)), (101, timedelta(seconds=303))],
)
def test_a_result_is_fresh_for_three_intervals(interval: float, fresh_for: timedelta) -> None:
    """And for five minutes at least."""
    state = ServerState(watched_server("example.org", interval)).with_report(delegated_by_well_known())
    assert state.fresh_until == ENDED_AT + fresh_for


def test_a_snapshot_does_not_change(board: Board) -> None:
    """A scrape that is under way is not disturbed by results and reloads."""
    snapshot = board.snapshot()
    before = list(snapshot.states)
    board.put(nothing_resolved())
    board.watch([])
    assert list(snapshot.states) == before
