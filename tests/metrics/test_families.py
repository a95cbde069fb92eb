import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from docs.generate import metrics_page
from exporter.metrics.families import FAMILIES, SUFFIXES
from exporter.model.addresses import Target
from exporter.model.enums import CertificateOf, SrvService, Stage
from exporter.model.findings import Delegation, Software, SrvRecord, SrvRecords, TlsSession
from exporter.model.outcomes import SKIPPED, Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import Report
from tests.sample_reports import (
    ENDED_AT,
    MATRIX_443,
    delegated_by_well_known,
    expired_certificate,
    nothing_resolved,
    tls_session,
    two_families,
    watched_server,
    with_deep_look,
)
from tests.scrapes import board_of, samples_of, text_of

HERE = Path(__file__).parent
EXPECTED_TEXTS = HERE / "expected"
LASTING = [
    'matrix_federation_probe_last_timestamp_seconds{server_name="example.org"} 1.7953704e+09',
    'matrix_federation_probe_interval_seconds{server_name="example.org"} 300.0',
    'matrix_federation_probes_total{server_name="example.org"} 1.0',
    'matrix_federation_probe_failures_total{server_name="example.org"} 0.0',
]


def samples(report: Report, name: str, expected_delegation: Target | None = None) -> list[str]:
    """The samples of one family, without its prefix and the label `server_name`."""
    board = board_of([watched_server(report.server_name.text, expected_delegation=expected_delegation)], report)
    lines = [line.removeprefix("matrix_federation_") for line in samples_of(text_of(board))]
    server_name = re.compile(rf',?server_name="{re.escape(report.server_name.text)}"')
    own = [line for line in lines if line.startswith(f"{name}{{")]
    return [server_name.sub("", line.removeprefix(name)).replace("{,", "{") for line in own]


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
def test_whole_text(report: Report, file: str) -> None:
    """Each stage that was reached has its samples, and no other."""
    text = text_of(board_of([watched_server(report.server_name.text, 60)], report))
    assert text == (EXPECTED_TEXTS / file).read_text()


def test_names_are_unique_and_bear_the_suffix_of_their_kind() -> None:
    """No family stands twice, and each name fits its kind."""
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    assert [family.name for family in FAMILIES if not family.name.endswith(SUFFIXES[family.kind])] == []


def test_lasting_families_are_those_of_the_contract() -> None:
    """They alone tell of a server whose results are too old."""
    assert {family.name for family in FAMILIES if family.kept_when_stale} == {
        "probe_last_timestamp_seconds",
        "probe_interval_seconds",
        "probes_total",
        "probe_failures_total",
    }


def test_before_the_first_result_there_is_the_interval_alone() -> None:
    """Counters appear with the first result."""
    assert samples_of(text_of(board_of([watched_server("example.org", 90)]))) == [
        'matrix_federation_probe_interval_seconds{server_name="example.org"} 90.0'
    ]


def test_removed_server_has_no_series() -> None:
    """Not even the kept_when_stale ones, and a late result does not bring it back."""
    board = board_of([watched_server("example.org"), watched_server("gone.example.org")], delegated_by_well_known())
    board.watch([watched_server("gone.example.org")])
    assert not board.put(delegated_by_well_known())
    assert 'server_name="example.org"' not in text_of(board)


def test_too_old_a_result_leaves_the_lasting_series() -> None:
    """A moment before it has all of them; other servers keep theirs."""
    servers = [watched_server("example.org"), watched_server("dual.example.org", 600)]
    reports = delegated_by_well_known(), two_families()
    limit = ENDED_AT + timedelta(minutes=15)
    everything = text_of(board_of(servers, *reports))
    assert text_of(board_of(servers, *reports, at=limit)) == everything

    too_old = samples_of(text_of(board_of(servers, *reports, at=limit + timedelta(milliseconds=1))))
    of_the_other = [line for line in samples_of(everything) if 'server_name="dual.example.org"' in line]
    assert [line for line in too_old if 'server_name="example.org"' in line] == LASTING
    assert [line for line in too_old if 'server_name="dual.example.org"' in line] == of_the_other


