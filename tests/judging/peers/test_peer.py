"""What holds for every implementation: which endpoint it takes, and when it goes on to another."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from exporter.judging import peers, verdict
from exporter.judging.peers.dendrite import Dendrite
from exporter.judging.peers.peer import Peer, preferred_endpoints
from exporter.judging.peers.synapse import Synapse
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import Implementation, Means, Stage
from exporter.model.findings import Delegation, SigningKeys
from exporter.model.outcomes import SKIPPED, Failed, Passed, Problem, ResponseSummary
from exporter.model.reasons import Reason
from exporter.model.report import EndpointDeepLook, EndpointReport, LocatedProblem, Report, SecondLook, Way
from tests.judging.peers.decisions import HEALTHY, LEADS, stopped_by, with_directory, with_key_oddities
from tests.sample_reports import (
    ENDED_AT,
    MATRIX_443,
    delegated_by_well_known,
    expired_certificate,
    healthy_at,
    nothing_resolved,
    tls_session,
    with_endpoints,
    with_keys,
    with_outbound,
)

SYNAPSE, DENDRITE = Synapse(), Dendrite()
NEXT_TARGET = Target("next.example.org", 443)


def refusing(ip: str) -> EndpointReport:
    problem = Problem(Reason.CONNECT_REFUSED, "connection refused")
    return EndpointReport(Endpoint(MATRIX_443, ip_address(ip)), Failed(0.1, (problem,)))


def expired(ip: str) -> EndpointReport:
    problem = Problem(Reason.CERTIFICATE_EXPIRED, "expired a day ago")
    session = tls_session(MATRIX_443.host, -1)
    return replace(healthy_at(ip), tls=Failed(0.1, (problem,), session), version=SKIPPED, keys=SKIPPED)


def silent(ip: str) -> EndpointReport:
    """Return an endpoint whose certificate is good, and which does not answer the request for the keys."""
    return replace(healthy_at(ip), keys=Failed(0.1, (Problem(Reason.HTTP_TIMEOUT, "no answer in time"),)))


@pytest.mark.parametrize(
    ("endpoints", "reason"),
    [
        ((healthy_at("192.0.2.1"),), None),
        ((refusing("2001:db8::1"), healthy_at("192.0.2.1")), None),
        ((refusing("192.0.2.1"), refusing("192.0.2.2")), Reason.CONNECT_REFUSED),
        ((expired("2001:db8::1"), healthy_at("192.0.2.1")), Reason.CERTIFICATE_EXPIRED),
        ((silent("2001:db8::1"), healthy_at("192.0.2.1")), Reason.HTTP_TIMEOUT),
        ((healthy_at("2001:db8::1"), expired("192.0.2.1")), None),
        ((expired("192.0.2.1"), healthy_at("192.0.2.2")), None),
        ((replace(HEALTHY, version=Failed(0.1, (Problem(Reason.HTTP_STATUS, "status 404"),))),), None),
    ],
)
@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.name)
def test_tcp_decides_and_ipv6_comes_first(
    peer: Peer, endpoints: tuple[EndpointReport, ...], reason: Reason | None
) -> None:
    """Once TCP succeeded there is no other address. Nobody asks for the version."""
    assert stopped_by(peer, with_endpoints(*endpoints)) is reason


def test_the_preferred_endpoints_are_those_of_one_family() -> None:
    """They accept connections, and are over IPv6 where any of those is."""
    ipv4, ipv6 = healthy_at("192.0.2.1"), healthy_at("2001:db8::1")
    assert preferred_endpoints([ipv4, ipv6]) == [ipv6]
    assert preferred_endpoints([ipv4, refusing("2001:db8::1")]) == [ipv4]
    assert preferred_endpoints([refusing("192.0.2.1")]) == []


def two_targets(first: EndpointReport) -> Report:
    """Return a report with two SRV targets, the second of which is healthy."""
    report = delegated_by_well_known()
    route = replace(report.route, targets=(MATRIX_443, NEXT_TARGET))
    second = replace(healthy_at("192.0.2.2"), endpoint=Endpoint(NEXT_TARGET, ip_address("192.0.2.2")))
    return replace(report, route=route, endpoints=(first, second))


@pytest.mark.parametrize(
    ("first", "synapse", "dendrite"),
    [
        (refusing("192.0.2.1"), None, None),
        (expired("192.0.2.1"), Reason.CERTIFICATE_EXPIRED, None),
        (silent("192.0.2.1"), Reason.HTTP_TIMEOUT, Reason.HTTP_TIMEOUT),
    ],
)
def test_the_next_target_is_tried_after_failures_to_connect(
    first: EndpointReport, synapse: Reason | None, dendrite: Reason | None
) -> None:
    """Dendrite counts TLS as a part of connecting."""
    assert stopped_by(SYNAPSE, two_targets(first)) is synapse
    assert stopped_by(DENDRITE, two_targets(first)) is dendrite


@pytest.mark.parametrize(("keys", "reason"), [("a2V5", None), ("b3RoZXI", Reason.SIGNATURE_INVALID)])
def test_the_families_must_lead_to_the_same_keys(keys: str, reason: Reason | None) -> None:
    """Nobody can see with which of them the server signs."""
    other = SigningKeys({"ed25519:a_1": keys}, ENDED_AT, "application/json")
    report = with_endpoints(healthy_at("2001:db8::1"), with_keys(healthy_at("192.0.2.1"), other))
    assert stopped_by(SYNAPSE, report) is reason


@pytest.mark.parametrize(
    ("status", "errcode", "reason"),
    [
        (401, "M_UNAUTHORIZED", None),
        (404, "M_UNRECOGNIZED", None),
        (404, None, Reason.NOT_FORWARDED),
        (200, None, Reason.NOT_FORWARDED),
    ],
)
def test_the_homeserver_must_answer_requests_for_a_room_alias(
    status: int, errcode: str | None, reason: Reason | None
) -> None:
    """An errcode shows that it does, whatever it is."""
    assert stopped_by(SYNAPSE, with_directory(status, errcode)) is reason


def test_the_keys_are_the_cause_if_a_homeserver_is_down() -> None:
    """Lookups fail for the same reason, which is found later."""
    down: Failed[SigningKeys] = Failed(0.1, (Problem(Reason.HTTP_STATUS, "status 502"),))
    unanswered = EndpointDeepLook(directory=ResponseSummary(502, None))
    assert stopped_by(SYNAPSE, with_endpoints(replace(HEALTHY, keys=down, deep=unanswered))) is Reason.HTTP_STATUS


@pytest.mark.parametrize(
    ("reason", "stops"),
    [
        (Reason.SERVER_NAME_MISMATCH, True),
        (Reason.KEY_EXPIRED, True),
        (Reason.NO_SIGNING_KEY, True),
        (Reason.NOT_JSON, False),
        (Reason.HTTP_STATUS, False),
        (Reason.INVALID_CONTENT, False),
    ],
)
def test_some_problems_of_the_keys_stop_every_homeserver(reason: Reason, *, stops: bool) -> None:
    """What else is wrong with a document that holds good keys is in its oddities."""
    report = with_key_oddities((), Problem(reason, "a sentence"))
    expected = reason if stops else None
    assert [stopped_by(peer, report) for peer in peers.PEERS] == [expected] * len(peers.PEERS)


def test_a_detour_is_followed_by_those_that_take_it() -> None:
    """The others go where the specification says."""
    ended = LocatedProblem(Stage.SRV, None, Problem(Reason.DNS_FAILURE, "SERVFAIL"))
    report = replace(delegated_by_well_known(), detours={Implementation.SYNAPSE: Way(ended)})
    verdicts = peers.verdicts(report)
    assert (verdicts[Implementation.SYNAPSE].federates, verdicts[Implementation.SYNAPSE].problem) == (False, ended)
    assert verdicts[Implementation.DENDRITE].federates


def test_the_verdicts_on_a_report_are_kept_and_those_on_another_are_not_confused_with_them() -> None:
    """They cannot be changed, as everything about the report reads the same ones."""
    good, equal, bad = delegated_by_well_known(), delegated_by_well_known(), nothing_resolved()
    first = [peers.verdicts(report) for report in (good, equal, bad)]
    assert [peers.verdicts(report) for report in (good, equal, bad)] == first
    assert peers.verdicts(good) is first[0] is not first[1]
    assert not isinstance(first[0], dict)


@pytest.mark.parametrize(
    ("report", "stage", "reason"),
    [
        (nothing_resolved(), Stage.DNS, Reason.NXDOMAIN),
        (expired_certificate(), Stage.TLS, Reason.CERTIFICATE_EXPIRED),
        (with_endpoints(refusing("192.0.2.1")), Stage.TCP, Reason.CONNECT_REFUSED),
    ],
)
def test_the_first_obstacle_is_named_with_its_stage(report: Report, stage: Stage, reason: Reason) -> None:
    """All homeservers meet it."""
    obstacles = [verdict.problem for verdict in peers.verdicts(report).values()]
    assert [found and (found.stage, found.problem.reason) for found in obstacles] == [(stage, reason)] * len(obstacles)


@pytest.mark.parametrize(
    ("tls_version", "cipher", "readers"),
    [
        ("TLSv1.3", "TLS_AES_256_GCM_SHA384", set(Implementation)),
        ("TLSv1.2", "DHE-RSA-AES128-GCM-SHA256", {Implementation.SYNAPSE}),
        ("TLSv1.2", "ECDHE-RSA-AES128-SHA", {Implementation.SYNAPSE, Implementation.DENDRITE}),
        ("TLSv1.1", "ECDHE-RSA-AES128-SHA", set()),
    ],
)
def test_a_well_known_is_read_over_a_session_like_any_other(
    tls_version: str, cipher: str, readers: set[Implementation]
) -> None:
    """Who cannot agree on one with the website falls back."""
    session = replace(tls_session("example.test", tls_version=tls_version), cipher=cipher)
    outcome = Passed(0.1, Delegation(3600, tls_session=session, response=LEADS))
    assert {peer.implementation for peer in peers.PEERS if peer.delegated_server(outcome)} == readers


@pytest.mark.parametrize("means", [Means.UNVERIFIED, Means.FINITE_FIELD])
def test_a_second_look_past_tls_does_not_outlive_the_failure(means: Means) -> None:
    """Once the certificate is renewed, the server federates again, although the deep look is from before that."""
    look = EndpointDeepLook(second=SecondLook(means, expired("192.0.2.1").answers))
    renewed = with_endpoints(replace(HEALTHY, deep=look))
    assert [stopped_by(peer, renewed) for peer in (SYNAPSE, DENDRITE)] == [None, None]


@pytest.mark.parametrize("reason", [Reason.AUTHORIZATION_STRIPPED, Reason.SIGNATURE_REJECTED])
def test_a_signed_lookup_that_is_refused_stops_every_implementation(reason: Reason) -> None:
    """It is the same request whoever signs it, so nobody federates. The report shows the problem only once."""
    problem = Problem(reason, "to a signed request it answers with status 401")
    report = with_outbound(problem)
    assert report.outbound
    refused = replace(report, outbound=replace(report.outbound, refused_lookup=problem))
    located = LocatedProblem(Stage.OUTBOUND, None, problem)
    assert [of.problem for of in peers.verdicts(refused).values()] == [located] * len(peers.PEERS)
    assert verdict.problems(refused) == [located]
    assert verdict.federation(refused) is verdict.Federation.NONE


@pytest.mark.parametrize(
    "reason", [reason for reason in Reason if "outbound" in reason or reason == "federation_denied"]
)
def test_whether_a_server_reaches_others_or_accepts_the_exporter_does_not_decide(reason: Reason) -> None:
    """Others get through to it all the same."""
    report = with_outbound(Problem(reason, "it does not come"))
    assert verdict.federates(report)
    assert verdict.federation(report) is verdict.Federation.PARTIAL


def test_a_signed_lookup_says_nothing_about_other_endpoints() -> None:
    """One implementation goes to an endpoint that was not looked at."""
    problem = Problem(Reason.AUTHORIZATION_STRIPPED, "to a signed request it answers with status 401")
    report = with_outbound(problem)
    assert report.outbound
    elsewhere = Way(report.route, report.dns, (healthy_at("192.0.2.99"),))
    refused = replace(
        report,
        outbound=replace(report.outbound, refused_lookup=problem),
        detours={Implementation.DENDRITE: elsewhere},
    )
    assert {name: of.federates for name, of in peers.verdicts(refused).items()} == {
        Implementation.SYNAPSE: False,
        Implementation.DENDRITE: True,
        Implementation.CONDUIT: False,
    }
