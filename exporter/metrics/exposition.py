"""The text of `/metrics`: Prometheus text 0.0.4 and OpenMetrics 1.0.

The lines of a server are made once, when something about it changes; a scrape only joins them, family by family.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.utils import floatToGoString

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.families import FAMILIES, SUFFIXES, Family, MetricType
from exporter.metrics.negotiation import wants_gzip, wants_openmetrics
from exporter.metrics.samples import Sample
from exporter.model.sanitize import printable
from exporter.reports.board import Board, RenderedLines, RenderedState, Snapshot
from exporter.reports.server_state import ServerState

MAX_LABEL_CHARACTERS = 300  # a server name and a port take 261
CHUNK_BYTES = 64 * 1024  # about a tenth of a millisecond of joining: the event loop can breathe between two
_GZIP_LEVEL = 1  # level 9 takes ten times as long for four fifths of the size
_GZIP_WINDOW_BITS = 31  # 15, the largest window, and 16 for the header of gzip


# ---------------------------------------------------------------- when a server changes


def render_lines(state: ServerState) -> RenderedLines:
    """All that is said of one server: the text of every family, which both formats share."""
    server_name = _escape_label(str(state.watched.server_name))
    return tuple(
        "".join([_render_line(layout, server_name, sample) for sample in family.samples(state)]).encode()
        for family, layout in _LAYOUTS
    )


def _line_layout(family: Family) -> str:
    """A line to be filled in: {0} is the server name, {1} the value, and the labels follow as in the table."""
    places = {"server_name": 0} | {label: place for place, label in enumerate(family.labels, start=2)}
    text = ",".join(f'{label}="{{{place}}}"' for label, place in sorted(places.items()))
    return f"{family.full_name}{{{{{text}}}}} {{1}}\n"


_LAYOUTS: Final = tuple((family, _line_layout(family)) for family in FAMILIES)


def _render_line(layout: str, server_name: str, sample: Sample) -> str:
    label_values, number = sample
    written = floatToGoString(number)  # type: ignore[no-untyped-call]
    return layout.format(server_name, written, *map(_escape_label, label_values))


def _escape_label(label_value: str) -> str:
    """Whatever it is made of: a remote server may have had a hand in it."""
    return printable(label_value, MAX_LABEL_CHARACTERS).replace("\\", r"\\").replace('"', r"\"")


# ---------------------------------------------------------------- the two formats


@dataclass(frozen=True, slots=True)
class _ExpositionFormat:
    content_type: str
    heading: Callable[[Family], bytes]
    written: Callable[[CollectorRegistry], bytes]
    """The library's text of a registry, with the end of the whole."""


def _text_heading(family: Family) -> bytes:
    kind = MetricType.GAUGE if family.kind is MetricType.INFO else family.kind
    return _render_heading(family.full_name, kind, family.help)


def _openmetrics_heading(family: Family) -> bytes:
    """In OpenMetrics the suffix belongs to the samples, not to the family."""
    return _render_heading(family.full_name.removesuffix(SUFFIXES[family.kind]), family.kind, family.help)


def _render_heading(name: str, kind: MetricType, help_text: str) -> bytes:
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n".encode()


TEXT = _ExpositionFormat(CONTENT_TYPE_PLAIN_0_0_4, _text_heading, generate_latest)
_OPENMETRICS = _ExpositionFormat(openmetrics.CONTENT_TYPE_LATEST, _openmetrics_heading, openmetrics.generate_latest)


# ---------------------------------------------------------------- when a scrape comes


class Exposition(NamedTuple):
    content_type: str
    encoding: str | None
    """Of the content: gzip or none."""
    chunks: Iterator[bytes]
    """Made one by one as they are asked for, each a fraction of a millisecond of work."""


def scrape(
    board: Board, exporter_metrics: ExporterMetrics, accept: str | None, accept_encoding: str | None
) -> Exposition:
    """The whole of `/metrics`, as the two headers of the request ask for it; they may hold anything."""
    return expose(board.snapshot(), exporter_metrics.registry, accept, accept_encoding)


def expose_one(state: ServerState, accept: str | None) -> Exposition:
    """All families of one server, as of its report; nothing of the exporter itself."""
    assert state.report is not None
    rendered = RenderedState(state, render_lines(state), state.fresh_until)
    return expose(Snapshot(state.report.ended_at, (rendered,)), CollectorRegistry(), accept, None)


def expose(
    snapshot: Snapshot, registry: CollectorRegistry, accept: str | None, accept_encoding: str | None
) -> Exposition:
    """The servers of the snapshot, and after them what the registry holds."""
    spoken = _OPENMETRICS if wants_openmetrics(accept) else TEXT
    chunks = join_chunks(_pieces(snapshot, registry, spoken))
    if wants_gzip(accept_encoding):
        return Exposition(spoken.content_type, "gzip", gzip_chunks(chunks))
    return Exposition(spoken.content_type, None, chunks)


def _pieces(snapshot: Snapshot, registry: CollectorRegistry, spoken: _ExpositionFormat) -> Iterator[bytes]:
    """Family by family, as both formats demand. A server whose result is too old keeps its kept_when_stale families."""
    everyone = [rendered.lines for rendered in snapshot.states]
    fresh = [rendered.lines for rendered in snapshot.states if rendered.fresh_until >= snapshot.taken_at]
    for position, family in enumerate(FAMILIES):
        yield spoken.heading(family)
        for server_lines in everyone if family.kept_when_stale else fresh:
            yield server_lines[position]
    yield spoken.written(registry)


def join_chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Chunks of CHUNK_BYTES, give or take a piece."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        if size + len(piece) > CHUNK_BYTES and waiting:
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(piece)
        size += len(piece)
    yield b"".join(waiting)


def gzip_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW_BITS)
    for chunk in chunks:
        if compressed := compressor.compress(chunk):
            yield compressed
    yield compressor.flush()
