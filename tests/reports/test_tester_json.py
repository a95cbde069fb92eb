"""The report in the format of the public federation tester, for cases that need no network.

`tests/web/api/test_tester.py` compares the format with recorded documents.
"""

from dataclasses import replace
from typing import Any

import pytest

from exporter.model.enums import SrvService
from exporter.model.findings import Delegation, SrvRecords
from exporter.model.names import parse
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.reports.tester_json import error_report
from exporter.reports.tester_json import tester_json as document_of
from tests.sample_reports import (
    delegated_by_well_known,
    expired_certificate,
    nothing_resolved,
    two_families,
)


def dns(document: dict[str, Any]) -> dict[str, Any]:
    result = document["DNSResult"]
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (SKIPPED, "not requested: the server name contains a port"),
        (Passed(0.1, Delegation(3600, absent_because=Reason.NXDOMAIN)), "the name does not exist"),
        (Failed(0.1, (Problem(Reason.NOT_JSON, "a page"),)), "not_json: a page"),
    ],
)
def test_a_missing_delegation_is_explained(outcome: Outcome[Delegation], result: str) -> None:
    """A valid delegation has no explanation."""
    report = replace(delegated_by_well_known(), server_name=parse("example.org:8448"), well_known=outcome)
    assert document_of(report)["WellKnownResult"] == {"m.server": "", "result": result, "CacheExpiresAt": 0}
    assert "result" not in document_of(delegated_by_well_known())["WellKnownResult"]


def test_srv_records_are_those_that_determined_the_targets() -> None:
    """Names from SRV records have a dot at the end."""
    found = dns(document_of(two_families()))
    assert (found["SRVSkipped"], found["SRVCName"]) == (False, "_matrix._tcp.dual.example.org.")
    assert [record["Target"] for record in found["SRVRecords"]] == ["one.example.org.", "two.example.org."]
    assert list(found["Hosts"]) == ["one.example.org.", "two.example.org."]


def test_a_failed_srv_lookup_has_an_error() -> None:
    """There are no records then."""
    failed: Failed[SrvRecords] = Failed(0.1, (Problem(Reason.DNS_FAILURE, "SERVFAIL"),))
    found = dns(document_of(replace(two_families(), srv=failed)))
    assert (found["SRVCName"], found["SRVRecords"]) == ("", None)
    assert found["SRVError"] == {"Message": "dns_failure: SERVFAIL"}


def test_srv_records_without_a_decision_are_not_shown() -> None:
    """Peers then use the default port."""
    undecided = Passed(0.1, SrvRecords({SrvService.MATRIX_FED: ()}, decided_by=None))
    found = dns(document_of(replace(two_families(), srv=undecided)))
    assert (found["SRVCName"], found["SRVRecords"], found["SRVError"]) == ("", None, None)


def test_endpoints_are_reported_or_have_an_error() -> None:
    """An invalid certificate is reported, and an endpoint that refuses connections has an error."""
    expired, refused = document_of(expired_certificate()), document_of(two_families())
    assert (list(expired["ConnectionReports"]), expired["ConnectionErrors"]) == (["192.0.2.1:443"], {})
    assert list(refused["ConnectionReports"]) == ["192.0.2.1:8448", "192.0.2.2:8448"]
    assert set(refused["ConnectionErrors"]) == {"[2001:db8::1]:8448", "[2001:db8::2]:8448"}
    assert refused["ConnectionErrors"]["[2001:db8::1]:8448"]["Message"].startswith("tcp: connect_refused: ")


def test_a_server_without_endpoints_has_no_version() -> None:
    """Its host has the error of the resolution."""
    document = document_of(nothing_resolved())
    assert document["Version"] == {"error": "no endpoint could be queried"}
    assert document["FederationOK"] is False
    assert dns(document)["Hosts"]["gone.example.org"]["Error"]["Message"].startswith("nxdomain: gone.example.org")


def test_an_error_report_has_every_field_of_a_report() -> None:
    """Programs can read it in the same way."""
    document = error_report("not watched")
    assert document.pop("Error") == "not watched"
    assert set(document) == set(document_of(delegated_by_well_known()))
    assert set(dns(document)) == set(dns(document_of(delegated_by_well_known())))
