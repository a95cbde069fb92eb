"""The latest results of a server, in little memory."""

from datetime import UTC, datetime, timedelta

from exporter.history.results import Result, Results
from exporter.judging.verdict import Federation
from exporter.model.enums import Stage
from exporter.model.reasons import Reason

AT = datetime(2026, 11, 28, 10, 43, 7, 123457, tzinfo=UTC)
WHY = ((Stage.TLS, Reason.CERTIFICATE_EXPIRED),)


def result(minutes: int, federation: Federation | None) -> Result:
    at = AT + timedelta(minutes=minutes)
    return Result(at, 0.1 + minutes, federation is Federation.FULL, federation, () if federation else WHY)


def test_results_are_kept_to_the_microsecond() -> None:
    """The newest comes first, and the oldest is dropped when there are too many."""
    given = [result(number, each) for number, each in enumerate((*Federation, None, *Federation))]
    results = Results()
    assert (len(results), list(results)) == (0, [])
    for each in given:
        results = results.with_newest(each, 5)
    assert list(results) == given[:-6:-1]
    assert (len(results), results[0], results[1:3]) == (5, given[-1], tuple(given[-2:-4:-1]))
