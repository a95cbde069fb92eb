from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from exporter import verdict
from exporter.model import (
    SKIPPED,
    CertificateOf,
    Endpoint,
    EndpointReport,
    Failed,
    IPFamily,
    Passed,
    Problem,
    Reason,
    Report,
    SigningKeys,
    Software,
    SrvRecord,
    SrvRecords,
    SrvService,
    Stage,
    Target,
    WarningName,
)
from exporter.verdict import LocatedProblem, LocatedWarning, StageVerdict
from tests.reports import (
    DELEGATED,
    ENDED_AT,
    MATRIX_443,
    delegated_by_well_known,
    expired_certificate,
    healthy,
    nothing_resolved,
    secured,
    two_families,
)

REFUSED: Failed[None] = Failed(0.5, (Problem(Reason.CONNECT_REFUSED, "connection refused"),))


def with_endpoints(*endpoints: EndpointReport) -> Report:
    return replace(delegated_by_well_known(), endpoints=endpoints)


def at(ip: str, *, behind_alias: bool = False) -> EndpointReport:
    return healthy(Endpoint(MATRIX_443, ip_address(ip), behind_alias), secured(MATRIX_443.host))


def publishing(endpoint: EndpointReport, keys: SigningKeys) -> EndpointReport:
    return replace(endpoint, keys=Passed(0.04, keys))


def warned(report: Report) -> list[LocatedWarning]:
    return list(verdict.warnings(report))


# ---------------------------------------------------------------- who federates


@pytest.mark.parametrize(
    ("report", "federates"),
    [
        (delegated_by_well_known(), True),
        (expired_certificate(), False),
        (nothing_resolved(), False),
        (two_families(), True),
        (with_endpoints(at("192.0.2.1", behind_alias=True)), False),
        (with_endpoints(at("192.0.2.1", behind_alias=True), at("192.0.2.2")), True),
    ],
)
def test_one_healthy_endpoint_is_enough(report: Report, *, federates: bool) -> None:
    """A failed well-known does not matter for that; an alias does, as not every peer follows it."""
    assert verdict.federates(report) is federates


def test_every_stage_of_an_endpoint_has_to_pass() -> None:
    endpoint = at("192.0.2.1")
    problems = (Problem(Reason.INTERNAL_ERROR, "whatever"),)
    for broken in (
        replace(endpoint, tcp=Failed(0.1, problems)),
        replace(endpoint, tls=Failed(0.1, problems)),
        replace(endpoint, version=Failed(0.1, problems)),
        replace(endpoint, keys=Failed(0.1, problems)),
        replace(endpoint, keys=SKIPPED),
    ):
        assert not verdict.federates(with_endpoints(broken))


# ---------------------------------------------------------------- stages and problems


def test_a_stage_passes_where_everything_passed_it_and_takes_as_long_as_the_slowest() -> None:
    """A stage that was not reached has no verdict."""
    assert verdict.stages(two_families()) == {
        Stage.WELL_KNOWN: StageVerdict(ok=False, seconds=0.1),
        Stage.SRV: StageVerdict(ok=True, seconds=0.02),
        Stage.DNS: StageVerdict(ok=True, seconds=0.005),
        Stage.TCP: StageVerdict(ok=False, seconds=0.5),
        Stage.TLS: StageVerdict(ok=True, seconds=0.02),
        Stage.VERSION: StageVerdict(ok=True, seconds=0.03),
        Stage.KEYS: StageVerdict(ok=True, seconds=0.04),
    }
    assert list(verdict.stages(expired_certificate())) == [Stage.WELL_KNOWN, Stage.DNS, Stage.TCP, Stage.TLS]


def test_problems_stand_where_they_were_met() -> None:
    refused = Problem(Reason.CONNECT_REFUSED, "connection refused")
    ipv6 = [endpoint.endpoint for endpoint in two_families().endpoints if endpoint.endpoint.ip.version == 6]
    assert list(verdict.problems(two_families())) == [
        LocatedProblem(Stage.WELL_KNOWN, None, Problem(Reason.HTTP_STATUS, "expected 200, found 500")),
        *(LocatedProblem(Stage.TCP, endpoint, refused) for endpoint in ipv6),
    ]
    assert list(verdict.problems(delegated_by_well_known())) == []


# ---------------------------------------------------------------- what was found


def test_certificates_are_those_of_all_connections() -> None:
    """That of an expired one too; a connection that was not made has none."""
    seen = verdict.secured(expired_certificate())
    assert {connection: len(secured) for connection, secured in seen.items()} == {
        CertificateOf.WELL_KNOWN: 1,
        CertificateOf.FEDERATION: 1,
    }
    assert not seen[CertificateOf.FEDERATION][0].certificate.valid
    assert verdict.secured(nothing_resolved()) == {}


def test_the_first_certificate_to_expire_counts() -> None:
    certificates = [tls.certificate for tls in verdict.secured(two_families())[CertificateOf.FEDERATION]]
    first = verdict.first_to_expire(certificates)
    assert first.not_after == min(certificate.not_after for certificate in certificates) < certificates[0].not_after


def test_families_are_counted_where_they_are_published() -> None:
    assert verdict.healthy_by_family(two_families()) == {IPFamily.IPV4: (2, 2), IPFamily.IPV6: (2, 0)}
    assert verdict.healthy_by_family(nothing_resolved()) == {}


def test_the_software_is_that_of_the_first_endpoint_that_tells() -> None:
    silent = EndpointReport(DELEGATED, tcp=REFUSED)
    assert verdict.software(with_endpoints(silent, at("192.0.2.2"))) == Software("Synapse", "1.163.2")
    assert verdict.software(with_endpoints(silent)) is None


