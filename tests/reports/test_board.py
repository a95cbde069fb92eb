"""The board and the states of servers: what they keep of reports, and what they count."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from exporter.history.changes import Subject, observe
from exporter.history.memory import ServerMemory
from exporter.history.results import Result, Results
from exporter.judging.verdict import Federation
from exporter.judging.warnings import WarningName
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.enums import Method, Stage
from exporter.model.outcomes import Failed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import DeepLook, EndpointDeepLook, Report
from exporter.model.routes import Route
from exporter.reports.board import Board, RenderedLines
from exporter.reports.server_state import FAILURES_KEPT, NEVER, RESULTS_KEPT, ServerState
from tests.sample_reports import (
    ENDED_AT,
    behind_expired_certificate,
    delegated_by_well_known,
    expired_certificate,
    failed_srv_lookup,
    faults_in_deep_look,
    healthy_at,
    nothing_resolved,
    two_families,
    watched_server,
    with_deep_look,
    with_endpoints,
    with_outbound,
)

EXAMPLE = names.parse("example.org")
REPORTS = [
    *(delegated_by_well_known(), expired_certificate(), nothing_resolved(), two_families(), failed_srv_lookup()),
    *(faults_in_deep_look(), with_deep_look(Problem(Reason.NOT_FORWARDED, "a detail")), behind_expired_certificate()),
    *(with_outbound(), with_outbound(Problem(Reason.NOT_FORWARDED, "a detail"))),
]
LATER = ENDED_AT + timedelta(minutes=5)


def lines_of(text: str) -> RenderedLines:
    return RenderedLines(b"", (text.encode(),))


def render(state: ServerState) -> RenderedLines:
    return lines_of(f"{state.watched.server_name} {state.watched.interval:g} {state.probes}")


@pytest.fixture
def board() -> Board:
    board = Board(render, lambda: ENDED_AT)
    board.watch([watched_server("example.org"), watched_server("gone.example.org")])
    return board


def lines_on(board: Board) -> list[str]:
    return [rendered.families[0].decode() for rendered in board.snapshot().states]


def state_of(board: Board) -> ServerState:
    state = board.state(EXAMPLE)
    assert state is not None
    return state


def with_route(method: Method, *targets: Target) -> Report:
    return replace(delegated_by_well_known(), route=Route(method, targets, "example.org", "example.org", "example.org"))


def delegation_changes(board: Board, *reports: Report) -> Iterator[int]:
    """Put the reports on the board, and yield the counter after each of them."""
    for report in reports:
        assert board.put(report)
        yield state_of(board).change_counts.get(Subject.DELEGATION, 0)


def test_a_new_server_has_an_empty_state(board: Board) -> None:
    """It is on the board before its first probe, and its state is stale."""
    first, second = (ServerState(watched_server(name)) for name in ("example.org", "gone.example.org"))
    snapshot = board.snapshot()
    assert snapshot.taken_at == ENDED_AT
    assert [rendered.state for rendered in snapshot.states] == [first, second]
    assert lines_on(board) == ["example.org 300 0", "gone.example.org 300 0"]
    assert {rendered.fresh_until for rendered in snapshot.states} == {NEVER}


def test_a_report_becomes_the_state(board: Board) -> None:
    """The first report sets every field of the state."""
    report = delegated_by_well_known()
    observed, _ = observe({}, report)
    assert board.put(report)
    assert state_of(board) == ServerState(
        watched_server("example.org"),
        ServerMemory(Federation.FULL, since=ENDED_AT, well_known_last_seen=ENDED_AT, observed=observed),
        report,
        Federation.FULL,
        last_success=ENDED_AT,
        probes=1,
        failures=0,
        history=Results().with_newest(
            Result(ENDED_AT, 0.25, federates=True, federation=Federation.FULL, problems=()), 1
        ),
    )


@pytest.mark.parametrize("report", REPORTS, ids=range(len(REPORTS)))
def test_a_state_is_read_as_it_was_put(board: Board, report: Report) -> None:
    """It is packed meanwhile. The board remembers the state that was read last, but a snapshot does not."""
    expected = ServerState(watched_server("example.org")).with_report(replace(report, server_name=EXAMPLE))
    board.put(replace(report, server_name=EXAMPLE))
    assert [state_of(board), board.snapshot().states[0].state] == [expected] * 2


def test_all_states_share_the_settings_of_their_server(board: Board) -> None:
    watched = watched_server("example.org", interval=60.0)
    board.watch([watched])
    board.put(delegated_by_well_known())
    (rendered,) = board.snapshot().states
    assert rendered.watched is rendered.state.watched is watched


def test_failures_are_counted(board: Board) -> None:
    """A failure does not change the time of the last success."""
    failed = replace(expired_certificate(), server_name=EXAMPLE, ended_at=LATER)
    board.put(delegated_by_well_known())
    board.put(failed)
    state = state_of(board)
    assert (state.report, state.probes, state.failures) == (failed, 2, 1)
    assert state.last_success == ENDED_AT


def test_a_server_that_never_succeeded_has_no_last_success(board: Board) -> None:
    """The time of the last success stays unknown after a failure."""
    board.put(replace(expired_certificate(), server_name=EXAMPLE))
    assert state_of(board).last_success is None


def test_the_history_is_bounded() -> None:
    """The newest results are first, and successes do not displace failures."""
    failed = [replace(expired_certificate(), ended_at=minute(number)) for number in range(FAILURES_KEPT + 1)]
    succeeded = [replace(delegated_by_well_known(), ended_at=minute(60 + number)) for number in range(RESULTS_KEPT)]
    state = ServerState(watched_server("example.org"))
    for report in (*failed, *succeeded):
        state = state.with_report(report)
    assert tuple(state.history) == tuple(
        Result(report.ended_at, 0.25, federates=True, federation=Federation.FULL, problems=())
        for report in reversed(succeeded)
    )
    why = ((Stage.TLS, Reason.CERTIFICATE_EXPIRED),)
    assert tuple(state.last_failures) == tuple(
        Result(report.ended_at, 0.25, federates=False, federation=Federation.NONE, problems=why)
        for report in reversed(failed[1:])
    )


def minute(number: int) -> datetime:
    return ENDED_AT + timedelta(minutes=number)


def test_a_result_has_each_reason_once_per_stage() -> None:
    """Several endpoints may fail for the same reason."""
    state = ServerState(watched_server("dual.example.org")).with_report(two_families())
    assert state.history[0].problems == (
        (Stage.WELL_KNOWN, Reason.HTTP_STATUS),
        (Stage.TCP, Reason.CONNECT_REFUSED),
    )


def test_a_lost_delegation_is_a_warning_for_48_hours() -> None:
    """Peers cache a well-known that long at most."""
    state = ServerState(watched_server("example.org")).with_report(delegated_by_well_known())
    gone = replace(delegated_by_well_known(), well_known=nothing_resolved().well_known)
    hours = [1, 47, 49]
    lost = []
    for later in hours:
        state = state.with_report(replace(gone, ended_at=ENDED_AT + timedelta(hours=later)))
        lost.append(WarningName.DELEGATION_LOST in {located.warning for located in state.warnings})
    assert (state.well_known_last_seen, lost) == (ENDED_AT, [True, True, False])


def test_a_server_without_a_report_has_no_warnings() -> None:
    """Warnings are about a report."""
    assert ServerState(watched_server("example.org")).warnings == ()


# ---------------------------------------------------------------- the deep look


def test_the_results_of_a_deep_look_are_kept_until_the_next_one() -> None:
    """They are kept even if a probe in between does not reach the endpoint."""
    problem = Problem(Reason.PATH_DECODED, "decoded")
    state = ServerState(watched_server("example.org")).with_report(with_deep_look(problem))
    for report in (delegated_by_well_known(), expired_certificate(), delegated_by_well_known()):
        state = state.with_report(report)
        assert state.report is not None
        assert state.report.deep == with_deep_look().deep
        assert [endpoint.deep for endpoint in state.report.endpoints] == [EndpointDeepLook(Failed(0.05, (problem,)))]
        assert (Stage.PROXY, Reason.PATH_DECODED) in state.history[0].problems
    repaired = replace(with_deep_look(), deep=DeepLook(LATER, {}, None))
    assert state.with_report(repaired).report == repaired


def test_a_removed_endpoint_loses_the_results_of_its_deep_look() -> None:
    """A new endpoint has none before the next deep look."""
    moved = with_endpoints(healthy_at("192.0.2.9"))
    state = ServerState(watched_server("example.org")).with_report(with_deep_look()).with_report(moved)
    assert state.report == replace(moved, deep=with_deep_look().deep)


def test_without_an_earlier_deep_look_a_report_is_unchanged() -> None:
    """There may be no earlier report, or an earlier report without a deep look."""
    assert delegated_by_well_known().with_looks_from(None) == delegated_by_well_known()
    assert delegated_by_well_known().with_looks_from(delegated_by_well_known()) == delegated_by_well_known()


# ---------------------------------------------------------------- counters and reloads


def test_changes_of_method_and_targets_are_counted(board: Board) -> None:
    """A different order of the targets is not a change."""
    one, two = Target("one.example.org", 8448), Target("two.example.org", 8448)
    reports = (
        with_route(Method.SRV_FED, one, two),
        with_route(Method.SRV_FED, two, one),
        with_route(Method.SRV_FED, one),
        with_route(Method.SRV_LEGACY, one),
    )
    assert list(delegation_changes(board, *reports)) == [0, 0, 1, 2]


def test_a_failed_lookup_is_not_a_change(board: Board) -> None:
    """A delegation is compared to the latest one that led to a target."""
    one, two = Target("one.example.org", 8448), Target("two.example.org", 8448)
    reports = (
        with_route(Method.SRV_FED),
        with_route(Method.SRV_FED, one),
        with_route(Method.SRV_FED),
        with_route(Method.SRV_FED, one),
        with_route(Method.SRV_FED),
        with_route(Method.SRV_FED, two),
    )
    assert list(delegation_changes(board, *reports)) == [0, 0, 0, 0, 0, 1]


def test_a_well_known_that_does_not_answer_in_time_is_not_a_change(board: Board) -> None:
    """Peers that know the delegation keep to it. One that is broken is a change: they fall back."""
    delegated, fallback = delegated_by_well_known(), with_route(Method.DEFAULT_8448, Target("example.org", 8448))
    silent = replace(fallback, well_known=Failed(10.0, (Problem(Reason.HTTP_TIMEOUT, "no answer in time"),)))
    broken = replace(fallback, well_known=Failed(0.1, (Problem(Reason.NOT_JSON, "a web page"),)))
    assert list(delegation_changes(board, delegated, silent, delegated, broken)) == [0, 0, 0, 1]


def test_a_report_about_an_unwatched_server_is_refused(board: Board) -> None:
    """A probe that ends after the removal of its server must not bring its series back."""
    board.watch([watched_server("gone.example.org")])
    assert not board.put(delegated_by_well_known())
    assert board.state(EXAMPLE) is None
    assert lines_on(board) == ["gone.example.org 300 0"]


def test_a_server_that_is_watched_again_has_an_empty_state(board: Board) -> None:
    """Its counters start at 0 again."""
    board.put(delegated_by_well_known())
    board.watch([])
    board.watch([watched_server("example.org")])
    assert state_of(board) == ServerState(watched_server("example.org"))


def test_servers_that_remain_keep_their_results(board: Board) -> None:
    """If their settings are unchanged, their state is not rendered again."""
    board.put(delegated_by_well_known())
    (before, _) = board.snapshot().states
    board.watch([watched_server("new.example.org"), watched_server("example.org")])
    (_, after) = board.snapshot().states
    assert after is before


@pytest.mark.parametrize(
    ("names", "moved"),
    [
        (["a.test", "b.test", "c.test"], False),
        (["a.test", "c.test"], False),
        (["a.test", "b.test", "c.test", "d.test"], False),
        (["a.test", "d.test", "b.test", "c.test"], True),
        (["c.test", "a.test"], True),
        ([], False),
    ],
)
def test_servers_are_moved_only_if_their_order_changes(board: Board, names: list[str], moved: bool) -> None:  # noqa: FBT001
    """To remove servers and to add some at the end does not change it. Most reloads change nothing at all."""
    board.watch([watched_server(name) for name in ("a.test", "b.test", "c.test")])
    watched = [watched_server(name) for name in names]
    changes = board.snapshot().compare(watched)
    assert (changes.size, list(changes.order)) == (len(names), [each.server_name for each in watched] if moved else [])
    board.watch(watched)
    assert [each.watched for each in board.snapshot().states] == watched


def test_a_new_interval_is_rendered_immediately(board: Board) -> None:
    """It applies before the next probe, and the results remain."""
    board.put(delegated_by_well_known())
    board.watch([watched_server("example.org", interval=3600)])
    (rendered,) = board.snapshot().states
    assert rendered.families == (b"example.org 3600 1",)
    assert rendered.fresh_until == ENDED_AT + timedelta(hours=3)


@pytest.mark.parametrize(
    ("interval", "fresh_for"),
    [(10, timedelta(minutes=5)), (100, timedelta(minutes=5)), (101, timedelta(seconds=303))],
)
def test_a_result_is_fresh_for_three_intervals(interval: float, fresh_for: timedelta) -> None:
    """It is fresh for at least five minutes."""
    state = ServerState(watched_server("example.org", interval)).with_report(delegated_by_well_known())
    assert state.fresh_until == ENDED_AT + fresh_for


def test_a_snapshot_does_not_change(board: Board) -> None:
    """Reports and reloads do not affect a scrape in progress."""
    snapshot = board.snapshot()
    before = list(snapshot.states)
    board.put(nothing_resolved())
    board.watch([])
    assert list(snapshot.states) == before


def test_repr_counts_the_servers(board: Board) -> None:
    """It shows how many of them have a report."""
    board.put(delegated_by_well_known())
    assert repr(board) == "<Board 2 servers, 1 with a report>"
