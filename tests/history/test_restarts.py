"""A history in a file: what survives a restart."""

from dataclasses import replace
from pathlib import Path

from exporter.history.changes import Subject
from exporter.history.history import History
from exporter.history.incidents import Incident
from exporter.history.storage.storage import Storage
from exporter.history.strips import Counts
from exporter.judging.warnings import WarningName
from exporter.model.enums import Method
from exporter.model.findings import Software
from exporter.model.outcomes import Passed
from exporter.model.report import Report
from exporter.reports.board import Board, RenderedLines
from tests.histories import history_of
from tests.history.sequences import EXAMPLE, failing, good, minute, sequence
from tests.sample_reports import ENDED_AT, healthy_at, nothing_resolved, watched_server, with_endpoints


async def restarted(history: Storage, *reports: Report) -> Board:
    """Return the board of an exporter that has started again and made these reports."""
    board = Board(lambda _: RenderedLines(b"", ()), lambda: ENDED_AT, history.record)
    watched = [watched_server(EXAMPLE.text)]
    board.add(watched, await history.recall(board.new_among(watched)))
    assert all(map(board.put, reports))
    return board


async def incidents(history: History) -> list[tuple[object, object]]:
    return [(each.began, each.ended) for each in await history.incidents(EXAMPLE, ENDED_AT, 10)]


async def test_an_incident_goes_on_after_a_restart(tmp_path: Path) -> None:
    """The restart is not its end. It ends with the first good result, once."""
    path = tmp_path / "history.sqlite"
    async with history_of(*sequence(good(), failing()), path=path):
        pass
    async with history_of(path=path) as history:
        board = await restarted(history, *sequence(failing(), start=5))
        assert await incidents(history) == [(minute(1), None)]
        state = board.state(EXAMPLE)
        assert state
        assert (state.since, state.memory.incident and state.memory.incident.began) == (minute(1), minute(1))
    async with history_of(path=path) as history:
        await restarted(history, *sequence(good(), good(), start=7))
        assert await incidents(history) == [(minute(1), minute(7))]


async def test_an_incident_that_ended_stays_ended(tmp_path: Path) -> None:
    """The next failure is another one."""
    path = tmp_path / "history.sqlite"
    async with history_of(*sequence(failing(), good()), path=path):
        pass
    async with history_of(path=path) as history:
        await restarted(history, *sequence(failing(), start=5))
        assert await incidents(history) == [(minute(5), None), (minute(0), minute(1))]
        first: Incident = (await history.incidents(EXAMPLE, ENDED_AT, 10))[-1]
        assert await history.first_failure(first) is not None


async def test_what_changed_while_the_exporter_was_down_is_a_change(tmp_path: Path) -> None:
    """What the first report shows is compared with what was known before."""
    path = tmp_path / "history.sqlite"
    async with history_of(*sequence(good()), path=path):
        pass
    updated = replace(healthy_at("192.0.2.1"), version=Passed(0.1, Software("Synapse", "1.164.0")))
    async with history_of(path=path) as history:
        await restarted(history, *sequence(with_endpoints(updated), good(), start=5))
        changes = await history.changes(EXAMPLE, ENDED_AT, 10)
    versions = "Synapse 1.163.2", "Synapse 1.164.0"
    assert [(each.at, each.subject, each.before, each.after) for each in changes] == [
        (minute(6), Subject.SOFTWARE, versions[1], versions[0]),
        (minute(5), Subject.SOFTWARE, versions[0], versions[1]),
    ]


async def test_a_lost_delegation_is_known_after_a_restart(tmp_path: Path) -> None:
    """Otherwise, the warning would end with the restart."""
    path = tmp_path / "history.sqlite"
    async with history_of(*sequence(good()), path=path):
        pass
    fallback = replace(good().route, method=Method.DEFAULT_8448)
    gone = replace(good(), well_known=nothing_resolved().well_known, route=fallback)
    async with history_of(path=path) as history:
        state = (await restarted(history, *sequence(gone, start=60))).state(EXAMPLE)
    assert state
    assert WarningName.DELEGATION_LOST in {each.warning for each in state.warnings}


async def test_results_are_counted_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    async with history_of(*sequence(good(), failing()), path=path):
        pass
    async with history_of(path=path, now=minute(3)) as history:
        await restarted(history, *sequence(good(), start=2))
        day, quarter = await history.strips(EXAMPLE)
    assert day.counts[-1] == quarter.counts[-1] == Counts(full=2, none=1)
