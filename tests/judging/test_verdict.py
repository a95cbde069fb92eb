"""Verdicts on finished reports."""

from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.judging import verdict
from exporter.judging.verdict import StageVerdict
from exporter.model.enums import CertificateOf, Implementation, IPFamily, Resource, Stage
from exporter.model.findings import SigningKeys, Software
from exporter.model.outcomes import SKIPPED, Failed, Passed, Problem, ProxyFailure, ResourceShortage
from exporter.model.reasons import Reason
from exporter.model.report import EndpointReport, LocatedProblem, Report, Way
from tests.sample_reports import (
    ENDED_AT,
    MATRIX_ENDPOINT,
    delegated_by_well_known,
    expired_certificate,
    healthy_at,
    nothing_resolved,
    two_families,
    with_endpoints,
    with_keys,
)

REFUSED: Failed[None] = Failed(0.5, (Problem(Reason.CONNECT_REFUSED, "connection refused"),))
FORBIDDEN = ProxyFailure(Reason.PROXY_FORBIDDEN, "the proxy a:1 answers 403", "a:1")
PROXIED = replace(healthy_at("192.0.2.1"), tcp=SKIPPED, tunnel=Passed(0.1, "a:1"))
NOT_PROXIED = EndpointReport(PROXIED.endpoint, SKIPPED, tunnel=Failed(0.1, (FORBIDDEN,)))


@pytest.mark.parametrize(
    ("report", "failure"),
    [
        (delegated_by_well_known(), None),
        (with_endpoints(PROXIED), None),
        (with_endpoints(replace(PROXIED, tunnel=Failed(0.1, (Problem(Reason.TUNNEL_FAILED, "503"),)))), None),
        (with_endpoints(PROXIED, NOT_PROXIED), FORBIDDEN),
        (replace(with_endpoints(PROXIED), well_known=Failed(0.1, (FORBIDDEN,))), FORBIDDEN),
        (
            replace(
                with_endpoints(PROXIED),
                detours={Implementation.CONDUIT: Way(with_endpoints().route, endpoints=(NOT_PROXIED,))},
            ),
            FORBIDDEN,
        ),
    ],
)
def test_a_proxy_that_fails_anywhere_says_nothing_about_the_server(
    report: Report, failure: ProxyFailure | None
) -> None:
    """Nor about where some implementations go. That a proxy does not reach a server is no failure of the proxy."""
    assert verdict.proxy_failure(report) == failure


# ---------------------------------------------------------------- federation


@pytest.mark.parametrize(
    ("report", "federates"),
    [
        (delegated_by_well_known(), True),
        (expired_certificate(), False),
        (nothing_resolved(), False),
        (two_families(), True),
        (with_endpoints(healthy_at("192.0.2.1", behind_alias=True)), True),
        (with_endpoints(replace(healthy_at("192.0.2.1"), tcp=REFUSED), healthy_at("192.0.2.2")), True),
    ],
)
def test_one_healthy_endpoint_is_enough(report: Report, *, federates: bool) -> None:
    """A failed well-known does not matter, and neither does an alias: every homeserver follows it."""
    assert verdict.federates(report) is federates


TIMED_OUT: Failed[Software] = Failed(3.0, (Problem(Reason.HTTP_TIMEOUT, "no answer in time"),))


@pytest.mark.parametrize(
    ("report", "stalled_seconds", "starved"),
    [
        (with_endpoints(healthy_at("192.0.2.1"), replace(healthy_at("192.0.2.2"), version=TIMED_OUT)), 3.0, True),
        (with_endpoints(healthy_at("192.0.2.1"), replace(healthy_at("192.0.2.2"), version=TIMED_OUT)), 0.5, False),
        (with_endpoints(replace(healthy_at("192.0.2.1"), tcp=REFUSED)), 3.0, False),
        (delegated_by_well_known(), 3.0, False),
    ],
)
def test_a_timeout_is_not_believed_after_a_long_stall(report: Report, stalled_seconds: float, *, starved: bool) -> None:
    """Any other outcome is an answer, no matter how late the exporter received it."""
    assert verdict.exporter_starved(replace(report, seconds=5.0, stalled_seconds=stalled_seconds)) is starved


