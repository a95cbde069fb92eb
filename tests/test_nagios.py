"""The result of a check for Nagios, read by the rules of the Monitoring Plugins development guidelines."""

import re
from dataclasses import replace

import pytest

from exporter.check import nagios
from exporter.check.nagios import Result, Status, unknown
from exporter.model.enums import Resource
from exporter.model.outcomes import SKIPPED, Failed, Passed, Problem, ProxyFailure, ResourceShortage
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import NOTHING_EXPECTED, Expectations, ExpectedSoftware, WatchedServer
from tests.sample_reports import (
    MATRIX_443,
    delegated_by_well_known,
    expired_certificate,
    healthy_at,
    nothing_resolved,
    tls_session,
    two_families,
    with_deep_look,
    with_endpoints,
)

DATUM = re.compile(r"'(?P<label>[^'=]+)'=-?\d+(?:\.\d+)?(?:s|%|[KMGT]?B|c)?(?:;[\d.:~@]*){0,4}")
OK, PARTLY = delegated_by_well_known(), with_deep_look(Problem(Reason.PATH_DECODED, "decoded"))


def expiring(days: int) -> Report:
    """Return a report about a certificate of 90 days."""
    return with_endpoints(replace(healthy_at("192.0.2.1"), tls=Passed(0.02, tls_session(MATRIX_443.host, days))))


def starved() -> Report:
    shortage = ResourceShortage(Reason.INTERNAL_ERROR, "no descriptor", resource=Resource.FILE_DESCRIPTORS)
    return with_endpoints(replace(healthy_at("192.0.2.1"), tcp=Failed(0.01, (shortage,))))


def without_proxy() -> Report:
    failure = ProxyFailure(Reason.PROXY_UNREACHABLE, "the proxy a:1 cannot be connected to: Connection refused", "a:1")
    return with_endpoints(replace(healthy_at("192.0.2.1"), tcp=SKIPPED, tunnel=Failed(0.01, (failure,))))


def summarize(*reports: Report, expected: Expectations = NOTHING_EXPECTED) -> Result:
    names = (report.server_name for report in reports)
    return nagios.summarize(reports, {name: WatchedServer(name, 60, expected) for name in names})


def first_line(result: Result) -> str:
    return result.text.splitlines()[0]


@pytest.mark.parametrize(
    ("report", "status", "sentence"),
    [
        (OK, Status.OK, "example.org federates"),
        (PARTLY, Status.WARNING, "example.org federates only in part: proxy path_decoded"),
        (expired_certificate(), Status.CRITICAL, "expired.example.org does not federate: tls certificate_expired"),
        (nothing_resolved(), Status.CRITICAL, "gone.example.org does not federate: "),
        (expiring(17), Status.WARNING, "example.org federates, and a certificate expires in 17.0 days"),
        (expiring(6), Status.CRITICAL, "example.org federates, and a certificate expires in 6.0 days"),
        (expiring(18), Status.OK, "example.org federates"),
        (starved(), Status.UNKNOWN, "example.org could not be checked: this machine ran out of file descriptors"),
        (without_proxy(), Status.UNKNOWN, "example.org could not be checked: the proxy a:1 cannot be connected to"),
    ],
)
def test_the_status_is_that_of_the_server(report: Report, status: Status, sentence: str) -> None:
    """A certificate of 90 days expires soon when a fifth of its lifetime is left, as the alerts have it."""
    result = summarize(report)
    assert result.status is status
    assert first_line(result).startswith(f"MATRIX FEDERATION {status.name}: {sentence}")


def test_what_is_not_as_expected_is_a_warning() -> None:
    """As the alert on it has it. Without a configuration, nothing is expected."""
    result = summarize(OK, expected=Expectations(software=ExpectedSoftware("Dendrite"), issuer="Nobody"))
    assert result.status is Status.WARNING
    assert first_line(result).startswith(
        "MATRIX FEDERATION WARNING: example.org federates, but software unexpected: expected Dendrite, found Synapse"
    )
    assert "; issuer unexpected: expected Nobody, found " in first_line(result)


def test_several_servers_have_the_status_of_the_worst() -> None:
    """The others follow, each on a line of its own."""
    result = summarize(OK, expired_certificate(), PARTLY)
    lines = result.text.splitlines()
    assert result.status is Status.CRITICAL
    assert lines[0].startswith(
        "MATRIX FEDERATION CRITICAL: 1 of 3 servers are fine; expired.example.org does not federate: tls"
    )
    assert lines[-2:] == ["example.org federates", "example.org federates only in part: proxy path_decoded"]


def test_what_has_to_be_done_follows() -> None:
    """On lines of their own, which Nagios shows as the long output."""
    _, obstacle, *_ = summarize(expired_certificate()).text.splitlines()
    assert obstacle.startswith(
        "Synapse, Dendrite and the Conduit family fail at tls of 192.0.2.1:443 (certificate_expired): expired a day "
    )
    assert "enew" in obstacle


@pytest.mark.parametrize("reports", [(OK,), (two_families(),), (OK, expired_certificate()), (nothing_resolved(),)])
def test_performance_data_has_its_format(reports: tuple[Report, ...]) -> None:
    """There is a bar before it, and none anywhere else."""
    result = summarize(*reports)
    _, bar, data = first_line(result).partition(" | ")
    assert bar
    assert result.text.count("|") == 1
    assert DATUM.sub("", data).strip() == ""
    labels = [found["label"] for found in DATUM.finditer(data)]
    assert len(set(labels)) == len(labels) >= 2 * len(reports)


def test_performance_data_has_the_thresholds() -> None:
    """For graphs that show how far a value is from them."""
    assert first_line(summarize(OK)).endswith(
        " | 'time'=0.250s;;;0 'well_known_certificate_days'=30.0;18.0:;7.0: "
        "'federation_certificate_days'=60.0;18.0:;7.0: 'endpoints_healthy'=1;;;0;1"
    )


def test_a_text_of_a_server_cannot_be_taken_for_performance_data() -> None:
    problem = Problem(Reason.CERTIFICATE_EXPIRED, "a|b\n'time'=0s\x1b[31m")
    report = expired_certificate()
    (endpoint,) = report.endpoints
    hostile = replace(report, endpoints=(replace(endpoint, tls=Failed(0.02, (problem,))),))
    text = summarize(hostile).text
    assert text.count("|") == 1
    assert "\x1b" not in text
    assert "a/b" in text


def test_nothing_found_out_is_unknown() -> None:
    assert unknown("first\nsecond") == Result(Status.UNKNOWN, "MATRIX FEDERATION UNKNOWN: first\nsecond\n")
