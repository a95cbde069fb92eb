import gzip
import os
import subprocess
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import CHUNK_BYTES, Exposition, gzip_chunks, join_chunks, scrape
from exporter.metrics.families import FAMILIES, SUFFIXES, Family, MetricType
from exporter.model.addresses import Target
from exporter.model.findings import Software
from exporter.model.outcomes import Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from tests.programs import program
from tests.sample_reports import (
    delegated_by_well_known,
    expired_certificate,
    nothing_resolved,
    secured,
    two_families,
    watched,
)
from tests.scrapes import OPENMETRICS, board_of, text_of

CLASSES = {
    MetricType.GAUGE: GaugeMetricFamily,
    MetricType.COUNTER: CounterMetricFamily,
    MetricType.INFO: InfoMetricFamily,
}
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
END = "# EOF\n"


class LibraryCollector(Collector):
    """The same states, handed to the library family by family for its own writers."""

    def __init__(self, states: Iterable[ServerState]) -> None:
        self.states = tuple(states)

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            yield self.metric(family)

    def metric(self, family: Family) -> Metric:
        metric: Metric = CLASSES[family.kind](family.full_name.removesuffix(SUFFIXES[family.kind]), family.help)
        for state in self.states:
            for values, number in family.samples(state):
                labels = dict(zip(family.labels, values, strict=True))
                server_name = str(state.watched.server_name)
                metric.add_sample(family.full_name, {"server_name": server_name, **labels}, number)
        return metric


