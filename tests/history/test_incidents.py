"""Incidents: what a report adds to one."""

from dataclasses import replace
from datetime import timedelta

from exporter.history.incidents import Incident, PhaseProblem, follow
from exporter.judging import verdict
from exporter.judging.verdict import Federation
from exporter.model.enums import Stage
from exporter.model.outcomes import Failed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import Report
from tests.history.sequences import failing, good
from tests.sample_reports import ENDED_AT, healthy_at, nothing_resolved, two_families, with_endpoints


def incident_of(*reports: Report) -> Incident | None:
    """Return the incident that lasts after these reports of a server, a minute apart."""
    incident = None
    for number, report in enumerate(reports):
        at = replace(report, ended_at=ENDED_AT + timedelta(minutes=number))
        incident = follow(incident, at, verdict.federation(at), failed=not verdict.federates(at))
    return incident


def test_a_good_report_ends_it() -> None:
    assert incident_of(good()) is None
    assert incident_of(failing(), good()) is None


def test_a_problem_counts_the_endpoints_where_it_is() -> None:
    """And all of them. Stages before `tcp` are not about endpoints."""
    refused = replace(healthy_at("192.0.2.2"), tcp=Failed(0.01, (Problem(Reason.CONNECT_REFUSED, "refused"),)))
    (expired,) = failing().endpoints
    incident = incident_of(with_endpoints(expired, refused))
    assert incident
    assert set(incident.phases[0].problems) >= {
        PhaseProblem(Stage.TLS, Reason.CERTIFICATE_EXPIRED, 1, 2),
        PhaseProblem(Stage.TCP, Reason.CONNECT_REFUSED, 1, 2),
    }
    gone = incident_of(nothing_resolved())
    assert gone
    assert gone.phases[0].problems == (PhaseProblem(Stage.DNS, Reason.NXDOMAIN, 0, 0),)


def test_phases_are_bounded() -> None:
    """The first one is kept, and the latest of the others: how it began, and how it is now."""
    incident = incident_of(*[failing(), nothing_resolved()] * 20)
    assert incident
    minutes = [(phase.since - ENDED_AT) // timedelta(minutes=1) for phase in incident.phases]
    assert minutes == [0, *range(31, 40)]


def test_a_server_that_federates_in_part_is_no_incident() -> None:
    """Its lookups succeed."""
    assert verdict.federation(two_families()) is not Federation.NONE
    assert (incident_of(two_families()) is None) is verdict.federates(two_families())
