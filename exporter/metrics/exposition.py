"""The text of `/metrics`, in the Prometheus text format 0.0.4 and in OpenMetrics 1.0.

The lines of a server are rendered once, when its state changes. A scrape only joins them, family by family.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Generic, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import RestrictedRegistry
from prometheus_client.utils import floatToGoString

from exporter.metrics.batches import Batch, RecentBatches, batches_of
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.families import FAMILIES, LINE_START, SERVER_LABELS, SUFFIXES, Family, MetricType
from exporter.metrics.gzip_stream import Deflated, gzip_stream
from exporter.metrics.negotiation import wants_gzip, wants_openmetrics
from exporter.metrics.samples import Sample
from exporter.model.sanitize import printable
from exporter.model.servers import WatchedServer
from exporter.reports.board import Board, RenderedLines, RenderedState, Snapshot, StatePacker
from exporter.reports.server_state import ServerState

MAX_LABEL_CHARACTERS = 300  # a server name and a port take 261
_TEXTS_KEPT = 1024  # of label values and of numbers each: most are the same for all servers
CHUNK_BYTES = 64 * 1024  # other tasks can run between two chunks, which takes 50 µs
CHUNK_SECONDS = 0.001


# ---------------------------------------------------------------- when the state of a server changes


def render_lines(state: ServerState) -> RenderedLines:
    """Return the sample lines of a server, as one text for each family. They are the same in both formats.

    LINE_START and SERVER_LABELS stand for what they have in common.
    """
    return RenderedLines(
        _render_server_labels(state.watched).encode(),
        tuple([_render_samples(layout, tuple(family.samples(state))) for family, layout in _LAYOUTS]),
    )


def _render_server_labels(watched: WatchedServer) -> str:
    labels = (("server_name", watched.server_name.text), *watched.labels)
    return ",".join([f'{name}="{_escape_label(value)}"' for name, value in labels])


def _line_layout(family: Family) -> str:
    """Return a format string: {0} is the value, and the label values of the family follow as in the table."""
    written = {label: f'{label}="{{{position}}}"' for position, label in enumerate(family.labels, start=1)}
    labels = ",".join(written.get(label, SERVER_LABELS) for label in family.sorted_labels)
    after_line_start = labels if labels.startswith(SERVER_LABELS) else labels.partition('"')[2]
    return f"{LINE_START}{after_line_start}}}}} {{0}}\n"


_LAYOUTS: Final = tuple((family, _line_layout(family)) for family in FAMILIES)


@lru_cache(_TEXTS_KEPT)
def _render_samples(layout: str, samples: tuple[Sample, ...]) -> bytes:
    """Return the lines of a family. Most are the same for thousands of servers: those are one object."""
    return "".join([_render_line(layout, sample) for sample in samples]).encode()


def _render_line(layout: str, sample: Sample) -> str:
    label_values, value = sample
    return layout.format(_format_number(value), *map(_escape_label, label_values))


@lru_cache(_TEXTS_KEPT)
def _format_number(value: float) -> str:
    formatted: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return formatted


@lru_cache(_TEXTS_KEPT)
def _escape_label(label_value: str) -> str:
    """Escape a label value, which a remote server may have chosen."""
    return printable(label_value, MAX_LABEL_CHARACTERS).replace("\\", r"\\").replace('"', r"\"")


# ---------------------------------------------------------------- the two formats


@dataclass(frozen=True, slots=True)
class _ExpositionFormat:
    content_type: str
    render_heading: Callable[[Family], bytes]
    render_metric: Callable[[Any], bytes]
    """Renders a registry, followed by `end`."""
    end: bytes
    """Of the exposition."""


def _text_heading(family: Family) -> bytes:
    """Return the HELP and TYPE lines. The text format has no info type."""
    metric_type = MetricType.GAUGE if family.metric_type is MetricType.INFO else family.metric_type
    return _render_heading(family.full_name, metric_type, family.help)


def _openmetrics_heading(family: Family) -> bytes:
    """Return the HELP and TYPE lines. In OpenMetrics, the suffix belongs to the samples and not to the family."""
    name = family.full_name.removesuffix(SUFFIXES[family.metric_type])
    return _render_heading(name, family.metric_type, family.help)


def _render_heading(name: str, metric_type: MetricType, help_text: str) -> bytes:
    return f"# HELP {name} {help_text}\n# TYPE {name} {metric_type}\n".encode()


TEXT = _ExpositionFormat(CONTENT_TYPE_PLAIN_0_0_4, _text_heading, generate_latest, b"")
_OPENMETRICS = _ExpositionFormat(
    openmetrics.CONTENT_TYPE_LATEST, _openmetrics_heading, openmetrics.generate_latest, b"# EOF\n"
)


class _Single(NamedTuple):
    """A metric as a registry, because the whole registry takes several milliseconds to render."""

    metric: Metric

    def collect(self) -> Iterator[Metric]:
        yield self.metric


# ---------------------------------------------------------------- the two encodings

_Text = TypeVar("_Text", bytes, Deflated)


@dataclass(frozen=True, slots=True)
class _Encoding(Generic[_Text]):
    name: str | None
    lines: Callable[[Batch, int], _Text]
    """Returns the encoded lines of a family, by its index."""
    encode: Callable[[bytes], _Text]
    stream: Callable[[Iterable[_Text]], Iterator[bytes]]


_PLAIN: Final[_Encoding[bytes]] = _Encoding(None, Batch.lines, bytes, iter)
_GZIP: Final[_Encoding[Deflated]] = _Encoding("gzip", Batch.deflated, Deflated.of, gzip_stream)


# ---------------------------------------------------------------- scrapes


@dataclass(frozen=True, slots=True)
class Selection:
    """Which metrics are exposed."""

    names: frozenset[str] | None = None
    """The only ones, by their full names; None for all. As with prometheus-client, unknown names select nothing."""
    disabled: frozenset[str] = frozenset()
    """Families of the servers that are switched off."""

    def includes(self, family: Family) -> bool:
        return family.full_name not in self.disabled and (self.names is None or family.full_name in self.names)

    def restrict(self, registry: CollectorRegistry) -> CollectorRegistry | RestrictedRegistry:
        return registry if self.names is None else RestrictedRegistry(self.names, registry)


_ALL = Selection()


class Exposition(NamedTuple):
    """The response to a scrape."""

    content_type: str
    encoding: str | None
    """The content encoding: gzip or None."""
    chunks: Iterator[bytes]
    """The content. Each chunk is rendered when it is requested, which takes at most a few milliseconds."""


class Exposer:
    """Answers scrapes. It keeps what was compressed, as most of it is the same in the next scrape."""

    def __init__(self, board: Board, exporter_metrics: ExporterMetrics) -> None:
        self._board = board
        self._registry = exporter_metrics.registry
        self._recent = RecentBatches()

    def scrape(self, accept: str | None, accept_encoding: str | None, selection: Selection = _ALL) -> Exposition:
        """Return `/metrics`, in the format and encoding that the headers of a request ask for."""
        snapshot = self._board.snapshot()
        if wants_gzip(accept_encoding):
            return _expose(self._recent.restore(snapshot), _GZIP, self._registry, accept, selection)
        return expose(snapshot, self._registry, accept, selection)


def expose_one(state: ServerState, accept: str | None, selection: Selection = _ALL) -> Exposition:
    """Return the families of one server, at the time of its report, without the metrics of the exporter itself."""
    assert state.report is not None
    rendered = RenderedState.of(state, render_lines(state), StatePacker())
    return expose(Snapshot(state.report.ended_at, (rendered,)), CollectorRegistry(), accept, selection)


def expose(
    snapshot: Snapshot, registry: CollectorRegistry, accept: str | None, selection: Selection = _ALL
) -> Exposition:
    """Return the families of the servers in the snapshot, followed by the metrics in the registry."""
    return _expose(batches_of(snapshot), _PLAIN, registry, accept, selection)


def _expose(
    batches: Iterator[Batch],
    encoding: _Encoding[_Text],
    registry: CollectorRegistry,
    accept: str | None,
    selection: Selection,
) -> Exposition:
    exposition_format = _OPENMETRICS if wants_openmetrics(accept) else TEXT
    texts = _render(batches, encoding, registry, exposition_format, selection)
    return Exposition(exposition_format.content_type, encoding.name, join_chunks(encoding.stream(texts)))


def _render(
    batches: Iterator[Batch],
    encoding: _Encoding[_Text],
    registry: CollectorRegistry,
    exposition_format: _ExpositionFormat,
    selection: Selection,
) -> Iterator[_Text]:
    """Yield the text family by family, as both formats require."""
    known: list[Batch] = []
    for index, family in enumerate(FAMILIES):
        if selection.includes(family):
            yield encoding.encode(exposition_format.render_heading(family))
            for batch in known or _remember(batches, known):
                yield encoding.lines(batch, index)
    for metric in selection.restrict(registry).collect():
        rendered = exposition_format.render_metric(_Single(metric))
        yield encoding.encode(rendered.removesuffix(exposition_format.end))
    yield encoding.encode(exposition_format.end)


def _remember(batches: Iterable[Batch], known: list[Batch]) -> Iterator[Batch]:
    """Yield each batch as soon as it is known: to find those that have changed takes milliseconds."""
    for batch in batches:
        known.append(batch)
        yield batch


def join_chunks(pieces: Iterable[bytes], clock: Callable[[], float] = time.perf_counter) -> Iterator[bytes]:
    """Join pieces to chunks. One ends with the piece that fills it, or whose rendering took it to CHUNK_SECONDS."""
    pending: list[bytes] = []
    size, begun = 0, clock()
    for piece in pieces:
        pending.append(piece)
        size += len(piece)
        if size >= CHUNK_BYTES or clock() - begun >= CHUNK_SECONDS:
            yield b"".join(pending)
            pending, size, begun = [], 0, clock()
    yield b"".join(pending)
