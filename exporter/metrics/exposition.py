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

from exporter.metrics.exporter_metrics import Instruments
from exporter.metrics.families import FAMILIES, SUFFIXES, Family, Kind
from exporter.metrics.negotiation import wants_gzip, wants_openmetrics
from exporter.metrics.samples import Sample
from exporter.model.sanitize import printable
from exporter.reports.board import Board, Lines, Posted, Snapshot
from exporter.reports.server_state import Standing

MAX_LABEL_CHARACTERS = 300  # a server name and a port take 261
CHUNK_BYTES = 64 * 1024  # about a tenth of a millisecond of joining: the event loop can breathe between two
GZIP_LEVEL = 1  # level 9 takes ten times as long for four fifths of the size
GZIP_WINDOW_BITS = 31  # 15, the largest window, and 16 for the header of gzip


# ---------------------------------------------------------------- when a server changes


def lines(standing: Standing) -> Lines:
    """All that is said of one server: the text of every family, which both formats share."""
    server_name = escaped(str(standing.watched.server_name))
    return tuple(
        "".join([line(layout, server_name, sample) for sample in family.samples(standing)]).encode()
        for family, layout in LAYOUTS
    )


def layout(family: Family) -> str:
    """A line to be filled in: {0} is the server name, {1} the value, and the labels follow as in the table."""
    places = {"server_name": 0} | {label: place for place, label in enumerate(family.labels, start=2)}
    text = ",".join(f'{label}="{{{place}}}"' for label, place in sorted(places.items()))
    return f"{family.full_name}{{{{{text}}}}} {{1}}\n"


LAYOUTS: Final = tuple((family, layout(family)) for family in FAMILIES)


def line(layout: str, server_name: str, sample: Sample) -> str:
    label_values, number = sample
    written = floatToGoString(number)  # type: ignore[no-untyped-call]
    return layout.format(server_name, written, *map(escaped, label_values))


def escaped(label_value: str) -> str:
    """Whatever it is made of: a remote server may have had a hand in it."""
    return printable(label_value, MAX_LABEL_CHARACTERS).replace("\\", r"\\").replace('"', r"\"")


# ---------------------------------------------------------------- the two formats


@dataclass(frozen=True, slots=True)
class Format:
    content_type: str
    heading: Callable[[Family], bytes]
    written: Callable[[CollectorRegistry], bytes]
    """The library's text of a registry, with the end of the whole."""


def text_heading(family: Family) -> bytes:
    kind = Kind.GAUGE if family.kind is Kind.INFO else family.kind
    return heading(family.full_name, kind, family.help)


def openmetrics_heading(family: Family) -> bytes:
    """In OpenMetrics the suffix belongs to the samples, not to the family."""
    return heading(family.full_name.removesuffix(SUFFIXES[family.kind]), family.kind, family.help)


def heading(name: str, kind: Kind, help_text: str) -> bytes:
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n".encode()


TEXT = Format(CONTENT_TYPE_PLAIN_0_0_4, text_heading, generate_latest)
OPENMETRICS = Format(openmetrics.CONTENT_TYPE_LATEST, openmetrics_heading, openmetrics.generate_latest)


# ---------------------------------------------------------------- when a scrape comes


class Answer(NamedTuple):
    content_type: str
    encoding: str | None
    """Of the content: gzip or none."""
    chunks: Iterator[bytes]
    """Made one by one as they are asked for, each a fraction of a millisecond of work."""


def scrape(board: Board, instruments: Instruments, accept: str | None, accept_encoding: str | None) -> Answer:
    """The whole of `/metrics`, as the two headers of the request ask for it; they may hold anything."""
    return answer(board.snapshot(), instruments.registry, accept, accept_encoding)


def of_one(standing: Standing, accept: str | None) -> Answer:
    """All families of one server, as of its report; nothing of the exporter itself."""
    assert standing.report is not None
    posted = Posted(standing, lines(standing), standing.fresh_until)
    return answer(Snapshot(standing.report.ended_at, (posted,)), CollectorRegistry(), accept, None)


def answer(snapshot: Snapshot, registry: CollectorRegistry, accept: str | None, accept_encoding: str | None) -> Answer:
    """The servers of the snapshot, and after them what the registry holds."""
    spoken = OPENMETRICS if wants_openmetrics(accept) else TEXT
    chunks = joined(pieces(snapshot, registry, spoken))
    if wants_gzip(accept_encoding):
        return Answer(spoken.content_type, "gzip", gzipped(chunks))
    return Answer(spoken.content_type, None, chunks)


def pieces(snapshot: Snapshot, registry: CollectorRegistry, spoken: Format) -> Iterator[bytes]:
    """Family by family, as both formats demand. A server whose result is too old keeps its lasting families."""
    everyone = [posted.lines for posted in snapshot.posted]
    fresh = [posted.lines for posted in snapshot.posted if posted.fresh_until >= snapshot.taken_at]
    for position, family in enumerate(FAMILIES):
        yield spoken.heading(family)
        for server_lines in everyone if family.lasting else fresh:
            yield server_lines[position]
    yield spoken.written(registry)


def joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
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


def gzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(GZIP_LEVEL, wbits=GZIP_WINDOW_BITS)
    for chunk in chunks:
        if compressed := compressor.compress(chunk):
            yield compressed
    yield compressor.flush()