def test_the_keys_are_those_that_expire_first() -> None:
    """Of keys that stand up to nothing there are none."""
    soon = SigningKeys({"ed25519:b": "b"}, ENDED_AT + timedelta(minutes=5))
    nothing = SigningKeys({}, ENDED_AT)
    report = with_endpoints(at("192.0.2.1"), *(publishing(at("192.0.2.2"), keys) for keys in (soon, nothing)))
    assert verdict.signing_keys(report) == soon
    assert verdict.signing_keys(nothing_resolved()) is None


def test_a_delegation_is_as_expected_where_it_leads_there_and_nowhere_else() -> None:
    assert verdict.delegation_is(delegated_by_well_known(), MATRIX_443)
    assert not verdict.delegation_is(delegated_by_well_known(), Target("matrix.example.org", 8448))
    assert not verdict.delegation_is(two_families(), Target("one.example.org", 8448))


# ---------------------------------------------------------------- warnings


def test_a_healthy_server_is_warned_of_nothing() -> None:
    assert warned(delegated_by_well_known()) == []


def test_two_families() -> None:
    text = "2 of 4: [2001:db8::1]:8448, [2001:db8::2]:8448"
    assert warned(two_families()) == [
        LocatedWarning(
            WarningName.LEGACY_SRV_ONLY,
            "only _matrix._tcp is published, which is deprecated; _matrix-fed._tcp is missing",
        ),
        LocatedWarning(WarningName.IPV6_BROKEN, "2 published, but none of them passed every stage"),
        LocatedWarning(WarningName.SOME_ENDPOINTS_BROKEN, text),
    ]


def test_a_family_that_is_down_is_named() -> None:
    broken = EndpointReport(DELEGATED, tcp=REFUSED)
    assert warned(with_endpoints(broken)) == [
        LocatedWarning(WarningName.IPV4_BROKEN, "1 published, but none of them passed every stage")
    ]
    assert WarningName.IPV4_BROKEN not in {each.warning for each in warned(with_endpoints(broken, at("192.0.2.2")))}


@pytest.mark.parametrize(
    ("fed", "decided_by", "warns"),
    [
        ((), SrvService.MATRIX, True),
        ((SrvRecord(0, 0, MATRIX_443),), SrvService.MATRIX_FED, False),
        ((), None, False),
    ],
)
def test_the_deprecated_service_alone_is_warned_of(
    fed: tuple[SrvRecord, ...], decided_by: SrvService | None, *, warns: bool
) -> None:
    legacy = (SrvRecord(0, 0, MATRIX_443),) if decided_by else ()
    srv = SrvRecords({SrvService.MATRIX_FED: fed, SrvService.MATRIX: legacy}, decided_by)
    report = replace(delegated_by_well_known(), srv=Passed(0.1, srv))
    assert (WarningName.LEGACY_SRV_ONLY in {each.warning for each in warned(report)}) is warns


@pytest.mark.parametrize(
    ("version", "warns"), [("TLSv1", True), ("TLSv1.1", True), ("TLSv1.2", False), ("TLSv1.3", False)]
)
def test_old_tls_is_warned_of(version: str, *, warns: bool) -> None:
    report = with_endpoints(healthy(DELEGATED, secured(MATRIX_443.host, tls_version=version)))
    expected = [LocatedWarning(WarningName.TLS_VERSION_OLD, f"federation: {version}")] if warns else []
    assert warned(report) == expected


@pytest.mark.parametrize(
    ("ahead", "warns"),
    [
        (timedelta(hours=1), False),
        (timedelta(minutes=59, seconds=59), True),
        (timedelta(seconds=1), True),
        (timedelta(), False),
        (timedelta(hours=-1), False),
    ],
)
def test_keys_that_must_soon_be_fetched_again_are_warned_of(ahead: timedelta, *, warns: bool) -> None:
    """Expired ones are a problem, and no warning."""
    report = with_endpoints(publishing(at("192.0.2.1"), SigningKeys({"ed25519:a": "a"}, ENDED_AT + ahead)))
    text = f"valid_until_ts is {ahead // timedelta(minutes=1)} minutes ahead, expected 60"
    assert warned(report) == ([LocatedWarning(WarningName.KEY_VALIDITY_SHORT, text)] if warns else [])


def test_endpoints_with_different_keys_are_warned_of() -> None:
    """Not with the same keys that are valid for another time."""
    one, two = at("192.0.2.1"), at("192.0.2.2")
    later = SigningKeys({"ed25519:a_1": "a2V5"}, ENDED_AT + timedelta(days=2))
    other = SigningKeys({"ed25519:a_1": "b3RoZXI"}, ENDED_AT + timedelta(days=1))
    assert warned(with_endpoints(one, publishing(two, later))) == []
    assert warned(with_endpoints(one, publishing(two, other))) == [
        LocatedWarning(WarningName.KEYS_DIFFER, "2 different sets of keys are published")
    ]


@pytest.mark.parametrize("report", [delegated_by_well_known, expired_certificate, nothing_resolved, two_families])
def test_every_verdict_can_be_had_of_every_report(report: Callable[[], Report]) -> None:
    for judge in (
        verdict.federates,
        verdict.stages,
        verdict.problems,
        verdict.secured,
        verdict.healthy_by_family,
        verdict.software,
        verdict.signing_keys,
        verdict.warnings,
    ):
        judge(report())
