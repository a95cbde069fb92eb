"""Texts of remote servers in the metrics and in JSON."""

import json
from collections.abc import Iterable
from dataclasses import replace

from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.batches import Batch
from exporter.metrics.exposition import MAX_LABEL_CHARACTERS, render_lines
from exporter.metrics.families import FAMILIES
from exporter.model.addresses import Target
from exporter.model.findings import Software, TlsSession
from exporter.model.outcomes import Passed
from exporter.model.report import EndpointReport, Report
from exporter.model.sanitize import printable
from exporter.reports.board import RenderedState, StatePacker
from exporter.reports.report_json import server_state_json
from exporter.reports.server_state import ServerState
from exporter.reports.tester_json import tester_json
from tests.sample_reports import certificate, delegated_by_well_known, healthy_at, watched_server

REMOTE_LABELS = {"target", "issuer", "name", "version"}  # labels whose values a remote server can choose
REMOTE_FAMILIES = [family for family in FAMILIES if REMOTE_LABELS & set(family.labels)]


def metrics(data: bytes) -> None:
    """Texts separated by NUL. Parsers of both formats read the same samples, and the JSON documents are valid."""
    state = ServerState(watched_server("example.org")).with_report(report_with(*data.split(b"\0")))
    expected = sorted(samples_of(state))
    assert state.report
    rendered = RenderedState.of(state, render_lines(state), StatePacker())
    assert rendered.state == state
    batch = Batch.of((rendered,), state.report.ended_at)
    text = b"".join(batch.lines(FAMILIES.index(family)) for family in REMOTE_FAMILIES).decode()
    assert sorted(parsed_samples(text_string_to_metric_families(text))) == expected
    families = openmetrics.text_string_to_metric_families(f"{text}# EOF\n")  # type: ignore[no-untyped-call]
    assert sorted(parsed_samples(families)) == expected
    for document in (server_state_json(state), tester_json(state.report)):
        assert json.loads(json.dumps(document, allow_nan=False)) is not None


def report_with(name: bytes, version: bytes = b"", issuer: bytes = b"", tls: bytes = b"", *hosts: bytes) -> Report:
    """Return a report with these texts. Those from JSON may have unpaired surrogates, those of OpenSSL and DNS not."""
    endpoint = endpoint_with(
        healthy_at("192.0.2.1"), decode(name), decode(version), decode(issuer), tls.decode(errors="replace")
    )
    report = delegated_by_well_known("example.org")
    targets = tuple(dict.fromkeys(Target(host.decode(errors="replace"), 443) for host in hosts[:3]))
    return replace(report, endpoints=(endpoint,), route=replace(report.route, targets=targets))


def endpoint_with(endpoint: EndpointReport, name: str, version: str, issuer: str, tls_version: str) -> EndpointReport:
    leaf = replace(certificate("matrix.example.org"), issuer=issuer, subject=issuer, names=(issuer,))
    return replace(
        endpoint, tls=Passed(0.02, TlsSession(leaf, tls_version)), version=Passed(0.03, Software(name, version))
    )


def decode(data: bytes) -> str:
    try:
        return data.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return data.decode(errors="replace")


def sanitized(value: str) -> str:
    """Return a text as it is in a label."""
    return printable(value, MAX_LABEL_CHARACTERS)


ParsedSample = tuple[str, tuple[tuple[str, str], ...], float]


def samples_of(state: ServerState) -> Iterable[ParsedSample]:
    server_name = str(state.watched.server_name)
    for family in REMOTE_FAMILIES:
        for values, number in family.samples(state):
            labels = {**dict(zip(family.labels, values, strict=True)), "server_name": server_name}
            yield (
                family.full_name,
                tuple(sorted((name, sanitized(value)) for name, value in labels.items())),
                float(number),
            )


def parsed_samples(families: Iterable[Metric]) -> Iterable[ParsedSample]:
    for family in families:
        for sample in family.samples:
            yield sample.name, tuple(sorted(sample.labels.items())), float(sample.value)
