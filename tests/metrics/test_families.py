import re
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from docs.generate import metrics_page
from exporter.metrics.families import FAMILIES, SUFFIXES
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import CertificateOf, Implementation, OutboundMethod, SrvService, Stage
from exporter.model.findings import CameBack, Delegation, Resolution, Software, SrvRecord, SrvRecords, TlsSession
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import NOTHING_EXPECTED, Expectations
from tests.sample_reports import (
    CAME_OVER_IPV4,
    CAME_OVER_IPV6,
    DID_NOT_COME,
    ENDED_AT,
    MATRIX_443,
    MATRIX_ENDPOINT,
    delegated_by_well_known,
    expired_certificate,
    healthy,
    nothing_resolved,
    tls_session,
    two_families,
    watched_server,
    with_deep_look,
    with_endpoints,
    with_families,
    with_outbound,
)
from tests.scrapes import board_of, samples_of, text_of

HERE = Path(__file__).parent
EXPECTED_TEXTS = HERE / "expected"
KEPT_WHEN_STALE = [
    'matrix_federation_probe_last_timestamp_seconds{server_name="example.org"} 1.7953704e+09',
    'matrix_federation_probe_interval_seconds{server_name="example.org"} 300.0',
    'matrix_federation_probes_total{server_name="example.org"} 1.0',
    'matrix_federation_probe_failures_total{server_name="example.org"} 0.0',
]


def samples(report: Report, name: str, expected: Expectations = NOTHING_EXPECTED) -> list[str]:
    """Return the samples of one family, without its name and the label `server_name`."""
    board = board_of([watched_server(report.server_name.text, expected=expected)], report)
    lines = [line.removeprefix("matrix_federation_") for line in samples_of(text_of(board))]
    server_name = re.compile(rf',?server_name="{re.escape(report.server_name.text)}"')
    family = [line for line in lines if line.startswith(f"{name}{{")]
    return [server_name.sub("", line.removeprefix(name)).replace("{,", "{") for line in family]


@pytest.mark.parametrize(
    ("report", "file"),
    [
        (delegated_by_well_known(), "delegated_by_well_known.prom"),
        (expired_certificate(), "expired_certificate.prom"),
        (nothing_resolved(), "nothing_resolved.prom"),
        (two_families(), "two_families.prom"),
    ],
    ids=["delegated_by_well_known", "expired_certificate", "nothing_resolved", "two_families"],
)
def test_the_whole_text_of_a_server(report: Report, file: str) -> None:
    """Only stages that were reached have samples."""
    text = text_of(board_of([watched_server(report.server_name.text, 60)], report))
    assert text == (EXPECTED_TEXTS / file).read_text()


def test_names_are_unique_and_have_the_suffix_of_their_type() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    assert [family.name for family in FAMILIES if not family.name.endswith(SUFFIXES[family.metric_type])] == []


def test_the_families_that_are_kept_when_stale() -> None:
    """A server whose results are too old has no other series."""
    assert {family.name for family in FAMILIES if family.kept_when_stale} == {
        "probe_last_timestamp_seconds",
        "probe_interval_seconds",
        "probes_total",
        "probe_failures_total",
    }


def test_a_server_without_a_result_has_only_its_interval() -> None:
    """Counters appear with the first result."""
    assert samples_of(text_of(board_of([watched_server("example.org", 90)]))) == [
        'matrix_federation_probe_interval_seconds{server_name="example.org"} 90.0'
    ]


def test_a_removed_server_has_no_series() -> None:
    """A late result does not restore them."""
    board = board_of([watched_server("example.org"), watched_server("gone.example.org")], delegated_by_well_known())
    board.watch([watched_server("gone.example.org")])
    assert not board.put(delegated_by_well_known())
    assert 'server_name="example.org"' not in text_of(board)


