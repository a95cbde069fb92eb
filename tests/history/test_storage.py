"""The history: what is stored of reports, and what is read."""

from dataclasses import replace
from datetime import timedelta

from exporter.history.changes import Change, Subject
from exporter.history.incidents import Incident, Phase, PhaseProblem
from exporter.history.strips import Counts
from exporter.judging.verdict import Federation
from exporter.model.enums import Stage
from exporter.model.findings import Software
from exporter.model.outcomes import Passed
from exporter.model.reasons import Reason
from exporter.reports.report_json import report_json
from tests.histories import history_of
from tests.history.sequences import EXAMPLE, failing, good, minute, sequence
from tests.sample_reports import (
    ENDED_AT,
    healthy_at,
    nothing_resolved,
    with_endpoints,
)

EXPIRED = PhaseProblem(Stage.TLS, Reason.CERTIFICATE_EXPIRED, 1, 1)
GONE = PhaseProblem(Stage.DNS, Reason.NXDOMAIN, 0, 0)


async def test_an_incident_lasts_from_the_first_failing_result_to_the_first_good_one() -> None:
    """It says what failed since when; the same failure again changes nothing."""
    reports = list(sequence(good(), failing(), failing(), nothing_resolved(), good(), good()))
    async with history_of(*reports) as history:
        (incident,) = await history.incidents(EXAMPLE, ENDED_AT, 10)
        assert incident == Incident(
            EXAMPLE,
            minute(1),
            minute(4),
            (Phase(minute(1), Federation.NONE, (EXPIRED,)), Phase(minute(3), Federation.NONE, (GONE,))),
        )
        assert await history.first_failure(incident) == report_json(reports[1])


async def test_changes_say_what_was_before_and_after() -> None:
    """A failure in between is not a change."""
    updated = replace(healthy_at("192.0.2.1"), version=Passed(0.1, Software("Synapse", "1.164.0")))
    async with history_of(*sequence(good(), failing(), with_endpoints(updated))) as history:
        assert await history.changes(None, ENDED_AT, 10) == [
            Change(EXAMPLE, minute(2), Subject.SOFTWARE, "Synapse 1.163.2", "Synapse 1.164.0")
        ]


async def test_results_are_counted_in_buckets() -> None:
    """The last bucket is the one of now."""
    offline = replace(good(), exporter_offline=True)
    reports = sequence(good(), nothing_resolved(), good(), offline)
    async with history_of(*reports, now=minute(31)) as history:
        day, quarter = await history.strips(EXAMPLE)
    counts = Counts(full=2, none=1, offline=1)
    assert (day.began, day.counts) == (minute(30 - 47 * 30), (*[Counts()] * 46, counts, Counts()))
    assert (quarter.bucket, quarter.counts) == (timedelta(days=1), (*[Counts()] * 89, counts))