def parse_text(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def parse_openmetrics(text: str) -> list[Metric]:
    return list(openmetrics_parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def hostile() -> Report:
    """Whatever could break a line stands where text from outside may stand."""
    report = delegated_by_well_known("hostile.example.org")
    (endpoint,) = report.endpoints
    seen = secured("hostile.example.org")
    issuer = replace(seen.certificate, issuer='CN="Ünï\\cödé", O={💥}\n# EOF')
    odd = replace(endpoint, tls=Passed(0.1, replace(seen, certificate=issuer, tls_version='TLS"\\')))
    told = replace(odd, version=Passed(1e-7, Software('Syn"apse\\', "1.0\n# EOF\nx 1")))
    targets = (Target('a"b\\c d\\n', 443), Target("münchen.example", 1))
    return replace(report, route=replace(report.route, targets=targets), endpoints=(told,), seconds=12345678.9)


def full_board() -> Board:
    reports = delegated_by_well_known(), expired_certificate(), nothing_resolved(), two_families(), hostile()
    return board_of([watched(report.server_name.text) for report in reports], *reports)


def body(answer: Exposition) -> bytes:
    return b"".join(answer.chunks)


@pytest.mark.parametrize(
    ("accept", "write"),
    [(None, generate_latest), (OPENMETRICS, openmetrics.generate_latest)],
    ids=["text", "openmetrics"],
)
def test_equals_what_the_library_writes(accept: str | None, write: Callable[[CollectorRegistry], bytes]) -> None:
    """Byte for byte, with hostile label values too."""
    board = full_board()
    registry = CollectorRegistry()
    registry.register(LibraryCollector(rendered.state for rendered in board.snapshot().states))
    assert text_of(board, accept) == write(registry).decode()


def test_text_and_openmetrics_say_the_same() -> None:
    """Both parsers of the library read both texts, and find the same samples."""
    board = full_board()
    plain = {sample for metric in parse_text(text_of(board)) for sample in map(str, metric.samples)}
    modern = {
        sample for metric in parse_openmetrics(text_of(board, OPENMETRICS)) for sample in map(str, metric.samples)
    }
    assert plain == modern
    assert len(plain) > 150


def test_hostile_values_come_back_as_they_were() -> None:
    """What is escaped is read as the same value."""
    text = text_of(board_of([watched("hostile.example.org")], hostile()), OPENMETRICS)
    (family,) = (metric for metric in parse_openmetrics(text) if metric.name == "matrix_federation_delegation")
    targets = [sample.labels["target"] for sample in family.samples]
    assert targets == ['a"b\\c d\\n:443', "münchen.example:1"]


def test_no_series_stands_twice() -> None:
    """Prometheus refuses a whole scrape for that."""
    lines = [line.rpartition(" ")[0] for line in text_of(full_board()).splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize("accept", [None, OPENMETRICS])
def test_scrape_ends_with_the_exporters_own_metrics(accept: str | None) -> None:
    """One end, and only in OpenMetrics; both parts are read by the parser of the format."""
    answer = scrape(full_board(), ExporterMetrics(), accept, None)
    text = body(answer).decode()
    parse = parse_openmetrics if accept else parse_text
    names = [metric.name for metric in parse(text)]
    assert (answer.content_type, answer.encoding) == (OPENMETRICS_TYPE if accept else TEXT_TYPE, None)
    assert text.count("\n" + END) == (1 if accept else 0)
    assert text.endswith(END) is bool(accept)
    assert "matrix_federation_probe_success" in names
    assert "matrix_federation_exporter_servers" in names
    assert "process_start_time_seconds" in names


@pytest.mark.system("promtool")
def test_promtool_has_no_complaint() -> None:
    """Its linter knows the conventions of names, kinds and help."""
    text = body(scrape(full_board(), ExporterMetrics(), None, None))
    promtool = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (promtool.returncode, promtool.stdout, promtool.stderr) == (0, b"", b"")


def test_gzip_holds_the_same_text() -> None:
    """As a stream that is made on the way; the board alone, for the process changes between two scrapes."""
    board = full_board()
    answer = scrape(board, ExporterMetrics(), OPENMETRICS, "br, gzip;q=0.8")
    assert (answer.content_type, answer.encoding) == (OPENMETRICS_TYPE, "gzip")
    of_servers = text_of(board, OPENMETRICS).removesuffix(END)
    assert gzip.decompress(body(answer)).decode().startswith(of_servers)


def test_gzip_keeps_nothing_back() -> None:
    """What cannot be compressed comes out as it went in, however it was cut."""
    chunks = [os.urandom(1000) for _ in range(200)]
    assert zlib.decompress(b"".join(gzip_chunks(chunks)), wbits=31) == b"".join(chunks)


def test_header_that_breaks_the_library_gets_text() -> None:
    """`version=abc` raises TypeError in the library's own chooser."""
    answer = scrape(full_board(), ExporterMetrics(), "application/openmetrics-text;version=abc", "gzip;q=abc")
    assert (answer.content_type, answer.encoding) == (TEXT_TYPE, None)
    assert body(answer)


def test_chunks_are_bounded() -> None:
    """A web handler can let others run between two of them."""
    servers = [watched(f"server{number}.example.org") for number in range(1000)]
    reports = [replace(two_families(), server_name=server.server_name) for server in servers]
    board = board_of(servers, *reports)
    chunks = list(scrape(board, ExporterMetrics(), None, None).chunks)
    assert max(map(len, chunks)) <= CHUNK_BYTES
    assert b"".join(chunks).startswith(text_of(board).encode())
    assert len(chunks) > 50


def test_chunks_hold_every_piece_once() -> None:
    """Small pieces are joined, and one that is larger than a chunk passes alone."""
    half, whole = b"h" * (CHUNK_BYTES // 2), b"w" * (CHUNK_BYTES + 1)
    assert list(join_chunks([whole, half, half, b"", half, whole, b"end"])) == [whole, half + half, half, whole, b"end"]


def test_scrape_under_way_is_not_disturbed() -> None:
    """Results that come meanwhile belong to the next scrape."""
    board = full_board()
    before = text_of(board)
    chunks = scrape(board, ExporterMetrics(), None, None).chunks
    first = next(chunks)
    board.put(replace(two_families(), dns=Failed(9.0, (Problem(Reason.DNS_TIMEOUT, ""),))))
    board.watch([])
    assert (first + b"".join(chunks)).decode().startswith(before)


def test_empty_board_is_a_valid_text() -> None:
    """Before the first configuration there are families without samples."""
    text = text_of(board_of([]), OPENMETRICS)
    assert [metric.samples for metric in parse_openmetrics(text)] == [[] for _ in FAMILIES]
