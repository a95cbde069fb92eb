import gzip
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from exporter.metrics.batches import batches_of
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import CHUNK_BYTES, CHUNK_SECONDS, Exposer, Exposition, Selection, expose, join_chunks
from exporter.metrics.families import FAMILIES, METRIC_NAMES, SUFFIXES, Family, MetricType
from exporter.model.addresses import Target
from exporter.model.findings import Software
from exporter.model.outcomes import Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import OWN_LABELS, sort_labels
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from tests.programs import program
from tests.sample_reports import (
    delegated_by_well_known,
    expired_certificate,
    nothing_resolved,
    tls_session,
    two_families,
    watched_server,
)
from tests.scrapes import OPENMETRICS, board_of, samples_of, text_of

CLASSES = {
    MetricType.GAUGE: GaugeMetricFamily,
    MetricType.COUNTER: CounterMetricFamily,
    MetricType.INFO: InfoMetricFamily,
}
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
END = "# EOF\n"


class LibraryCollector(Collector):
    """Passes the states to the library, family by family."""

    def __init__(self, states: Iterable[ServerState]) -> None:
        self.states = tuple(states)

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            yield self.metric(family)

    def metric(self, family: Family) -> Metric:
        metric: Metric = CLASSES[family.metric_type](
            family.full_name.removesuffix(SUFFIXES[family.metric_type]), family.help
        )
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
    """Return a report with characters that could break a line, wherever a remote server can choose a text."""
    report = delegated_by_well_known("hostile.example.org")
    (endpoint,) = report.endpoints
    session = tls_session("hostile.example.org")
    issuer = replace(session.certificate, issuer='CN="Ünï\\cödé", O={💥}\n# EOF')
    with_tls = replace(endpoint, tls=Passed(0.1, replace(session, certificate=issuer, tls_version='TLS"\\')))
    with_version = replace(with_tls, version=Passed(1e-7, Software('Syn"apse\\', "1.0\n# EOF\nx\0 1")))
    targets = (Target('a"b\\c d\\n', 443), Target("münchen.example", 1))
    return replace(report, route=replace(report.route, targets=targets), endpoints=(with_version,), seconds=12345678.9)


def full_board() -> Board:
    reports = delegated_by_well_known(), expired_certificate(), nothing_resolved(), two_families(), hostile()
    return board_of([watched_server(report.server_name.text) for report in reports], *reports)


def body(exposition: Exposition) -> bytes:
    return b"".join(exposition.chunks)


@pytest.mark.parametrize(
    ("accept", "write"),
    [(None, generate_latest), (OPENMETRICS, openmetrics.generate_latest)],
    ids=["text", "openmetrics"],
)
def test_the_text_is_what_the_library_writes(accept: str | None, write: Callable[[CollectorRegistry], bytes]) -> None:
    """It is byte for byte the same, with hostile label values too."""
    board = full_board()
    registry = CollectorRegistry()
    registry.register(LibraryCollector(rendered.state for rendered in board.snapshot().states))
    assert text_of(board, accept) == write(registry).decode()


@pytest.mark.parametrize("accept", [None, OPENMETRICS], ids=["text", "openmetrics"])
@pytest.mark.parametrize(
    "names",
    [
        ["matrix_federation_probe_success"],
        ["matrix_federation_probes_total", "matrix_federation_exporter_servers", "process_start_time_seconds"],
        ["matrix_federation_probes", "matrix_federation_tls_cert", "unknown", ""],
    ],
)
def test_a_scrape_may_name_what_it_wants(accept: str | None, names: list[str]) -> None:
    """The samples are those that prometheus-client selects. An unknown name selects nothing, and is no error."""
    board, exporter_metrics = full_board(), ExporterMetrics()
    registry = CollectorRegistry(support_collectors_without_names=True)
    registry.register(LibraryCollector(rendered.state for rendered in board.snapshot().states))
    selection = Selection(frozenset(names))
    found = body(Exposer(board, exporter_metrics).scrape(accept, None, selection)).decode()
    registries = registry, exporter_metrics.registry
    whole = "".join(generate_latest(each.restricted_registry(names)).decode() for each in registries)
    assert set(samples_of(found)) == set(samples_of(whole))
    assert found.endswith(END) == (accept == OPENMETRICS)
    assert body(Exposer(board, exporter_metrics).scrape(accept, "gzip", selection)) != found.encode()


