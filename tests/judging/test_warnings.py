from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from exporter.judging.warnings import RULES, ActiveWarning, WarningName, warnings
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.enums import SrvService
from exporter.model.findings import Delegation, SigningKeys, SrvRecord, SrvRecords, WellKnownResponse
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import DeepLook, EndpointDeepLook, EndpointReport, Report
from tests.sample_reports import (
    DELEGATED,
    ENDED_AT,
    LOOKED_AT,
    MATRIX_443,
    at,
    delegated_by_well_known,
    expired_certificate,
    healthy,
    looked_at_deeply,
    nothing_resolved,
    publishing,
    secured,
    two_families,
    with_endpoints,
)

REFUSED: Failed[None] = Failed(0.5, (Problem(Reason.CONNECT_REFUSED, "connection refused"),))
A_DAY = ENDED_AT + timedelta(days=1)
JSON = "application/json"


def warned(report: Report, delegation_last_seen: datetime | None = None) -> list[tuple[WarningName, str]]:
    return [(located.warning, located.detail) for located in warnings(report, delegation_last_seen)]


def expected(warning: WarningName, detail: str | None) -> list[tuple[WarningName, str]]:
    """The one warning, or none at all where there is no `detail`."""
    return [] if detail is None else [(warning, detail)]


@pytest.mark.parametrize("report", [delegated_by_well_known, looked_at_deeply])
def test_a_healthy_server_is_warned_of_nothing(report: Callable[[], Report]) -> None:
    assert warnings(report(), delegation_last_seen=ENDED_AT) == ()


def test_every_warning_has_a_rule() -> None:
    """All but one are told by the report alone."""
    assert {WarningName.DELEGATION_LOST, *RULES} == set(WarningName)


@pytest.mark.parametrize("report", [expired_certificate, nothing_resolved, two_families])
def test_every_report_can_be_judged(report: Callable[[], Report]) -> None:
    """Whatever is missing in it."""
    assert all(isinstance(located, ActiveWarning) for located in warnings(report()))


# ---------------------------------------------------------------- the well-known

VALID = Delegation(86400, server=names.parse("matrix.example.org:443"), answered=WellKnownResponse(200, 42, None))
ABSENT: Outcome[Delegation] = Passed(0.1, Delegation(3600, absent_because=Reason.HTTP_STATUS))
BROKEN: Outcome[Delegation] = Failed(0.1, (Problem(Reason.NOT_JSON, "a page"),), Delegation(3600))
UNREADABLE: Outcome[Delegation] = Failed(0.1, (Problem(Reason.INTERNAL_ERROR, "whatever"),))


def finding(outcome: Outcome[Delegation]) -> Report:
    return replace(delegated_by_well_known(), well_known=outcome)


@pytest.mark.parametrize("outcome", [ABSENT, BROKEN])
@pytest.mark.parametrize(
    ("ago", "warns"),
    [(timedelta(minutes=5), True), (timedelta(hours=47, minutes=59), True), (timedelta(hours=48), False)],
)
def test_delegation_lost(outcome: Outcome[Delegation], ago: timedelta, *, warns: bool) -> None:
    """As long as peers may keep what they saw, be it absent now or broken."""
    seen = ENDED_AT - ago
    text = f"a valid well-known was last seen at {seen:%Y-%m-%d %H:%M} UTC"
    assert warned(finding(outcome), seen) == expected(WarningName.DELEGATION_LOST, text if warns else None)


@pytest.mark.parametrize(
    ("outcome", "seen"),
    [(ABSENT, None), (BROKEN, None), (Passed(0.1, VALID), ENDED_AT), (SKIPPED, ENDED_AT), (UNREADABLE, ENDED_AT)],
)
def test_delegation_not_lost(outcome: Outcome[Delegation], seen: datetime | None) -> None:
    """Where there was none, where there is one, and where nothing is known of it."""
    assert warned(finding(outcome), seen) == []


@pytest.mark.parametrize(("size", "warns"), [(12288, False), (12289, True), (50_000, True)])
def test_well_known_large(size: int, *, warns: bool) -> None:
    text = f"{size} bytes, some servers read 12288" if warns else None
    answered = replace(VALID, answered=WellKnownResponse(200, size, None))
    assert warned(finding(Passed(0.1, answered))) == expected(WarningName.WELL_KNOWN_LARGE, text)


def test_a_large_page_that_delegates_nothing_is_no_large_well_known() -> None:
    answered = Delegation(3600, answered=WellKnownResponse(200, 50_000, None))
    assert warned(finding(Failed(0.1, (Problem(Reason.NOT_JSON, "a page"),), answered))) == []