def test_a_stale_result_keeps_only_some_series() -> None:
    """A moment earlier, the server has all of them. Other servers are not affected."""
    servers = [watched_server("example.org"), watched_server("dual.example.org", 600)]
    reports = delegated_by_well_known(), two_families()
    limit = ENDED_AT + timedelta(minutes=15)
    before = text_of(board_of(servers, *reports))
    assert text_of(board_of(servers, *reports, at=limit)) == before

    stale = samples_of(text_of(board_of(servers, *reports, at=limit + timedelta(milliseconds=1))))
    other_server = [line for line in samples_of(before) if 'server_name="dual.example.org"' in line]
    assert [line for line in stale if 'server_name="example.org"' in line] == KEPT_WHEN_STALE
    assert [line for line in stale if 'server_name="dual.example.org"' in line] == other_server


def test_a_certificate_that_expires_between_two_probes() -> None:
    """The expiry stays, the validity changes, and there is a reason."""
    before = delegated_by_well_known("expired.example.org")
    after = expired_certificate()
    connection = 'connection="federation"'
    assert f"{{{connection}}} 1.0" in samples(before, "tls_cert_valid")
    assert f"{{{connection}}} 0.0" in samples(after, "tls_cert_valid")
    assert f"{{{connection}}} 1.795284e+09" in samples(after, "tls_cert_not_after_timestamp_seconds")
    assert samples(after, "failure_info") == ['{probe_stage="tls",reason="certificate_expired"} 1.0']


def test_the_earliest_expiry_of_all_chains_counts() -> None:
    """It need not be in the chain of the leaf that expires first."""
    report = two_families()
    first, second = report.endpoints[:2]
    assert isinstance(first.tls, Passed)
    intermediate_ends = ENDED_AT + timedelta(days=1)
    shorter = replace(first.tls.found.certificate, chain_not_after=intermediate_ends)
    tls = replace(first.tls, found=replace(first.tls.found, certificate=shorter))
    changed = replace(report, endpoints=(replace(first, tls=tls), second))
    assert samples(changed, "tls_chain_not_after_timestamp_seconds") == ['{connection="federation"} 1.7954568e+09']
    assert samples(changed, "tls_cert_not_after_timestamp_seconds") == ['{connection="federation"} 1.7970984e+09']


def test_one_invalid_certificate_of_several_counts() -> None:
    """A peer may connect to any of the endpoints."""
    report = two_families()
    first, second = report.endpoints[:2]
    expired: Failed[TlsSession] = Failed(
        0.02, (Problem(Reason.CERTIFICATE_EXPIRED, ""),), found=tls_session("dual.example.org", -1)
    )
    changed = replace(report, endpoints=(first, replace(second, tls=expired)))
    assert samples(changed, "tls_cert_valid") == ['{connection="federation"} 0.0']


def test_every_expectation_has_a_sample() -> None:
    """What the configuration does not expect has none."""
    expected = Expectations(delegation=MATRIX_443, issuer="Elsewhere")
    assert samples(delegated_by_well_known(), "as_expected", expected) == [
        '{expectation="delegation"} 1.0',
        '{expectation="issuer"} 0.0',
    ]
    assert samples(delegated_by_well_known(), "as_expected") == []


def test_each_reason_of_a_stage_has_one_series() -> None:
    """A duplicate series would fail the whole scrape."""
    problems = tuple(Problem(reason, "") for reason in (Reason.NXDOMAIN, Reason.DNS_TIMEOUT, Reason.NXDOMAIN))
    report = replace(nothing_resolved(), dns=Failed(1.0, problems))
    assert samples(report, "failure_info") == [
        '{probe_stage="dns",reason="nxdomain"} 1.0',
        '{probe_stage="dns",reason="dns_timeout"} 1.0',
    ]


def test_each_target_has_one_series() -> None:
    """SRV records may have duplicate targets."""
    report = two_families()
    duplicate = replace(report, route=replace(report.route, targets=(MATRIX_443, MATRIX_443)))
    assert samples(duplicate, "delegation_info") == ['{method="srv_legacy",target="matrix.example.org:443"} 1.0']


def test_the_software_is_truncated_and_sanitized() -> None:
    """A label has at most 64 printable characters, and is empty if the server does not report it."""
    report = delegated_by_well_known()
    (endpoint,) = report.endpoints
    for reported, shown in (
        (Software("x" * 65, "1\n2\x1b[31m\ud800"), f'{{name="{"x" * 63}…",version="1�2�[31m�"}} 1.0'),
        (Software(None, None), '{name="",version=""} 1.0'),
    ):
        changed = replace(report, endpoints=(replace(endpoint, version=Passed(0.01, reported)),))
        assert samples(changed, "server_info") == [shown]