def test_certificate_that_expires_between_two_probes() -> None:
    """The expiry stays, the verdict turns, and the reason is named."""
    before = delegated_by_well_known("expired.example.org")
    after = expired_certificate()
    connection = 'connection="federation"'
    assert f"{{{connection}}} 1.0" in samples(before, "tls_cert_valid")
    assert f"{{{connection}}} 0.0" in samples(after, "tls_cert_valid")
    assert f"{{{connection}}} 1.795284e+09" in samples(after, "tls_cert_not_after_timestamp_seconds")
    assert samples(after, "failure_info") == ['{probe_stage="tls",reason="certificate_expired"} 1.0']


def test_chain_that_expires_first_need_not_be_that_of_the_first_leaf() -> None:
    """The earliest expiry of all chains counts."""
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
    """A peer may meet any of the endpoints."""
    report = two_families()
    first, second = report.endpoints[:2]
    expired: Failed[TlsSession] = Failed(
        0.02, (Problem(Reason.CERTIFICATE_EXPIRED, ""),), found=tls_session("dual.example.org", -1)
    )
    changed = replace(report, endpoints=(first, replace(second, tls=expired)))
    assert samples(changed, "tls_cert_valid") == ['{connection="federation"} 0.0']


@pytest.mark.parametrize(("expected", "value"), [(MATRIX_443, "1.0"), (Target("elsewhere.example.org", 443), "0.0")])
def test_delegation_as_expected(expected: Target, value: str) -> None:
    """1 where it leads to the expected target, 0 where it leads elsewhere."""
    assert samples(delegated_by_well_known(), "delegation_as_expected", expected) == [f"{{}} {value}"]


def test_nothing_is_expected_of_a_delegation_by_default() -> None:
    """Without an expectation there is no sample."""
    assert samples(delegated_by_well_known(), "delegation_as_expected") == []


def test_each_reason_is_told_once_a_stage() -> None:
    """A series given twice would spoil the whole scrape."""
    problems = tuple(Problem(reason, "") for reason in (Reason.NXDOMAIN, Reason.DNS_TIMEOUT, Reason.NXDOMAIN))
    report = replace(nothing_resolved(), dns=Failed(1.0, problems))
    assert samples(report, "failure_info") == [
        '{probe_stage="dns",reason="nxdomain"} 1.0',
        '{probe_stage="dns",reason="dns_timeout"} 1.0',
    ]


def test_each_target_is_told_once() -> None:
    """SRV records may name one target twice."""
    report = two_families()
    twice = replace(report, route=replace(report.route, targets=(MATRIX_443, MATRIX_443)))
    assert samples(twice, "delegation_info") == ['{method="srv_legacy",target="matrix.example.org:443"} 1.0']


def test_text_of_the_remote_is_cut_and_cleaned() -> None:
    """64 printable characters at most, and an empty value where nothing is said."""
    report = delegated_by_well_known()
    (endpoint,) = report.endpoints
    for told, shown in (
        (Software("x" * 65, "1\n2\x1b[31m\ud800"), f'{{name="{"x" * 63}…",version="1�2�[31m�"}} 1.0'),
        (Software(None, None), '{name="",version=""} 1.0'),
    ):
        changed = replace(report, endpoints=(replace(endpoint, version=Passed(0.01, told)),))
        assert samples(changed, "server_info") == [shown]


def test_issuer_is_cut_and_cleaned_too() -> None:
    """It stands in a certificate that anyone could have made."""
    seen = tls_session("example.org", 30)
    odd = replace(seen, certificate=replace(seen.certificate, issuer="CN=\r" + "x" * 90))
    report = replace(delegated_by_well_known(), well_known=Passed(0.1, Delegation(60, tls_session=odd)))
    (first, _) = samples(report, "tls_cert_info")
    assert f'issuer="CN=�{"x" * 59}…"' in first