def test_a_disabled_metric_is_not_exposed() -> None:
    """Not even if a scrape names it. Everything else is."""
    board, exporter_metrics = full_board(), ExporterMetrics()
    disabled = "matrix_federation_stage_duration_seconds"
    whole = body(Exposer(board, exporter_metrics).scrape(None, None)).decode()
    selection = Selection(disabled=frozenset({disabled}))
    found = body(Exposer(board, exporter_metrics).scrape(None, None, selection)).decode()
    of_servers = [line for line in whole.splitlines() if "server_name=" in line]
    assert [line for line in found.splitlines() if "server_name=" in line] == [
        line for line in of_servers if not line.startswith(f"{disabled}{{")
    ]
    assert f"# TYPE {disabled} " not in found
    named = Selection(frozenset({disabled}), frozenset({disabled}))
    assert body(Exposer(board, exporter_metrics).scrape(None, None, named)) == b""


def test_both_formats_have_the_same_samples() -> None:
    """The parsers of the library find the same samples in them."""
    board = full_board()
    in_text = {sample for metric in parse_text(text_of(board)) for sample in map(str, metric.samples)}
    in_openmetrics = {
        sample for metric in parse_openmetrics(text_of(board, OPENMETRICS)) for sample in map(str, metric.samples)
    }
    assert in_text == in_openmetrics
    assert len(in_text) > 150


def test_hostile_label_values_survive_escaping() -> None:
    """A parser reads the original values."""
    text = text_of(board_of([watched_server("hostile.example.org")], hostile()), OPENMETRICS)
    (family,) = (metric for metric in parse_openmetrics(text) if metric.name == "matrix_federation_delegation")
    targets = [sample.labels["target"] for sample in family.samples]
    assert targets == ['a"b\\c d\\n:443', "münchen.example:1"]


def test_all_series_of_a_server_have_its_labels() -> None:
    """Whatever the values contain. Other servers have no additional label."""
    values = {"env": 'a"b\\c', "team": "{münchen,}=1 # EOF"}
    reports = [delegated_by_well_known("labelled.example"), delegated_by_well_known("plain.example"), hostile()]
    watched = [
        watched_server("labelled.example", labels=sort_labels(values)),
        watched_server("plain.example"),
        watched_server("hostile.example.org", labels=sort_labels(values)),
    ]
    labelled = text_of(board_of(watched, *reports), OPENMETRICS)
    plain = text_of(board_of([watched_server(each.server_name.text) for each in watched], *reports), OPENMETRICS)

    def samples(text: str) -> list[tuple[str, dict[str, str], float]]:
        return [
            (sample.name, sample.labels, sample.value) for each in parse_openmetrics(text) for sample in each.samples
        ]

    assert samples(labelled) == [
        (name, labels if labels["server_name"] == "plain.example" else labels | values, value)
        for name, labels, value in samples(plain)
    ]


def test_labels_that_servers_may_have_are_not_those_of_the_families() -> None:
    """Otherwise a series would have two labels of one name, and the scrape would fail."""
    assert {"server_name", *(label for family in FAMILIES for label in family.labels)} == OWN_LABELS


