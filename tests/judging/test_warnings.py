"""The rules of the warnings."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from exporter.judging import peers
from exporter.judging.warnings import RULES, WarningName, warnings
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.enums import IPFamily, Oddity, Resource, SrvService
from exporter.model.findings import (
    CameBack,
    Delegation,
    HttpShape,
    Resolution,
    SigningKeys,
    SrvRecord,
    SrvRecords,
    TlsSession,
    WellKnownResponse,
)
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem, ResourceShortage
from exporter.model.reasons import Reason
from exporter.model.report import DeepLook, EndpointDeepLook, EndpointReport, Report
from tests.sample_reports import (
    CAME_OVER_IPV4,
    CAME_OVER_IPV6,
    DEEP_LOOK_AT,
    DID_NOT_COME,
    ENDED_AT,
    MATRIX_443,
    MATRIX_ENDPOINT,
    delegated_by_well_known,
    expired_certificate,
    healthy,
    healthy_at,
    nothing_resolved,
    tls_session,
    two_families,
    with_deep_look,
    with_endpoints,
    with_families,
    with_keys,
)

REFUSED: Failed[None] = Failed(0.5, (Problem(Reason.CONNECT_REFUSED, "connection refused"),))
A_DAY = ENDED_AT + timedelta(days=1)
JSON = "application/json"


def active(report: Report, delegation_last_seen: datetime | None = None) -> list[tuple[WarningName, str]]:
    return [(each.warning, each.detail) for each in warnings(report, delegation_last_seen)]


def details(report: Report, warning: WarningName) -> list[str]:
    """Return the details of one warning, for servers that have others too."""
    return [each.detail for each in warnings(report) if each.warning is warning]


def expected(warning: WarningName, detail: str | None) -> list[tuple[WarningName, str]]:
    """Return the one warning, or none without a `detail`."""
    return [] if detail is None else [(warning, detail)]


@pytest.mark.parametrize("report", [delegated_by_well_known, with_deep_look])
def test_a_healthy_server_has_no_warning(report: Callable[[], Report]) -> None:
    """A deep look that finds no fault adds none."""
    assert warnings(report(), delegation_last_seen=ENDED_AT) == ()


def test_every_warning_has_a_rule() -> None:
    """All but one follow from the report alone."""
    assert {WarningName.DELEGATION_LOST, *RULES} == set(WarningName)


@pytest.mark.parametrize(
    ("report", "expected_names"),
    [
        (expired_certificate, []),
        (nothing_resolved, []),
        (
            two_families,
            [WarningName.LEGACY_SRV_ONLY, WarningName.IPV6_BROKEN, WarningName.SOME_ENDPOINTS_BROKEN],
        ),
    ],
)
def test_an_incomplete_report_has_warnings_too(report: Callable[[], Report], expected_names: list[WarningName]) -> None:
    """Rules cope with whatever is missing in a report."""
    assert [each.warning for each in warnings(report())] == expected_names


# ---------------------------------------------------------------- implementations


def test_works_for_some() -> None:
    """The implementations that do not get through are named, each with what stops it."""
    keys = SigningKeys({"ed25519:a": "a"}, A_DAY, JSON, oddities=frozenset({Oddity.PADDED_BASE64}))
    text = (
        "Dendrite fails at keys of 192.0.2.1:443 (invalid_content): Dendrite refuses the keys: their base64 is padded"
    )
    assert active(with_endpoints(with_keys(healthy_at("192.0.2.1"), keys))) == [(WarningName.WORKS_FOR_SOME, text)]


def test_implementations_that_are_stopped_alike_share_a_sentence() -> None:
    """All of them meet the same problem at the same endpoint."""
    assert [str(obstacle) for obstacle in peers.obstacles(expired_certificate())] == [
        "Synapse, Dendrite and the Conduit family fail at tls of 192.0.2.1:443 (certificate_expired): expired a day ago"
    ]


# ---------------------------------------------------------------- the well-known

VALID = Delegation(86400, server=names.parse("matrix.example.org:443"), response=WellKnownResponse(200, 42, None))
ABSENT: Outcome[Delegation] = Passed(0.1, Delegation(3600, absent_because=Reason.HTTP_STATUS))
BROKEN: Outcome[Delegation] = Failed(0.1, (Problem(Reason.NOT_JSON, "a page"),), Delegation(3600))
UNKNOWN: Outcome[Delegation] = Failed(0.1, (Problem(Reason.INTERNAL_ERROR, "unknown"),))


def with_well_known(outcome: Outcome[Delegation]) -> Report:
    return replace(delegated_by_well_known(), well_known=outcome)


@pytest.mark.parametrize("outcome", [ABSENT, BROKEN])
@pytest.mark.parametrize(
    ("ago", "warns"),
    [(timedelta(minutes=5), True), (timedelta(hours=47, minutes=59), True), (timedelta(hours=48), False)],
)
def test_delegation_lost(outcome: Outcome[Delegation], ago: timedelta, *, warns: bool) -> None:
    """A well-known that is absent or broken is lost for as long as peers may cache the valid one."""
    last_seen = ENDED_AT - ago
    text = f"a valid well-known was last seen at {last_seen:%Y-%m-%d %H:%M} UTC"
    assert active(with_well_known(outcome), last_seen) == expected(WarningName.DELEGATION_LOST, text if warns else None)


@pytest.mark.parametrize(
    ("outcome", "last_seen"),
    [(ABSENT, None), (BROKEN, None), (Passed(0.1, VALID), ENDED_AT), (SKIPPED, ENDED_AT), (UNKNOWN, ENDED_AT)],
)
def test_delegation_not_lost(outcome: Outcome[Delegation], last_seen: datetime | None) -> None:
    """A delegation is not lost if there was none, if there still is one, or if nothing is known about it."""
    assert active(with_well_known(outcome), last_seen) == []


@pytest.mark.parametrize(("size", "warns"), [(12288, False), (12289, True), (50_000, True)])
def test_well_known_large(size: int, *, warns: bool) -> None:
    """The bound is what the strictest homeserver reads."""
    text = f"the well-known has {size} bytes, but some servers read only 12288" if warns else None
    delegation = replace(VALID, response=WellKnownResponse(200, size, None))
    assert active(with_well_known(Passed(0.1, delegation))) == expected(WarningName.WELL_KNOWN_LARGE, text)


def test_a_large_page_without_a_delegation_is_not_a_large_well_known() -> None:
    """Its failure is a problem already."""
    delegation = Delegation(3600, response=WellKnownResponse(200, 50_000, None))
    assert active(with_well_known(Failed(0.1, (Problem(Reason.NOT_JSON, "a page"),), delegation))) == []


@pytest.mark.parametrize(
    ("status", "warns"), [(200, False), (201, True), (204, True), (299, True), (300, False), (404, False), (500, False)]
)
def test_well_known_not_200(status: int, *, warns: bool) -> None:
    """Only other successful statuses cause the warning: some peers accept them."""
    text = f"status {status}: some servers accept it, but the specification requires 200" if warns else None
    delegation = Delegation(3600, response=WellKnownResponse(status, 42, None))
    report = with_well_known(Failed(0.1, (Problem(Reason.HTTP_STATUS, "expected 200"),), delegation))
    assert active(report) == expected(WarningName.WELL_KNOWN_NOT_200, text)


@pytest.mark.parametrize(
    ("announced", "warns"),
    [(None, False), (0, True), (299, True), (300, False), (86400, False), (172_800, False), (172_801, True)],
)
def test_well_known_cache_out_of_bounds(announced: int | None, *, warns: bool) -> None:
    """Headers may allow caching for 5 minutes to 48 hours, or say nothing."""
    text = f"its headers allow caching for {announced} seconds, but peers cache it for 300 to 172800" if warns else None
    delegation = replace(VALID, response=WellKnownResponse(200, 42, announced))
    found = active(with_well_known(Passed(0.1, delegation)))
    assert found == expected(WarningName.WELL_KNOWN_CACHE_OUT_OF_BOUNDS, text)


def test_well_known_insecure_redirect() -> None:
    """A redirect to plain http is a problem by the specification; that peers follow it is worth a warning."""
    delegation = Delegation(3600, response=WellKnownResponse(200, 42, None, redirects=1, insecure=True))
    report = with_well_known(Failed(0.1, (Problem(Reason.REDIRECT, "redirects to http"),), delegation))
    text = "it is redirected to plain http, where anyone on the way can change it; peers follow all the same"
    assert active(report) == [(WarningName.WELL_KNOWN_INSECURE_REDIRECT, text)]


def test_the_caching_of_an_absent_well_known_does_not_matter() -> None:
    """There is no delegation to cache."""
    delegation = Delegation(3600, absent_because=Reason.HTTP_STATUS, response=WellKnownResponse(404, 42, 0))
    assert active(with_well_known(Passed(0.1, delegation))) == []


@pytest.mark.parametrize(
    ("by_address", "detail"),
    [
        ({}, None),
        ({"192.0.2.7:443": "a.test"}, None),
        ({"192.0.2.7:443": "a.test", "192.0.2.8:443": "a.test"}, None),
        (
            {"192.0.2.7:443": "a.test", "[::7]:443": "x.test"},
            "192.0.2.7:443 answers with a.test; [::7]:443 answers with x.test; peers that have IPv6 follow [::7]:443",
        ),
        (
            {"192.0.2.7:443": "a.test", "192.0.2.8:443": "b.test"},
            "192.0.2.7:443 answers with a.test; 192.0.2.8:443 answers with b.test",
        ),
    ],
)
def test_well_known_split_brain(by_address: dict[str, str], detail: str | None) -> None:
    """The addresses of a server name must not return different well-knowns."""
    report = replace(with_deep_look(), deep=DeepLook(DEEP_LOOK_AT, by_address, None))
    assert active(report) == expected(WarningName.WELL_KNOWN_SPLIT_BRAIN, detail)


REFUSED_THERE: Outcome[Delegation] = Passed(0.1, Delegation(3600, absent_because=Reason.CONNECT_REFUSED))
MISMATCH: Outcome[Delegation] = Failed(
    0.1, (Problem(Reason.CERTIFICATE_NAME_MISMATCH, "for other.test"),), Delegation(3600)
)
TIMED_OUT: Outcome[Delegation] = Failed(0.1, (Problem(Reason.CONNECT_TIMEOUT, "no answer"),), Delegation(3600))
NOT_FOUND: Outcome[Delegation] = Passed(
    0.1, Delegation(3600, absent_because=Reason.HTTP_STATUS, response=WellKnownResponse(404, 0, None))
)
READ: Outcome[Delegation] = Passed(0.1, VALID)


@pytest.mark.parametrize(
    ("report", "ipv4", "ipv6", "warning"),
    [
        (two_families(), CAME_OVER_IPV4, CAME_OVER_IPV6, None),
        (two_families(), CAME_OVER_IPV4, DID_NOT_COME, WarningName.OUTBOUND_IPV6_BROKEN),
        (two_families(), CAME_OVER_IPV4, SKIPPED, None),
        (delegated_by_well_known(), CAME_OVER_IPV4, DID_NOT_COME, None),  # it has no IPv6 addresses itself
        (two_families(), DID_NOT_COME, CAME_OVER_IPV6, WarningName.OUTBOUND_IPV4_BROKEN),
        (delegated_by_well_known(), DID_NOT_COME, CAME_OVER_IPV6, WarningName.OUTBOUND_IPV4_BROKEN),
        (two_families(), SKIPPED, CAME_OVER_IPV6, None),
        (two_families(), DID_NOT_COME, DID_NOT_COME, None),  # that is not a matter of one family
        (two_families(), SKIPPED, DID_NOT_COME, None),
    ],
)
def test_outbound_family_broken(
    report: Report, ipv4: Outcome[CameBack], ipv6: Outcome[CameBack], warning: WarningName | None
) -> None:
    """The server comes over one IP family and not over the other one, which it seems to have."""
    came = next((each for each in (ipv4, ipv6) if isinstance(each, Passed)), ipv4)
    seen = with_families(report, ipv4, ipv6, came)
    names_of_warnings = (WarningName.OUTBOUND_IPV4_BROKEN, WarningName.OUTBOUND_IPV6_BROKEN)
    told = {name: each for name in names_of_warnings if (each := details(seen, name))}
    family = "IPv4" if warning is WarningName.OUTBOUND_IPV4_BROKEN else "IPv6"
    detail = f"it does not reach the exporter over {family}, but over the other IP family: nothing came"
    assert told == ({warning: [detail]} if warning else {})


@pytest.mark.parametrize(
    ("over_ipv4", "over_ipv6", "told"),
    [
        (READ, READ, None),
        (READ, NOT_FOUND, None),  # split brain
        (REFUSED_THERE, REFUSED_THERE, None),
        (
            REFUSED_THERE,
            READ,
            ("IPv4", "connect_refused: nothing answers there", "only have IPv4"),
        ),
        (READ, TIMED_OUT, ("IPv6", "connect_timeout: no answer", "only have IPv6")),
        (READ, MISMATCH, ("IPv6", "certificate_name_mismatch: for other.test", "have IPv6")),
    ],
)
def test_well_known_one_family(
    over_ipv4: Outcome[Delegation], over_ipv6: Outcome[Delegation], told: tuple[str, str, str] | None
) -> None:
    """Peers choose by TCP alone, IPv6 first: what fails after TCP stops those that have both families too."""
    over = {IPFamily.IPV4: over_ipv4, IPFamily.IPV6: over_ipv6}
    report = replace(with_deep_look(), deep=DeepLook(DEEP_LOOK_AT, {}, None, well_known_over=over))
    text = "over {} it cannot be fetched ({}), although the homeserver can be reached: peers that {} do not see the"
    detail = f"{text.format(*told)} delegation" if told else None
    assert active(report) == expected(WarningName.WELL_KNOWN_ONE_FAMILY, detail)


# ---------------------------------------------------------------- SRV

ELSEWHERE = Target("old.example.org", 8448)


def srv_records(*targets: Target, service: SrvService | None = SrvService.MATRIX_FED) -> SrvRecords:
    records = {service: tuple(SrvRecord(10, 5, target) for target in targets)} if service else {}
    return SrvRecords({SrvService.MATRIX_FED: (), SrvService.MATRIX: ()} | records, service)


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
            "the SRV records lead to old.example.org:8448, but the well-known leads to matrix.example.org:443",
        ),
        (
            srv_records(MATRIX_443, ELSEWHERE),
            f"the SRV records lead to {MATRIX_443}, {ELSEWHERE}, but the well-known leads to {MATRIX_443}",
        ),
    ],
)
def test_srv_and_well_known_disagree(srv: SrvRecords | None, detail: str | None) -> None:
    """If there are both, they must lead to the same targets."""
    report = replace(with_deep_look(), deep=DeepLook(DEEP_LOOK_AT, {}, srv))
    assert active(report) == expected(WarningName.SRV_AND_WELL_KNOWN_DISAGREE, detail)


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
    """A failed lookup of the legacy records causes no warning."""
    text = "only _matrix._tcp is published, which is deprecated; _matrix-fed._tcp is missing" if warns else None
    report = replace(delegated_by_well_known(), srv=Passed(0.1, srv))
    assert active(report) == expected(WarningName.LEGACY_SRV_ONLY, text)


# ---------------------------------------------------------------- lookups

AAAA_FAILS = Problem(Reason.DNS_FAILURE, "matrix.example.org: AAAA lookup failed: SERVFAIL")
SHORTAGE = ResourceShortage(Reason.INTERNAL_ERROR, "no file descriptors left", Resource.FILE_DESCRIPTORS)


@pytest.mark.parametrize(("of_website", "of_target"), [((), (AAAA_FAILS,)), ((AAAA_FAILS,), (AAAA_FAILS, SHORTAGE))])
def test_address_lookup_partial(of_website: tuple[Problem, ...], of_target: tuple[Problem, ...]) -> None:
    """A lookup that fails for the website and for a target is told once, and one that the exporter spoils is not."""
    report = replace(
        with_well_known(Passed(0.1, replace(VALID, partial_lookups=of_website))),
        dns=Passed(0.1, Resolution((MATRIX_ENDPOINT,), partial_lookups=of_target)),
    )
    text = f"{AAAA_FAILS.detail}; the probe went on with the other IP family"
    assert active(report) == [(WarningName.ADDRESS_LOOKUP_PARTIAL, text)]


def test_a_lookup_that_the_exporter_itself_delayed_says_nothing() -> None:
    """The answer may have come, and the event loop was late to read it."""
    silent = Problem(Reason.DNS_TIMEOUT, "matrix.example.org: AAAA lookup failed: no valid answer")
    resolved = Passed(0.1, Resolution((MATRIX_ENDPOINT,), partial_lookups=(silent, AAAA_FAILS)))
    report = replace(with_well_known(Passed(0.1, VALID)), dns=resolved, stalled_seconds=0.1)
    text = f"{AAAA_FAILS.detail}; the probe went on with the other IP family"
    assert active(report) == [(WarningName.ADDRESS_LOOKUP_PARTIAL, text)]


# ---------------------------------------------------------------- endpoints


def broken(ip: str) -> EndpointReport:
    return EndpointReport(healthy_at(ip).endpoint, tcp=REFUSED)


@pytest.mark.parametrize(
    ("endpoints", "expected_warnings"),
    [
        ((healthy_at("192.0.2.1"), healthy_at("2001:db8::1")), []),
        ((broken("192.0.2.1"),), []),
        (
            (healthy_at("192.0.2.1"), broken("2001:db8::1"), broken("2001:db8::2")),
            [
                (WarningName.IPV6_BROKEN, "0 of 2 endpoints passed every stage, but the other IP family works"),
                (
                    WarningName.SOME_ENDPOINTS_BROKEN,
                    "2 of 3 endpoints failed a stage: [2001:db8::1]:443, [2001:db8::2]:443",
                ),
            ],
        ),
        (
            (healthy_at("192.0.2.1"), broken("192.0.2.2")),
            [(WarningName.SOME_ENDPOINTS_BROKEN, "1 of 2 endpoints failed a stage: 192.0.2.2:443")],
        ),
        (
            (broken("192.0.2.1"), healthy_at("2001:db8::1")),
            [
                (WarningName.IPV4_BROKEN, "0 of 1 endpoints passed every stage, but the other IP family works"),
                (WarningName.SOME_ENDPOINTS_BROKEN, "1 of 2 endpoints failed a stage: 192.0.2.1:443"),
            ],
        ),
        ((broken("192.0.2.1"), broken("2001:db8::1")), []),
    ],
)
def test_broken_endpoints(
    endpoints: tuple[EndpointReport, ...], expected_warnings: list[tuple[WarningName, str]]
) -> None:
    """A family or an endpoint is broken only if another one is healthy: otherwise, the whole server is."""
    assert active(with_endpoints(*endpoints)) == expected_warnings


@pytest.mark.parametrize(
    ("version", "warns"), [("SSLv3", True), ("TLSv1", True), ("TLSv1.1", True), ("TLSv1.2", False), ("TLSv1.3", False)]
)
def test_tls_version_old(version: str, *, warns: bool) -> None:
    """Versions before TLS 1.2 are old."""
    report = with_endpoints(healthy(MATRIX_ENDPOINT, tls_session(MATRIX_443.host, tls_version=version)))
    assert active(report) == expected(WarningName.TLS_VERSION_OLD, f"federation: {version}" if warns else None)


def test_old_tls_of_the_web_server_is_named_separately() -> None:
    """The detail says to which connection the version belongs."""
    delegation = Delegation(86400, server=VALID.server, tls_session=tls_session("example.org", tls_version="TLSv1.1"))
    assert active(with_well_known(Passed(0.1, delegation))) == [(WarningName.TLS_VERSION_OLD, "well_known: TLSv1.1")]


EXPIRED: Failed[TlsSession] = Failed(0.02, (Problem(Reason.CERTIFICATE_EXPIRED, "expired a day ago"),))


def test_no_failover() -> None:
    """An address that accepts connections and then fails is named if another one of its target works."""
    report = with_endpoints(healthy_at("192.0.2.1"), replace(healthy_at("192.0.2.2"), tls=EXPIRED))
    text = f"some addresses of {MATRIX_443} accept connections and then fail, others work"
    assert details(report, WarningName.NO_FAILOVER) == [f"{text}: 192.0.2.2:443 (tls: certificate_expired)"]


@pytest.mark.parametrize(
    "endpoints",
    [
        (replace(healthy_at("192.0.2.1"), tls=EXPIRED), replace(healthy_at("192.0.2.2"), tls=EXPIRED)),
        (replace(healthy_at("192.0.2.1"), tls=EXPIRED), broken("192.0.2.2")),
    ],
)
def test_failover_does_not_matter_if_nothing_works(endpoints: tuple[EndpointReport, ...]) -> None:
    """Peers can only fail then."""
    assert active(with_endpoints(*endpoints)) == []


@pytest.mark.parametrize(
    ("version", "cipher", "names"),
    [
        ("TLSv1.3", "TLS_AES_128_GCM_SHA256", None),
        ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", None),
        ("TLSv1.2", "ECDHE-RSA-AES128-SHA", "the Conduit family"),
        ("TLSv1.2", "AES128-GCM-SHA256", "Dendrite and the Conduit family"),
    ],
)
def test_tls_cipher_old(version: str, cipher: str, names: str | None) -> None:
    """A cipher suite of TLS 1.2 is old if some implementation does not support it."""
    session = replace(tls_session(MATRIX_443.host, tls_version=version), cipher=cipher)
    report = with_endpoints(healthy(MATRIX_ENDPOINT, session))
    text = names and f"federation: {cipher}, which is not offered by {names}"
    assert details(report, WarningName.TLS_CIPHER_OLD) == ([text] if text else [])


@pytest.mark.parametrize(("size", "warns"), [(16384, False), (16385, True)])
def test_header_line_long(size: int, *, warns: bool) -> None:
    """Synapse drops responses with longer lines, whether they are the keys or the well-known."""
    shape = HttpShape(3, size)
    report = replace(
        with_endpoints(replace(healthy_at("192.0.2.1"), keys_shape=shape)),
        well_known=Passed(0.1, replace(VALID, response=WellKnownResponse(200, 42, None, shape=shape))),
    )
    responses = ("the well-known", "the keys at 192.0.2.1:443") if warns else ()
    assert details(report, WarningName.HEADER_LINE_LONG) == [
        f"{response}: a header line has {size} bytes, but Synapse reads only 16384" for response in responses
    ]


def test_host_with_port_differs() -> None:
    """Only the endpoint that differs is named, with the difference."""
    differs = EndpointDeepLook(Passed(0.1, None), "http_status when Host is matrix.example.org:443")
    same = replace(healthy_at("192.0.2.2"), deep=EndpointDeepLook(Passed(0.1, None)))
    report = with_endpoints(replace(healthy_at("192.0.2.1"), deep=differs), same, healthy_at("192.0.2.3"))
    assert active(report) == [
        (
            WarningName.HOST_WITH_PORT_DIFFERS,
            "192.0.2.1:443: http_status when Host is matrix.example.org:443",
        )
    ]


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("ahead", "warns"),
    [
        (timedelta(hours=1), False),
        (timedelta(minutes=58, seconds=59, milliseconds=750), False),
        (timedelta(minutes=58, seconds=59, milliseconds=749), True),
        (timedelta(seconds=1), True),
        (timedelta(), False),
        (timedelta(hours=-1), False),
    ],
)
def test_key_validity_short(ahead: timedelta, *, warns: bool) -> None:
    """The duration of the probe and a minute of clock are allowed for. Expired keys are a problem, not a warning."""
    report = with_endpoints(with_keys(healthy_at("192.0.2.1"), SigningKeys({"ed25519:a": "a"}, ENDED_AT + ahead, JSON)))
    text = f"valid_until_ts is {ahead // timedelta(minutes=1)} minutes ahead, expected at least 60" if warns else None
    assert active(report) == expected(WarningName.KEY_VALIDITY_SHORT, text)


def test_keys_differ() -> None:
    """The same keys with different validity do not differ."""
    one, two = healthy_at("192.0.2.1"), healthy_at("192.0.2.2")
    later = SigningKeys({"ed25519:a_1": "a2V5"}, ENDED_AT + timedelta(days=2), JSON)
    other = SigningKeys({"ed25519:a_1": "b3RoZXI"}, A_DAY, JSON)
    assert active(with_endpoints(one, with_keys(two, later))) == []
    assert active(with_endpoints(one, with_keys(two, other))) == [
        (WarningName.KEYS_DIFFER, "the endpoints publish 2 different sets of keys")
    ]


@pytest.mark.parametrize(
    ("content_type", "shown"), [(JSON, None), ("text/html", "text/html"), ("", "missing"), (None, "missing")]
)
def test_keys_content_type(content_type: str | None, shown: str | None) -> None:
    """Keys must come as application/json."""
    report = with_endpoints(with_keys(healthy_at("192.0.2.1"), SigningKeys({"ed25519:a": "a"}, A_DAY, content_type)))
    text = shown and f"Content-Type is {shown}, expected application/json"
    assert active(report) == expected(WarningName.KEYS_CONTENT_TYPE, text)


def test_old_key_inconsistent() -> None:
    """Each fault is listed once for all endpoints, and no more than five are listed."""
    faults = tuple(f"fault {number}" for number in range(7))
    keys = SigningKeys({"ed25519:a": "a"}, A_DAY, JSON, faults)
    report = with_endpoints(with_keys(healthy_at("192.0.2.1"), keys), with_keys(healthy_at("192.0.2.2"), keys))
    assert active(report) == [
        (WarningName.OLD_KEY_INCONSISTENT, "fault 0; fault 1; fault 2; fault 3; fault 4"),
    ]
