"""The strips of results: the worse a result is, the higher its bar."""

from datetime import timedelta

from exporter.history.strips import Counts, Strip
from exporter.reports.server_state import RESULTS_KEPT
from exporter.reports.summary import State
from exporter.web.pages.views.strips import HEIGHT, Bar, draw_results, draw_strip
from tests.sample_reports import ENDED_AT


def test_the_newest_result_is_at_the_right() -> None:
    """A strip that is not full yet begins further right."""
    drawing = draw_results([State.NONE, State.FULL])
    assert [bar for cell in drawing.cells for bar in cell.bars] == [
        Bar("full", (RESULTS_KEPT - 2) * 8, HEIGHT - 8, 8),
        Bar("none", (RESULTS_KEPT - 1) * 8, 0, HEIGHT),
    ]
    assert drawing.width == RESULTS_KEPT * 8 - 2


def test_a_strip_says_what_it_shows() -> None:
    """The worst first."""
    results = [State.FULL, State.NONE, State.PARTIAL, State.UNKNOWN, State.FULL]
    words = "1 failed, 1 in part, 2 good, 1 while the exporter was offline"
    assert draw_results(results).label == f"The last 5 results: {words}"
    assert draw_results([]).label == "No results yet"


def bars(counts: Counts) -> list[tuple[str, float]]:
    (cell,) = draw_strip(Strip(ENDED_AT, timedelta(days=1), (counts,))).cells
    return [(bar.kind, bar.height) for bar in cell.bars]


def test_the_height_of_a_bar_is_the_share_of_bad_results() -> None:
    """A single one of many is visible, and good ones stand below it."""
    assert bars(Counts(full=288)) == [("full", 8)]
    assert bars(Counts(none=288)) == [("none", HEIGHT)]
    assert bars(Counts(full=287, none=1)) == [("none", 3), ("full", 8)]
    assert bars(Counts(full=1, none=1)) == [("none", 6), ("full", 8)]
    assert bars(Counts(partial=4)) == [("partial", 13)]


def test_a_bucket_without_results_is_flat() -> None:
    """It is told apart from one in which the exporter was offline."""
    assert (bars(Counts()), bars(Counts(offline=3))) == ([("empty", 2)], [("unknown", 2)])


def test_a_bucket_says_what_it_counts() -> None:
    """With its day, or from when to when."""
    counts = Counts(full=10, none=2)
    days = draw_strip(Strip(ENDED_AT, timedelta(days=1), (counts, Counts())))
    hours = draw_strip(Strip(ENDED_AT, timedelta(minutes=30), (counts,)))
    assert [cell.title for cell in days.cells] == ["2026-11-22: 2 failed, 10 good", "2026-11-23: no results"]
    assert [cell.title for cell in hours.cells] == ["18:00 to 18:30: 2 failed, 10 good"]
    assert days.label == "2 failed, 10 good"
