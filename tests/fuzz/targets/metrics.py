"""What remote servers call themselves, on the way to Prometheus and to readers of JSON."""

import json
from collections.abc import Iterable
from dataclasses import replace

from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.exposition import MAX_LABEL_CHARACTERS, render_lines
from exporter.metrics.families import FAMILIES
from exporter.model.addresses import Target
from exporter.model.findings import Software, TlsSession
from exporter.model.outcomes import Passed
from exporter.model.report import EndpointReport, Report
from exporter.model.sanitize import printable
from exporter.reports.report_json import server_state_json
from exporter.reports.server_state import ServerState
from exporter.reports.tester_json import tester_json
from tests.sample_reports import certificate, delegated_by_well_known, healthy_at, watched_server

REMOTE = {"target", "issuer", "name", "version"}  # labels that a remote server has a say in
OUTSPOKEN = [family for family in FAMILIES if REMOTE & set(family.labels)]


def metrics(written: bytes) -> None:
    """Texts from outside, one after each NUL: both formats are read back as what was meant, and JSON is JSON."""
    state = ServerState(watched_server("example.org")).with_report(saying(*written.split(b"\0")))
    meant = sorted(samples_of(state))
    drawn = dict(zip(FAMILIES, render_lines(state), strict=True))
    text = b"".join(drawn[family] for family in OUTSPOKEN).decode()
    assert sorted(read(text_string_to_metric_families(text))) == meant
    again = openmetrics.text_string_to_metric_families(f"{text}# EOF\n")  # type: ignore[no-untyped-call]
    assert sorted(read(again)) == meant
    assert state.report
    for document in (server_state_json(state), tester_json(state.report)):
        assert json.loads(json.dumps(document, allow_nan=False)) is not None


def saying(name: bytes, version: bytes = b"", issuer: bytes = b"", tls: bytes = b"", *hosts: bytes) -> Report:
    """Python's texts may hold halves of surrogate pairs, as JSON does; those of OpenSSL and DNS hold none."""
    endpoint = speaking(healthy_at("192.0.2.1"), text(name), text(version), text(issuer), tls.decode(errors="replace"))
    report = delegated_by_well_known("example.org")
    targets = tuple(dict.fromkeys(Target(host.decode(errors="replace"), 443) for host in hosts[:3]))
    return replace(report, endpoints=(endpoint,), route=replace(report.route, targets=targets))


def speaking(endpoint: EndpointReport, name: str, version: str, issuer: str, tls_version: str) -> EndpointReport:
    leaf = replace(certificate("matrix.example.org"), issuer=issuer, subject=issuer, names=(issuer,))
    return replace(
        endpoint, tls=Passed(0.02, TlsSession(leaf, tls_version)), version=Passed(0.03, Software(name, version))
    )


def text(written: bytes) -> str:
    try:
        return written.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return written.decode(errors="replace")


def shown(value: str) -> str:
    """As it may stand in a label."""
    return printable(value, MAX_LABEL_CHARACTERS)


Read = tuple[str, tuple[tuple[str, str], ...], float]


def samples_of(state: ServerState) -> Iterable[Read]:
    server_name = str(state.watched.server_name)
    for family in OUTSPOKEN:
        for values, number in family.samples(state):
            labels = {**dict(zip(family.labels, values, strict=True)), "server_name": server_name}
            yield family.full_name, tuple(sorted((name, shown(value)) for name, value in labels.items())), float(number)


def read(families: Iterable[Metric]) -> Iterable[Read]:
    for family in families:
        for sample in family.samples:
            yield sample.name, tuple(sorted(sample.labels.items())), float(sample.value)
