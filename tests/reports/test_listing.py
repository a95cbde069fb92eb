"""Which servers a list shows, and in which order; and what it shows of each."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.model import names
from exporter.model.enums import Stage
from exporter.model.report import Report
from exporter.reports import listing
from exporter.reports.board import RenderedLines, RenderedState, StatePacker
from exporter.reports.listing import Order, Query, select
from exporter.reports.server_state import ServerState
from exporter.reports.summary import State, summarize
from tests.sample_reports import (
    ENDED_AT,
    delegated_by_well_known,
    expired_certificate,
    faults_in_deep_look,
    two_families,
    watched_server,
)


def state_of(name: str, *reports: Report) -> ServerState:
    state = ServerState(watched_server(name))
    for report in reports:
        state = state.with_report(replace(report, server_name=names.parse(name)))
    return state


def listed(*states: ServerState) -> list[RenderedState]:
    packer = StatePacker()
    return [RenderedState.of(state, RenderedLines(b"", ()), packer) for state in states]


def later(report: Report, minutes: float) -> Report:
    return replace(report, ended_at=ENDED_AT + timedelta(minutes=minutes))


def shown(servers: Sequence[RenderedState], query: Query, start: int = 0, stop: int = 100) -> list[str]:
    return [each.summary.name for each in select(servers, query, start, stop).servers]


SERVERS = listed(
    state_of("good.example", later(delegated_by_well_known(), 1)),
    state_of("new.example"),
    state_of("old-failure.example", later(expired_certificate(), 0), later(expired_certificate(), 4)),
    state_of("fresh-failure.example", later(delegated_by_well_known(), 0), later(expired_certificate(), 3)),
    state_of("partial.example", later(faults_in_deep_look(), 2)),
)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.STATE, "fresh-failure old-failure partial new good"),
        (Order.NAME, "fresh-failure good new old-failure partial"),
        (Order.SINCE, "fresh-failure partial good old-failure new"),
        (Order.EXPIRY, "fresh-failure old-failure good partial new"),
        (Order.CHECKED, "good partial fresh-failure old-failure new"),
    ],
)
def test_a_list_is_sorted(order: Order, expected: str) -> None:
    """What is not known comes last."""
    assert shown(SERVERS, Query(order=order)) == [f"{name}.example" for name in expected.split()]


@pytest.mark.parametrize("order", Order)
def test_large_lists_are_sorted_in_parts(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is the same as if they were sorted at once."""
    whole = shown(SERVERS, Query(order=order))
    monkeypatch.setattr(listing, "_CHUNK", 2)
    assert shown(SERVERS, Query(order=order)) == whole
    for start in range(8):
        assert shown(SERVERS, Query(order=order), start, start + 2) == whole[start : start + 2]


@pytest.mark.parametrize(
    ("words", "state", "expected"),
    [
        ("", None, 5),
        ("failure", None, 2),
        ("FAILURE tls", None, 2),
        ("certificate_expired", State.NONE, 2),
        ("srv_and_well_known_disagree", None, 1),
        ("Synapse 1.163", State.FULL, 1),
        ("failure", State.FULL, 0),
        ("failure nothing", None, 0),
    ],
)
def test_a_list_is_filtered(words: str, state: State | None, expected: int) -> None:
    """All words must be found. The totals are those of all servers."""
    found = select(SERVERS, Query(words, state), 0, 100)
    assert (found.count, len(found.servers)) == (expected, expected)
    assert found.totals == {State.NONE: 2, State.PARTIAL: 1, State.UNKNOWN: 1, State.FULL: 1}


def test_what_was_found_is_counted_by_state() -> None:
    """Whatever state is shown."""
    found = select(SERVERS, Query("failure", State.FULL), 0, 100).found
    assert found == {State.NONE: 2, State.PARTIAL: 0, State.UNKNOWN: 0, State.FULL: 0}


def test_a_summary_names_the_causes_first() -> None:
    """And the first certificate to expire."""
    summary = summarize(state_of("example.org", expired_certificate()))
    report = expired_certificate()
    session = report.endpoints[0].tls.found  # type: ignore[union-attr] # it failed, and found this
    assert session
    assert (summary.state, summary.causes[0][0], summary.expires) == (
        State.NONE,
        Stage.TLS,
        session.certificate.not_after,
    )


def test_a_server_without_a_result_has_an_empty_summary() -> None:
    """It is found by its name."""
    summary = summarize(state_of("new.example"))
    assert (summary.state, summary.causes, summary.warnings, summary.expires) == (State.UNKNOWN, (), (), None)
    assert summary.searched == "new.example"


def test_a_summary_has_the_latest_results() -> None:
    """Whether the exporter was offline during the latest probe can be seen by them. Servers share what is equal."""
    healthy = delegated_by_well_known()
    offline = replace(expired_certificate(), exporter_offline=True)
    first, second = (summarize(state_of(name, expired_certificate(), healthy)) for name in ("a.example", "b.example"))
    assert first.results == (State.FULL, State.NONE)
    assert first.results is second.results
    states = [state_of("a.example", *reports) for reports in ((), (healthy,), (healthy, offline), (offline, healthy))]
    assert [summarize(state).exporter_offline for state in states] == [False, False, True, False]
    assert [state.exporter_offline for state in states] == [False, False, True, False]


def test_the_address_families_of_a_server_share_a_cause() -> None:
    """However many endpoints have it."""
    causes = summarize(state_of("example.org", two_families())).causes
    assert len(set(causes)) == len(causes)