def test_a_stall_by_the_probe_itself_is_the_servers_fault() -> None:
    """The report says so, instead of being lost."""
    late = with_endpoints(replace(healthy_at("192.0.2.2"), version=TIMED_OUT))
    late = replace(late, seconds=5.0, stalled_seconds=3.0)
    assert verdict.exporter_starved(replace(late, cpu_seconds=0.1))
    assert not verdict.exporter_starved(replace(late, cpu_seconds=2.9))


def test_a_shortage_of_resources_starves_the_exporter() -> None:
    """The same reason without a shortage does not."""
    shortage = ResourceShortage(Reason.INTERNAL_ERROR, "no memory left", Resource.MEMORY)
    for problem, missing in ((shortage, Resource.MEMORY), (Problem(Reason.INTERNAL_ERROR, "no memory left"), None)):
        report = with_endpoints(replace(healthy_at("192.0.2.1"), tcp=Failed(0.1, (problem,))))
        assert verdict.missing_resource(report) is missing
        assert verdict.exporter_starved(report) is (missing is not None)


def test_every_stage_that_peers_depend_on_must_pass() -> None:
    """One of them that failed is enough to break the endpoint. Nobody asks for the version before federating."""
    endpoint = healthy_at("192.0.2.1")
    problems = (Problem(Reason.INTERNAL_ERROR, "unknown"),)
    for broken in (
        replace(endpoint, tcp=Failed(0.1, problems)),
        replace(endpoint, tls=Failed(0.1, problems)),
        replace(endpoint, keys=Failed(0.1, problems)),
    ):
        assert not verdict.federates(with_endpoints(broken))
    assert verdict.federates(with_endpoints(replace(endpoint, version=Failed(0.1, problems))))


# ---------------------------------------------------------------- stages and problems


def test_a_stage_passes_if_all_endpoints_pass_it() -> None:
    """The slowest endpoint gives the duration. A stage that was not reached has no verdict."""
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


def test_problems_are_located() -> None:
    """Each problem comes with its stage, and with its endpoint if it has one."""
    refused = Problem(Reason.CONNECT_REFUSED, "connection refused")
    ipv6 = [endpoint.endpoint for endpoint in two_families().endpoints if endpoint.endpoint.ip.version == 6]
    assert list(verdict.problems(two_families())) == [
        LocatedProblem(Stage.WELL_KNOWN, None, Problem(Reason.HTTP_STATUS, "expected 200, found 500")),
        *(LocatedProblem(Stage.TCP, endpoint, refused) for endpoint in ipv6),
    ]
    assert list(verdict.problems(delegated_by_well_known())) == []


def test_causes_come_before_what_follows_from_them() -> None:
    """A stage of one endpoint comes before a later stage of another."""
    late = replace(healthy_at("192.0.2.1"), keys=Failed(0.1, (Problem(Reason.KEY_EXPIRED, "expired"),)))
    early = EndpointReport(healthy_at("192.0.2.2").endpoint, Failed(0.1, (Problem(Reason.CONNECT_REFUSED, "refused"),)))
    assert [located.stage for located in verdict.problems(with_endpoints(late, early))] == [Stage.TCP, Stage.KEYS]


# ---------------------------------------------------------------- what was found


def test_every_connection_has_its_tls_session() -> None:
    """A session with an expired certificate counts too. A connection that was not made has none."""
    sessions = verdict.tls_sessions(expired_certificate())
    assert {connection: len(those) for connection, those in sessions.items()} == {
        CertificateOf.WELL_KNOWN: 1,
        CertificateOf.FEDERATION: 1,
    }
    assert not sessions[CertificateOf.FEDERATION][0].certificate.valid
    assert verdict.tls_sessions(nothing_resolved()) == {}