def test_there_are_no_duplicate_series() -> None:
    """Prometheus would reject the whole scrape."""
    lines = [line.rpartition(" ")[0] for line in text_of(full_board()).splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize("accept", [None, OPENMETRICS])
def test_a_scrape_ends_with_the_exporters_own_metrics(accept: str | None) -> None:
    """Only OpenMetrics has an end marker, and has it once."""
    exposition = Exposer(full_board(), ExporterMetrics()).scrape(accept, None)
    text = body(exposition).decode()
    parse = parse_openmetrics if accept else parse_text
    names = [metric.name for metric in parse(text)]
    assert (exposition.content_type, exposition.encoding) == (OPENMETRICS_TYPE if accept else TEXT_TYPE, None)
    assert text.count("\n" + END) == (1 if accept else 0)
    assert text.endswith(END) is bool(accept)
    assert "matrix_federation_probe_success" in names
    assert "matrix_federation_exporter_servers" in names
    assert "process_start_time_seconds" in names


@pytest.mark.system("promtool")
def test_promtool_finds_no_problem() -> None:
    """Its linter checks names, types and help texts."""
    text = body(Exposer(full_board(), ExporterMetrics()).scrape(None, None))
    promtool = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (promtool.returncode, promtool.stdout, promtool.stderr) == (0, b"", b"")


def test_gzip_contains_the_same_text() -> None:
    """Only the text of the servers is compared, as the process metrics change between two scrapes."""
    board = full_board()
    exposition = Exposer(board, ExporterMetrics()).scrape(OPENMETRICS, "br, gzip;q=0.8")
    assert (exposition.content_type, exposition.encoding) == (OPENMETRICS_TYPE, "gzip")
    expected = text_of(board, OPENMETRICS).removesuffix(END)
    assert gzip.decompress(body(exposition)).decode().startswith(expected)


@pytest.mark.parametrize("accept", [None, OPENMETRICS], ids=["text", "openmetrics"])
def test_later_scrapes_with_gzip_contain_the_same_text_as_plain_ones(accept: str | None) -> None:
    """Whatever an earlier one has compressed: in the other format, of other metrics, or before a result changed."""
    board, disabled = full_board(), "matrix_federation_stage_success"
    exposer = Exposer(board, ExporterMetrics())
    without = Selection(disabled=frozenset({disabled}))
    named = Selection(frozenset({"matrix_federation_peer_success", disabled}))
    seen = []
    for seconds, selection in enumerate((without, named, Selection(), without, named)):
        for other in (None, OPENMETRICS):
            gzip.decompress(body(exposer.scrape(other, "gzip", selection)))
        board.put(replace(two_families(), seconds=float(seconds)))
        compressed, plain = (body(exposer.scrape(accept, encoding, selection)) for encoding in ("gzip", None))
        seen.append((lines_of_servers(gzip.decompress(compressed)), lines_of_servers(plain)))
    assert [compressed for compressed, _ in seen] == [plain for _, plain in seen]
    assert all(plain for _, plain in seen)


def lines_of_servers(text: bytes) -> list[bytes]:
    return [line for line in text.splitlines() if b"server_name=" in line]


def test_a_header_that_raises_in_the_library_selects_the_text_format() -> None:
    """With `version=abc`, the library's own negotiation raises TypeError."""
    exposition = Exposer(full_board(), ExporterMetrics()).scrape(
        "application/openmetrics-text;version=abc", "gzip;q=abc"
    )
    assert (exposition.content_type, exposition.encoding) == (TEXT_TYPE, None)
    assert body(exposition)


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_the_size_of_chunks_is_limited(encoding: str | None) -> None:
    """Other tasks can run between two of them."""
    servers = [watched_server(f"server{number}.example.org") for number in range(1000)]
    reports = [replace(two_families(), server_name=server.server_name) for server in servers]
    board = board_of(servers, *reports)
    longest_piece = max(
        len(batch.lines(index)) for batch in batches_of(board.snapshot()) for index in range(len(FAMILIES))
    )
    chunks = list(Exposer(board, ExporterMetrics()).scrape(None, encoding).chunks)
    assert max(map(len, chunks)) < CHUNK_BYTES + longest_piece
    assert len(chunks) > 2


def test_every_piece_is_in_one_chunk() -> None:
    """Small pieces are joined until a chunk is full, and a piece is never divided."""
    half, whole = b"h" * (CHUNK_BYTES // 2), b"w" * (CHUNK_BYTES + 1)
    pieces = [whole, half, half, b"", half, whole, b"end"]
    assert list(join_chunks(pieces, clock=lambda: 0.0)) == [whole, half + half, half + whole, b"end"]


def test_a_chunk_ends_when_it_has_taken_long() -> None:
    """The pieces are rendered while they are joined: here, each takes three fifths of what a chunk may take."""
    now = 0.0

    def pieces() -> Iterator[bytes]:
        nonlocal now
        for piece in (b"1", b"2", b"3", b"4", b"5"):
            now += 0.6 * CHUNK_SECONDS
            yield piece

    assert list(join_chunks(pieces(), clock=lambda: now)) == [b"12", b"34", b"5"]


def test_a_scrape_shows_the_state_at_its_beginning() -> None:
    """Results that arrive during it are for the next scrape."""
    board = full_board()
    before = text_of(board)
    chunks = Exposer(board, ExporterMetrics()).scrape(None, None).chunks
    first = next(chunks)
    board.put(replace(two_families(), dns=Failed(9.0, (Problem(Reason.DNS_TIMEOUT, ""),))))
    board.watch([])
    assert (first + b"".join(chunks)).decode().startswith(before)


@pytest.mark.parametrize(
    ("accept", "write"),
    [(None, generate_latest), (OPENMETRICS, openmetrics.generate_latest)],
    ids=["text", "openmetrics"],
)
def test_the_exporters_own_metrics_are_what_the_library_writes(
    accept: str | None, write: Callable[[CollectorRegistry], bytes]
) -> None:
    """Although each of them is rendered on its own."""
    registry = CollectorRegistry()
    Histogram("h", "A histogram.", ["label"], registry=registry).labels("value").observe(1)
    Counter("c", "A counter.", registry=registry).inc()
    found = body(expose(board_of([]).snapshot(), registry, accept, Selection(disabled=frozenset(METRIC_NAMES))))
    assert found == write(registry)


def test_an_empty_board_has_families_without_samples() -> None:
    text = text_of(board_of([]), OPENMETRICS)
    assert [metric.samples for metric in parse_openmetrics(text)] == [[] for _ in FAMILIES]
