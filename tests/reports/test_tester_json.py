"""The report in the format of the public federation tester, for cases that need no network.

`tests/web/api/test_tester.py` compares the format with recorded documents.
"""

from dataclasses import replace
from typing import Any

import pytest

from exporter.model.enums import SrvService
from exporter.model.findings import Delegation, SigningKeys, SrvRecords, WellKnownResponse
from exporter.model.names import parse
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem, found
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.reports.tester_json import error_report
from exporter.reports.tester_json import tester_json as document_of
from tests.sample_reports import (
    behind_expired_certificate,
    delegated_by_well_known,
    expired_certificate,
    failed_srv_lookup,
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


@pytest.mark.parametrize(("announced", "expires"), [(None, 0), (0, 1795370400), (600, 1795371000), (10**9, 2795370400)])
def test_the_cache_expires_when_the_headers_say(announced: int | None, expires: int) -> None:
    """Like the public tester, this applies no default and no bound."""
    delegation = found(delegated_by_well_known().well_known)
    assert delegation
    response = WellKnownResponse(200, 40, announced)
    report = replace(
        delegated_by_well_known(), well_known=Passed(0.1, replace(delegation, cache_seconds=60, response=response))
    )
    assert document_of(report)["WellKnownResult"] == {"m.server": "matrix.example.org:443", "CacheExpiresAt": expires}


def test_a_failed_srv_lookup_leads_where_dendrite_goes() -> None:
    """The public tester shares its discovery with it."""
    document = document_of(failed_srv_lookup())
    assert list(document["ConnectionReports"]) == dns(document)["Addrs"] == ["192.0.2.9:8448"]
    assert document["Version"] == {"name": "Synapse", "version": "1.163.2"}


@pytest.mark.parametrize(
    ("report", "checks"),
    [
        (
            expired_certificate(),
            {"MatchingServerName": False, "HasEd25519Key": False, "AllEd25519ChecksOK": None},
        ),
        (
            behind_expired_certificate(),
            {"MatchingServerName": True, "HasEd25519Key": True, "AllEd25519ChecksOK": True},
        ),
    ],
)
def test_the_keys_behind_an_invalid_certificate_are_checked(report: Report, checks: dict[str, object]) -> None:
    """If a deep look has fetched them, they are; the certificate alone is at fault then."""
    (connection,) = document_of(report)["ConnectionReports"].values()
    assert {name: connection["Checks"][name] for name in checks} == checks
    assert (connection["Checks"]["AllChecksOK"], connection["Checks"]["ValidCertificates"]) == (False, False)


def test_only_the_checks_of_the_tester_count() -> None:
    """What the specification demands beyond them does not."""
    report = delegated_by_well_known()
    (endpoint,) = report.endpoints
    published = found(endpoint.keys)
    strict = Failed(0.1, (Problem(Reason.INVALID_CONTENT, "a number is not an integer"),), published)
    document = document_of(replace(report, endpoints=(replace(endpoint, keys=strict),)))
    assert document["ConnectionReports"]["192.0.2.1:443"]["Checks"]["AllChecksOK"] is True


def test_keys_that_cannot_be_fetched_are_an_error() -> None:
    """The public tester reports a connection only with its keys."""
    failed: Failed[SigningKeys] = Failed(0.1, (Problem(Reason.HTTP_STATUS, "expected 200, found 502"),))
    document = document_of(behind_expired_certificate(failed))
    assert document["ConnectionReports"] == {}
    assert document["ConnectionErrors"] == {"192.0.2.1:443": {"Message": "keys: http_status: expected 200, found 502"}}


def test_srv_records_are_those_that_determined_the_targets() -> None:
    """Names from SRV records have a dot at the end, and the IPv6 addresses of each come first."""
    result = dns(document_of(two_families()))
    assert (result["SRVSkipped"], result["SRVCName"]) == (False, "_matrix._tcp.dual.example.org.")
    assert [record["Target"] for record in result["SRVRecords"]] == ["one.example.org.", "two.example.org."]
    assert list(result["Hosts"]) == ["one.example.org.", "two.example.org."]
    assert result["Hosts"]["one.example.org."]["Addrs"] == ["2001:db8::1", "192.0.2.1"]
    assert result["Addrs"] == ["[2001:db8::1]:8448", "192.0.2.1:8448", "[2001:db8::2]:8448", "192.0.2.2:8448"]


def test_a_failed_srv_lookup_has_an_error() -> None:
    """There are no records then."""
    failed: Failed[SrvRecords] = Failed(0.1, (Problem(Reason.DNS_FAILURE, "SERVFAIL"),))
    result = dns(document_of(replace(two_families(), srv=failed)))
    assert (result["SRVCName"], result["SRVRecords"]) == ("", None)
    assert result["SRVError"] == {"Message": "dns_failure: SERVFAIL"}


def test_there_are_no_hosts_without_a_target() -> None:
    """The public tester has null, and not an empty object."""
    document = document_of(replace(failed_srv_lookup(), detours={}))
    assert (dns(document)["Hosts"], dns(document)["Addrs"]) == (None, None)


def test_srv_records_without_a_decision_are_not_shown() -> None:
    """Peers then use the default port. The public tester calls it an error, but not if it looks none up."""
    undecided = Passed(0.1, SrvRecords({SrvService.MATRIX_FED: ()}, decided_by=None))
    result = dns(document_of(replace(two_families(), srv=undecided)))
    assert (result["SRVCName"], result["SRVRecords"]) == ("", None)
    assert result["SRVError"] == {"Message": "lookup _matrix._tcp.dual.example.org: no such host"}
    assert dns(document_of(delegated_by_well_known()))["SRVError"] is None


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
    assert document["Version"] == {"error": "dns: nxdomain: gone.example.org does not exist"}
    assert document["FederationOK"] is False
    assert dns(document)["Hosts"]["gone.example.org"]["Error"]["Message"].startswith("nxdomain: gone.example.org")


def test_an_error_report_has_every_field_of_a_report() -> None:
    """Programs can read it in the same way."""
    document = error_report("not watched")
    assert document.pop("Error") == "not watched"
    assert set(document) == set(document_of(delegated_by_well_known()))
    assert set(dns(document)) == set(dns(document_of(delegated_by_well_known())))