def test_service_that_was_not_asked_for_has_no_count() -> None:
    """Where `_matrix-fed._tcp` decides, nothing is known of `_matrix._tcp`."""
    report = two_families()
    records = SrvRecords({SrvService.MATRIX_FED: (SrvRecord(10, 5, MATRIX_443),)}, SrvService.MATRIX_FED)
    decided = replace(report, srv=Passed(0.02, records))
    assert samples(decided, "srv_records") == ['{service="matrix-fed"} 1.0']


def test_addresses_that_were_never_asked_for_are_not_counted() -> None:
    """Where the dns stage was not reached, nothing is known of either family."""
    report = replace(nothing_resolved(), dns=SKIPPED)
    assert samples(report, "endpoints") == []
    assert samples(nothing_resolved(), "endpoints") == ['{ip_family="ipv4"} 0.0', '{ip_family="ipv6"} 0.0']


def test_endpoints_without_a_lookup_are_counted() -> None:
    """An IP literal needs no DNS."""
    report = replace(delegated_by_well_known(), dns=SKIPPED)
    assert samples(report, "endpoints_healthy") == ['{ip_family="ipv4"} 1.0', '{ip_family="ipv6"} 0.0']


def test_what_the_deep_look_found_bears_its_time() -> None:
    """A stage and its reason, among those of the probe itself; nothing before the first deep look."""
    report = with_deep_look(Problem(Reason.BODY_LIMIT, "1 MiB"), Problem(Reason.PATH_DECODED, "decoded"))
    assert samples(report, "deep_look_timestamp_seconds") == ["{} 1.7953692e+09"]
    assert samples(report, "failure_info") == [
        '{probe_stage="proxy",reason="body_limit"} 1.0',
        '{probe_stage="proxy",reason="path_decoded"} 1.0',
    ]
    assert '{probe_stage="proxy"} 0.0' in samples(report, "stage_success")
    assert samples(report, "probe_success") == ["{} 1.0"]
    assert samples(delegated_by_well_known(), "deep_look_timestamp_seconds") == []


def test_page_names_every_metric() -> None:
    """Those of the servers by the table, the exporter's own by its registry."""
    text = metrics_page()
    assert [family.full_name for family in FAMILIES if f"| `{family.full_name}`" not in text] == []
    assert "| `matrix_federation_exporter_probes_skipped_total` | counter | `reason` |" in text


def test_connections_and_stages_are_the_closed_lists() -> None:
    """Labels bear the values that users write rules on."""
    report = with_deep_look()
    stages = [line.split('"')[1] for line in samples(report, "stage_success")]
    connections = [line.split('"')[1] for line in samples(report, "tls_cert_valid")]
    assert stages == [stage for stage in Stage if stage is not Stage.SRV]
    assert connections == list(CertificateOf)


@pytest.mark.parametrize("name", ["probe_duration_seconds", "stage_duration_seconds"])
def test_spoiled_durations_are_not_shown(name: str) -> None:
    """They would blame a server for what the exporter did; all else that was seen is true."""
    report = delegated_by_well_known()
    spoiled = replace(report, stalled_seconds=0.1)
    assert samples(report, name)
    assert samples(spoiled, name) == []
    assert samples(spoiled, "stage_success") == samples(report, "stage_success")


def test_blind_probe_is_counted_from_the_first_on() -> None:
    """And nothing else is said of the server, but that it is watched."""
    blind = replace(nothing_resolved(), exporter_offline=True)
    text = text_of(board_of([watched_server(blind.server_name.text, 60)], blind))
    label = f'{{server_name="{blind.server_name}"}}'
    assert samples_of(text) == [
        f"matrix_federation_probe_interval_seconds{label} 60.0",
        f"matrix_federation_probes_total{label} 1.0",
        f"matrix_federation_probe_failures_total{label} 0.0",
    ]