def test_the_issuer_is_truncated_and_sanitized() -> None:
    """Anyone can create a certificate with any issuer."""
    session = tls_session("example.org", 30)
    unusual = replace(session, certificate=replace(session.certificate, issuer="CN=\r" + "x" * 90))
    report = replace(delegated_by_well_known(), well_known=Passed(0.1, Delegation(60, tls_session=unusual)))
    (first, _) = samples(report, "tls_cert_info")
    assert f'issuer="CN=�{"x" * 59}…"' in first


def test_a_service_that_was_not_queried_has_no_count() -> None:
    """If there are records of `_matrix-fed._tcp`, those of `_matrix._tcp` are not looked up."""
    report = two_families()
    records = SrvRecords({SrvService.MATRIX_FED: (SrvRecord(10, 5, MATRIX_443),)}, SrvService.MATRIX_FED)
    with_records = replace(report, srv=Passed(0.02, records))
    assert samples(with_records, "srv_records") == ['{service="matrix-fed"} 1.0']


def test_endpoints_are_not_counted_without_a_lookup() -> None:
    """If the stage dns was not reached, the number of endpoints is unknown."""
    report = replace(nothing_resolved(), dns=SKIPPED)
    assert samples(report, "endpoints") == []
    assert samples(nothing_resolved(), "endpoints") == ['{ip_family="ipv4"} 0.0', '{ip_family="ipv6"} 0.0']


def test_endpoints_of_an_ip_family_that_the_exporter_lacks_are_not_counted() -> None:
    """Their number is unknown to it, and no server is blamed for them."""
    without_route = (Endpoint(Target("matrix.example.org", 443), ip_address("2001:db8::1")),)
    report = delegated_by_well_known()
    report = replace(report, dns=Passed(0.1, Resolution((MATRIX_ENDPOINT,), without_route=without_route)))
    assert samples(report, "endpoints") == ['{ip_family="ipv4"} 1.0']


def test_the_endpoint_of_an_ip_literal_is_counted() -> None:
    """It needs no lookup."""
    report = replace(delegated_by_well_known(), dns=SKIPPED)
    assert samples(report, "endpoints_healthy") == ['{ip_family="ipv4"} 1.0', '{ip_family="ipv6"} 0.0']


def test_the_findings_of_a_deep_look_have_a_timestamp() -> None:
    """They are among those of the probe. Before the first deep look, there is no timestamp."""
    report = with_deep_look(Problem(Reason.BODY_LIMIT, "1 MiB"), Problem(Reason.PATH_DECODED, "decoded"))
    assert samples(report, "deep_look_timestamp_seconds") == ["{} 1.7953692e+09"]
    assert samples(report, "failure_info") == [
        '{probe_stage="proxy",reason="body_limit"} 1.0',
        '{probe_stage="proxy",reason="path_decoded"} 1.0',
    ]
    assert '{probe_stage="proxy"} 0.0' in samples(report, "stage_success")
    assert samples(report, "probe_success") == ["{} 1.0"]
    assert samples(delegated_by_well_known(), "deep_look_timestamp_seconds") == []


