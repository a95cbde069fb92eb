"""How much of the history is kept: by age, by server, and in total."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.history.history import Entry
from exporter.history.memory import ServerMemory
from exporter.history.storage import database
from exporter.history.storage.database import Database
from exporter.history.strips import SCALES
from exporter.judging.verdict import Federation
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.report import Report
from exporter.reports.report_json import report_json
from exporter.reports.server_state import ServerState, history_entry
from tests.history.sequences import EXAMPLE, failing, good, minute, sequence
from tests.sample_reports import ENDED_AT, watched_server

YEAR = timedelta(days=365)


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    opened = Database.in_file(path, report_json)
    try:
        yield opened
    finally:
        opened.close()


def entries(*reports: Report) -> Iterator[Entry]:
    state = ServerState(watched_server(reports[0].server_name.text))
    for report in reports:
        before, state = state, state.with_report(report)
        yield history_entry(before, state, report)


def test_what_is_older_than_the_retention_is_forgotten(tmp_path: Path) -> None:
    """An incident counts from its end, so one that lasts is kept, however old it is."""
    other = names.parse("other.example.org")
    later = ENDED_AT + timedelta(days=91)
    lasting = [replace(failing(), server_name=other, ended_at=at) for at in (ENDED_AT, later)]
    with opened(tmp_path / "history.sqlite") as stored:
        stored.write([*entries(*sequence(failing(), good(), failing(), good())), *entries(*lasting)])
        for until, kept in ((minute(1), 3), (minute(2), 2), (minute(4), 1)):
            stored.prune(until + timedelta(days=90), timedelta(days=90))
            assert len(stored.incidents(None, ENDED_AT, 10)) == kept
        (incident,) = stored.incidents(None, ENDED_AT, 10)
        assert (incident.server_name, incident.ended) == (other, None)
        assert stored.first_failure(incident) is not None
        assert stored.recall([EXAMPLE, other]).keys() == {other}
        assert stored._connection.execute("SELECT count(*) FROM first_failures").fetchone() == (1,)


def test_an_incident_of_a_server_without_results_has_ended(tmp_path: Path) -> None:
    """The server is no longer watched: the incident lasted until the last result, as far as anybody knows."""
    with opened(tmp_path / "history.sqlite") as stored:
        stored.write([*entries(*sequence(good(), failing(), failing()))])
        stored.prune(minute(2) + timedelta(days=2), YEAR)
        assert [each.ended for each in stored.incidents(None, ENDED_AT, 10)] == [None]
        stored.prune(minute(3) + timedelta(days=2), YEAR)
        assert [each.ended for each in stored.incidents(None, ENDED_AT, 10)] == [minute(2)]


def test_a_server_has_a_bounded_number_of_incidents_and_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are kept."""
    monkeypatch.setattr(database, "_KEPT_INCIDENTS", 5)
    monkeypatch.setattr(database, "_KEPT_FIRST_FAILURES", 2)
    monkeypatch.setattr(database, "_KEPT_CHANGES", 3)
    moving = [replace(good(), route=replace(good().route, targets=target)) for target in targets()]
    with opened(tmp_path / "history.sqlite") as stored:
        stored.write([*entries(*sequence(*[failing(), good()] * 10))])
        stored.write([*entries(*sequence(*moving))])
        found = stored.incidents(None, ENDED_AT, 100)
        assert [each.began for each in found] == [minute(2 * number) for number in (9, 8, 7, 6, 5)]
        assert [stored.first_failure(each) is not None for each in found] == [True, True, False, False, False]
        assert [each.at for each in stored.changes(EXAMPLE, ENDED_AT, 100)] == [minute(9), minute(8), minute(7)]


def targets() -> Iterator[tuple[Target, ...]]:
    (target,) = good().route.targets
    for number in range(10):
        yield (replace(target, port=8000 + number),)


def test_counts_of_results_are_forgotten_before_incidents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many servers there are, what happened to one of them is worth more."""
    monkeypatch.setattr(database, "_MAX_FILE_BYTES", 400 * 1024)
    names_of_all = [names.parse(f"server-{number}.example.org") for number in range(300)]
    with opened(tmp_path / "history.sqlite") as stored:
        stored.write([*entries(*sequence(failing(), good()))])
        for half_hour in range(1, 49):
            at = ENDED_AT + half_hour * timedelta(minutes=30)
            stored.write([Entry(name, at, Federation.FULL, ServerMemory()) for name in names_of_all])
            if stored.nearly_full:
                stored.prune(at, YEAR)
        assert [each.began for each in stored.incidents(None, ENDED_AT, 10)] == [minute(0)]
        kept = stored.counts(names_of_all[0], SCALES[0], at)
    assert 5 < len(kept) < 48
    assert SCALES[0].index(at) in kept


def test_the_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the database is nearly full, a tenth of it is forgotten, the oldest first."""
    path = tmp_path / "history.sqlite"
    most = 400 * 1024
    monkeypatch.setattr(database, "_MAX_FILE_BYTES", most)
    with opened(path) as stored:
        for number in range(400):
            name = names.parse(f"server-{number % 50}.example.org")
            reports = sequence(failing(), good(), start=2 * number)
            stored.write([*entries(*(replace(report, server_name=name) for report in reports))])
            if stored.nearly_full:
                stored.prune(minute(1000), YEAR)
        found = stored.incidents(None, ENDED_AT, 1000)
    assert path.stat().st_size <= most
    assert 100 < len(found) < 400
    assert [each.began for each in found] == [minute(2 * number) for number in range(399, 399 - len(found), -1)]