@pytest.mark.parametrize(
    ("status", "warns"), [(200, False), (201, True), (204, True), (299, True), (300, False), (404, False), (500, False)]
)
def test_well_known_not_200(status: int, *, warns: bool) -> None:
    """Of a status that says that all is well."""
    text = f"status {status}: some servers accept it, the specification does not" if warns else None
    answered = Delegation(3600, answered=WellKnownResponse(status, 42, None))
    report = finding(Failed(0.1, (Problem(Reason.HTTP_STATUS, "expected 200"),), answered))
    assert warned(report) == expected(WarningName.WELL_KNOWN_NOT_200, text)


@pytest.mark.parametrize(
    ("announced", "warns"),
    [(None, False), (0, True), (299, True), (300, False), (86400, False), (172_800, False), (172_801, True)],
)
def test_well_known_cache_out_of_bounds(announced: int | None, *, warns: bool) -> None:
    """Five minutes to 48 hours; an answer that says nothing is fine."""
    text = f"{announced} seconds are announced, peers keep it for 300 to 172800" if warns else None
    answered = replace(VALID, answered=WellKnownResponse(200, 42, announced))
    assert warned(finding(Passed(0.1, answered))) == expected(WarningName.WELL_KNOWN_CACHE_OUT_OF_BOUNDS, text)


def test_how_long_an_absence_may_be_kept_does_not_matter() -> None:
    answered = Delegation(3600, absent_because=Reason.HTTP_STATUS, answered=WellKnownResponse(404, 42, 0))
    assert warned(finding(Passed(0.1, answered))) == []


@pytest.mark.parametrize(
    ("answers", "detail"),
    [
        ({}, None),
        ({"192.0.2.7:443": "a.test"}, None),
        ({"192.0.2.7:443": "a.test", "192.0.2.8:443": "a.test"}, None),
        (
            {"192.0.2.7:443": "a.test", "[2001:db8::7]:443": "not_json"},
            "192.0.2.7:443 answers a.test; [2001:db8::7]:443 answers not_json",
        ),
    ],
)
def test_well_known_split_brain(answers: dict[str, str], detail: str | None) -> None:
    """Whichever of them a peer meets."""
    report = replace(looked_at_deeply(), deep=DeepLook(LOOKED_AT, answers, None))
    assert warned(report) == expected(WarningName.WELL_KNOWN_SPLIT_BRAIN, detail)


# ---------------------------------------------------------------- SRV

ELSEWHERE = Target("old.example.org", 8448)


def srv_records(*targets: Target, service: SrvService | None = SrvService.MATRIX_FED) -> SrvRecords:
    found = {service: tuple(SrvRecord(10, 5, target) for target in targets)} if service else {}
    return SrvRecords({SrvService.MATRIX_FED: (), SrvService.MATRIX: ()} | found, service)


@pytest.mark.parametrize(
    ("srv", "detail"),
    [
        (None, None),
        (srv_records(service=None), None),
        (srv_records(), None),
        (srv_records(MATRIX_443), None),
        (srv_records(MATRIX_443, service=SrvService.MATRIX), None),
        (
            srv_records(ELSEWHERE),
            "the SRV records lead to old.example.org:8448, the well-known to matrix.example.org:443",
        ),
        (
            srv_records(MATRIX_443, ELSEWHERE),
            f"the SRV records lead to {MATRIX_443}, {ELSEWHERE}, the well-known to {MATRIX_443}",
        ),
    ],
)
def test_srv_and_well_known_disagree(srv: SrvRecords | None, detail: str | None) -> None:
    """Where there are both, and they do not lead to the same targets."""
    report = replace(looked_at_deeply(), deep=DeepLook(LOOKED_AT, {}, srv))
    assert warned(report) == expected(WarningName.SRV_AND_WELL_KNOWN_DISAGREE, detail)


@pytest.mark.parametrize(
    ("srv", "warns"),
    [
        (srv_records(MATRIX_443, service=SrvService.MATRIX), True),
        (srv_records(MATRIX_443), False),
        (srv_records(service=None), False),
        (SrvRecords({SrvService.MATRIX_FED: ()}, SrvService.MATRIX), False),
    ],
)
def test_legacy_srv_only(srv: SrvRecords, *, warns: bool) -> None:
    """Not where its lookup failed."""
    text = "only _matrix._tcp is published, which is deprecated; _matrix-fed._tcp is missing" if warns else None
    report = replace(delegated_by_well_known(), srv=Passed(0.1, srv))
    assert warned(report) == expected(WarningName.LEGACY_SRV_ONLY, text)


# ---------------------------------------------------------------- endpoints


def broken(ip: str) -> EndpointReport:
    return EndpointReport(at(ip).endpoint, tcp=REFUSED)