def test_the_other_direction_has_its_own_timestamp_and_method() -> None:
    """Its stage is one of the stages, and never decides whether the probe succeeds."""
    came, failed = with_outbound(), with_outbound(Problem(Reason.OUTBOUND_UNREACHABLE, "nothing came"))
    assert samples(came, "outbound_timestamp_seconds") == ["{} 1.7953701e+09"]
    assert samples(came, "outbound_info") == ['{ip_family="ipv6",method="alias"} 1.0']
    assert '{probe_stage="outbound"} 1.0' in samples(came, "stage_success")
    assert '{probe_stage="outbound"} 0.08' in samples(came, "stage_duration_seconds")
    assert samples(failed, "outbound_info") == []
    assert samples(failed, "failure_info") == ['{probe_stage="outbound",reason="outbound_unreachable"} 1.0']
    assert samples(failed, "probe_success") == ["{} 1.0"]
    assert samples(delegated_by_well_known(), "outbound_timestamp_seconds") == []


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "expected"),
    [
        (CAME_OVER_IPV4, CAME_OVER_IPV6, ['ip_family="ipv4",method="signed"', 'ip_family="ipv6",method="alias"']),
        (CAME_OVER_IPV4, DID_NOT_COME, ['ip_family="ipv4",method="signed"']),
        (CAME_OVER_IPV4, SKIPPED, ['ip_family="ipv4",method="signed"']),
        (DID_NOT_COME, DID_NOT_COME, []),
    ],
)
def test_every_family_over_which_a_server_comes_has_a_series(
    ipv4: Outcome[CameBack], ipv6: Outcome[CameBack], expected: list[str]
) -> None:
    report = with_families(delegated_by_well_known(), ipv4, ipv6)
    assert samples(report, "outbound_info") == [f"{{{labels}}} 1.0" for labels in expected]


def test_the_family_of_a_server_that_comes_through_a_reverse_proxy_is_empty() -> None:
    outbound = with_outbound().outbound
    assert outbound is not None
    came = replace(outbound, outcome=Passed(0.1, CameBack(OutboundMethod.NOTARY)))
    report = replace(delegated_by_well_known(), outbound=came)
    assert samples(report, "outbound_info") == ['{ip_family="",method="notary"} 1.0']


def test_every_implementation_has_a_verdict_of_its_own() -> None:
    """The whole probe succeeds only if both Synapse and Dendrite get through; the Conduit family does not count."""
    session = replace(tls_session(MATRIX_443.host, tls_version="TLSv1.2"), cipher="ECDHE-RSA-AES128-SHA")
    report = with_endpoints(healthy(MATRIX_ENDPOINT, session))
    assert samples(report, "peer_success") == [
        '{implementation="synapse"} 1.0',
        '{implementation="dendrite"} 1.0',
        '{implementation="conduit"} 0.0',
    ]
    assert samples(report, "probe_success") == ["{} 1.0"]
    with_cbc = with_endpoints(healthy(MATRIX_ENDPOINT, replace(session, cipher="ECDHE-RSA-AES128-SHA256")))
    assert samples(with_cbc, "peer_success")[1] == '{implementation="dendrite"} 0.0'
    assert samples(with_cbc, "probe_success") == ["{} 0.0"]


def test_the_documentation_lists_every_metric() -> None:
    text = metrics_page()
    assert [family.full_name for family in FAMILIES if f"| `{family.full_name}`" not in text] == []
    assert "| `matrix_federation_exporter_probes_skipped_total` | counter | `reason` |" in text


def test_label_values_are_those_of_the_enums() -> None:
    """Users write rules on them."""
    report = with_deep_look()
    implementations = [line.split('"')[1] for line in samples(report, "peer_success")]
    stages = [line.split('"')[1] for line in samples(report, "stage_success")]
    connections = [line.split('"')[1] for line in samples(report, "tls_cert_valid")]
    assert stages == [stage for stage in Stage if stage not in (Stage.SRV, Stage.TUNNEL, Stage.OUTBOUND)]
    assert connections == list(CertificateOf)
    assert implementations == list(Implementation)


@pytest.mark.parametrize("name", ["probe_duration_seconds", "stage_duration_seconds"])
def test_unreliable_timings_are_not_exported(name: str) -> None:
    """They would be attributed to the server. All other samples are exported."""
    report = delegated_by_well_known()
    unreliable = replace(report, stalled_seconds=0.1)
    assert samples(report, name)
    assert samples(unreliable, name) == []
    assert samples(unreliable, "stage_success") == samples(report, "stage_success")


def test_a_first_probe_during_an_outage_is_only_counted() -> None:
    offline = replace(nothing_resolved(), exporter_offline=True)
    text = text_of(board_of([watched_server(offline.server_name.text, 60)], offline))
    label = f'{{server_name="{offline.server_name}"}}'
    assert samples_of(text) == [
        f"matrix_federation_probe_interval_seconds{label} 60.0",
        f"matrix_federation_probes_total{label} 1.0",
        f"matrix_federation_probe_failures_total{label} 0.0",
    ]