def test_the_first_certificate_to_expire_is_found() -> None:
    """It is the one with the earliest end of validity, at any position."""
    certificates = [tls.certificate for tls in verdict.tls_sessions(two_families())[CertificateOf.FEDERATION]]
    first = verdict.first_to_expire(certificates)
    assert first.not_after == min(certificate.not_after for certificate in certificates) < certificates[0].not_after


def test_endpoints_are_counted_by_family() -> None:
    """A family without endpoints is missing."""
    assert verdict.healthy_by_family(two_families()) == {IPFamily.IPV4: (2, 2), IPFamily.IPV6: (2, 0)}
    assert verdict.healthy_by_family(nothing_resolved()) == {}


def test_the_software_comes_from_the_first_endpoint_that_reports_one() -> None:
    """An endpoint that refuses connections reports none."""
    refusing = EndpointReport(MATRIX_ENDPOINT, tcp=REFUSED)
    assert verdict.software(with_endpoints(refusing, healthy_at("192.0.2.2"))) == Software("Synapse", "1.163.2")
    assert verdict.software(with_endpoints(refusing)) is None


def test_the_keys_that_expire_first_are_found() -> None:
    """A document without a valid key does not count, even if it expires earlier."""
    soon = SigningKeys({"ed25519:b": "b"}, ENDED_AT + timedelta(minutes=5))
    empty = SigningKeys({}, ENDED_AT)
    endpoints = [with_keys(healthy_at("192.0.2.2"), keys) for keys in (soon, empty)]
    report = with_endpoints(healthy_at("192.0.2.1"), *endpoints)
    assert verdict.signing_keys(report) == soon
    assert verdict.signing_keys(nothing_resolved()) is None


SYNAPSE = Software("Synapse", "1.163.2")
PUBLISHED = SigningKeys({"ed25519:a_1": "a2V5"}, ENDED_AT + timedelta(days=1), "application/json")
UP_TO_DNS = [Stage.WELL_KNOWN, Stage.SRV, Stage.DNS]
FROM_TCP_ON = [Stage.TCP, Stage.TLS, Stage.VERSION, Stage.KEYS]


@pytest.mark.parametrize(
    ("report", "verdicts"),
    [
        (
            delegated_by_well_known(),
            (
                [stage for stage in (*UP_TO_DNS, *FROM_TCP_ON) if stage is not Stage.SRV],
                [],
                {CertificateOf.WELL_KNOWN: 1, CertificateOf.FEDERATION: 1},
                {IPFamily.IPV4: (1, 1)},
                SYNAPSE,
                PUBLISHED,
            ),
        ),
        (
            expired_certificate(),
            (
                [Stage.WELL_KNOWN, Stage.DNS, Stage.TCP, Stage.TLS],
                [Reason.CERTIFICATE_EXPIRED],
                {CertificateOf.WELL_KNOWN: 1, CertificateOf.FEDERATION: 1},
                {IPFamily.IPV4: (1, 0)},
                None,
                None,
            ),
        ),
        (nothing_resolved(), (UP_TO_DNS, [Reason.NXDOMAIN], {}, {}, None, None)),
        (
            two_families(),
            (
                [*UP_TO_DNS, *FROM_TCP_ON],
                [Reason.HTTP_STATUS, Reason.CONNECT_REFUSED, Reason.CONNECT_REFUSED],
                {CertificateOf.FEDERATION: 2},
                {IPFamily.IPV4: (2, 2), IPFamily.IPV6: (2, 0)},
                SYNAPSE,
                PUBLISHED,
            ),
        ),
    ],
    ids=["delegated by well-known", "expired certificate", "nothing resolved", "two families"],
)
def test_every_verdict_can_be_derived_from_every_report(report: Report, verdicts: tuple[object, ...]) -> None:
    """It does not matter how far the probe got."""
    assert (
        list(verdict.stages(report)),
        [located.problem.reason for located in verdict.problems(report)],
        {connection: len(sessions) for connection, sessions in verdict.tls_sessions(report).items()},
        verdict.healthy_by_family(report),
        verdict.software(report),
        verdict.signing_keys(report),
    ) == verdicts