@pytest.mark.parametrize(
    ("endpoints", "found"),
    [
        ((at("192.0.2.1"), at("2001:db8::1")), []),
        (
            (broken("192.0.2.1"),),
            [(WarningName.IPV4_BROKEN, "1 published, but none of them passed every stage")],
        ),
        (
            (at("192.0.2.1"), broken("2001:db8::1"), broken("2001:db8::2")),
            [
                (WarningName.IPV6_BROKEN, "2 published, but none of them passed every stage"),
                (WarningName.SOME_ENDPOINTS_BROKEN, "2 of 3: [2001:db8::1]:443, [2001:db8::2]:443"),
            ],
        ),
        (
            (at("192.0.2.1"), broken("192.0.2.2")),
            [(WarningName.SOME_ENDPOINTS_BROKEN, "1 of 2: 192.0.2.2:443")],
        ),
        (
            (broken("192.0.2.1"), broken("2001:db8::1")),
            [
                (WarningName.IPV4_BROKEN, "1 published, but none of them passed every stage"),
                (WarningName.IPV6_BROKEN, "1 published, but none of them passed every stage"),
            ],
        ),
    ],
)
def test_broken_endpoints(endpoints: tuple[EndpointReport, ...], found: list[tuple[WarningName, str]]) -> None:
    """A family is broken where none of its endpoints is healthy; some endpoints are, where not all of them are."""
    assert warned(with_endpoints(*endpoints)) == found


@pytest.mark.parametrize(
    ("version", "warns"), [("SSLv3", True), ("TLSv1", True), ("TLSv1.1", True), ("TLSv1.2", False), ("TLSv1.3", False)]
)
def test_tls_version_old(version: str, *, warns: bool) -> None:
    report = with_endpoints(healthy(DELEGATED, secured(MATRIX_443.host, tls_version=version)))
    assert warned(report) == expected(WarningName.TLS_VERSION_OLD, f"federation: {version}" if warns else None)


def test_old_tls_of_the_web_server_is_told_apart() -> None:
    delegation = Delegation(86400, server=VALID.server, secured=secured("example.org", tls_version="TLSv1.1"))
    assert warned(finding(Passed(0.1, delegation))) == [(WarningName.TLS_VERSION_OLD, "well_known: TLSv1.1")]


def test_host_with_port_differs() -> None:
    """Each endpoint says how."""
    differs = EndpointDeepLook(Passed(0.1, None), "http_status where Host is matrix.example.org:443")
    alike = replace(at("192.0.2.2"), deep=EndpointDeepLook(Passed(0.1, None)))
    report = with_endpoints(replace(at("192.0.2.1"), deep=differs), alike, at("192.0.2.3"))
    assert warned(report) == [
        (
            WarningName.HOST_WITH_PORT_DIFFERS,
            "192.0.2.1:443: http_status where Host is matrix.example.org:443",
        )
    ]


# ---------------------------------------------------------------- keys


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
def test_key_validity_short(ahead: timedelta, *, warns: bool) -> None:
    """Expired ones are a problem, and no warning."""
    report = with_endpoints(publishing(at("192.0.2.1"), SigningKeys({"ed25519:a": "a"}, ENDED_AT + ahead, JSON)))
    text = f"valid_until_ts is {ahead // timedelta(minutes=1)} minutes ahead, expected 60" if warns else None
    assert warned(report) == expected(WarningName.KEY_VALIDITY_SHORT, text)


def test_keys_differ() -> None:
    """Not where the same keys are valid for another time."""
    one, two = at("192.0.2.1"), at("192.0.2.2")
    later = SigningKeys({"ed25519:a_1": "a2V5"}, ENDED_AT + timedelta(days=2), JSON)
    other = SigningKeys({"ed25519:a_1": "b3RoZXI"}, A_DAY, JSON)
    assert warned(with_endpoints(one, publishing(two, later))) == []
    assert warned(with_endpoints(one, publishing(two, other))) == [
        (WarningName.KEYS_DIFFER, "2 different sets of keys are published")
    ]


@pytest.mark.parametrize(
    ("content_type", "said"), [(JSON, None), ("text/html", "text/html"), ("", "none"), (None, "none")]
)
def test_keys_content_type(content_type: str | None, said: str | None) -> None:
    report = with_endpoints(publishing(at("192.0.2.1"), SigningKeys({"ed25519:a": "a"}, A_DAY, content_type)))
    text = said and f"the keys come as {said}, expected application/json"
    assert warned(report) == expected(WarningName.KEYS_CONTENT_TYPE, text)


def test_old_key_inconsistent() -> None:
    """Each fault once, whoever publishes it, and not more than a handful."""
    faults = tuple(f"fault {number}" for number in range(7))
    keys = SigningKeys({"ed25519:a": "a"}, A_DAY, JSON, faults)
    report = with_endpoints(publishing(at("192.0.2.1"), keys), publishing(at("192.0.2.2"), keys))
    assert warned(report) == [
        (WarningName.OLD_KEY_INCONSISTENT, "fault 0; fault 1; fault 2; fault 3; fault 4"),
    ]
