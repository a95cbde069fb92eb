"""Which interval is in force: it follows from the state of a server."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.history.memory import ServerMemory
from exporter.model.report import Report
from exporter.model.servers import Cadence
from exporter.reports.server_state import ServerState
from tests.sample_reports import ENDED_AT, delegated_by_well_known, nothing_resolved, watched_server

CADENCE = Cadence(confirm_after=30.0, dormant_after=7 * 86400.0, dormant_interval=3600.0)


def server(interval: float = 300.0, cadence: Cadence = CADENCE) -> ServerState:
    return ServerState(replace(watched_server("example.org", interval), cadence=cadence))


def report(result: str, after: timedelta) -> Report:
    """`g` is a good result, `b` a bad one, and `o` one of an exporter that is offline."""
    example = delegated_by_well_known() if result == "g" else nothing_resolved()
    name = delegated_by_well_known().server_name
    return replace(example, server_name=name, ended_at=ENDED_AT + after, exporter_offline=result == "o")


def after(results: str, state: ServerState | None = None, *, each: timedelta = timedelta(minutes=5)) -> ServerState:
    """Return the state after these results, one after the other."""
    state = state or server()
    for number, result in enumerate(results):
        state = state.with_report(report(result, number * each))
    return state


@pytest.mark.parametrize(
    ("results", "interval"),
    [
        ("", 300),
        ("g", 300),
        ("b", 30),
        ("bb", 300),
        ("gb", 30),
        ("bg", 30),
        ("gbb", 300),
        ("gbg", 30),
        ("gbgg", 300),
        ("go", 300),
        ("gbo", 300),
        ("gbob", 300),
        ("gog", 300),
        ("gob", 30),
    ],
)
def test_a_changed_verdict_is_confirmed_soon(results: str, interval: float) -> None:
    """A first failure too, but not a first success. While the exporter is offline, there is nothing to confirm."""
    assert after(results).interval == interval


def test_a_server_that_changes_with_every_probe_is_probed_at_its_interval_after_some() -> None:
    """Otherwise it would cost ten times as much as others, for ever."""
    intervals = [after(("gb" * 8)[:count]).interval for count in range(1, 17)]
    assert intervals == [300, *[30] * 10, *[300] * 5]
    assert after("gb" * 8 + "b").interval == 300
    assert after("gb" * 8 + "bg").interval == 30


def test_a_confirmation_never_comes_later_than_the_next_probe() -> None:
    """The interval may be shorter than the time until a confirmation."""
    assert after("gb", server(interval=10)).interval == 10


@pytest.mark.parametrize(
    ("results", "days", "interval"),
    [("bb", 6, 300), ("bb", 7, 3600), ("bbb", 7, 3600), ("bbg", 7, 30), ("bbgg", 7, 300), ("gg", 7, 300)],
)
def test_a_server_that_failed_for_long_is_dormant_until_one_success(results: str, days: int, interval: float) -> None:
    """`days` is the time from one result to the next."""
    assert after(results, each=timedelta(days=days)).interval == interval


@pytest.mark.parametrize(("interval", "in_force"), [(60, 3600), (3600, 3600), (7200, 7200)])
def test_a_dormant_server_is_never_probed_more_often_than_others(interval: float, in_force: float) -> None:
    """Its own interval may be longer."""
    assert after("bb", server(interval), each=timedelta(days=7)).interval == in_force


def test_no_server_is_dormant_where_that_is_switched_off() -> None:
    """`probe.dormant: null`."""
    state = after("bb", server(cadence=replace(CADENCE, dormant_after=math.inf)), each=timedelta(days=300))
    assert (state.is_dormant, state.interval) == (False, 300)


def test_an_outage_of_the_exporter_makes_nobody_dormant() -> None:
    """What the server did meanwhile is unknown, however long the outage was."""
    state = after("boo", each=timedelta(days=7))
    assert (state.is_dormant, state.interval) == (False, 300)


def test_a_server_is_dormant_after_a_restart_from_its_first_result_on() -> None:
    """Its incident is remembered. Before the first result, nobody knows whether the server is still down."""
    memory: ServerMemory = after("b").memory
    restarted = replace(server(), memory=memory)
    assert restarted.interval == 300
    state = restarted.with_report(report("b", timedelta(days=8)))
    assert (state.interval, state.watched.interval) == (3600, 300)


def test_the_result_of_a_dormant_server_is_fresh_for_three_of_its_intervals() -> None:
    """Otherwise its series would be gone most of the time. One that is to be confirmed is fresh as long as usual."""
    dormant, unconfirmed = after("bb", each=timedelta(days=7)), after("gb")
    for state, hours in ((dormant, 3), (unconfirmed, 0.25)):
        assert state.report
        assert state.fresh_until - state.report.ended_at == timedelta(hours=hours)


def test_settings_that_change_apply_to_what_is_known() -> None:
    """A reload makes a server dormant, or wakes it, without another probe."""
    state = after("bb", each=timedelta(days=3))
    sooner = replace(state, watched=replace(state.watched, cadence=replace(CADENCE, dormant_after=86400.0)))
    assert (state.interval, sooner.interval) == (300, 3600)
