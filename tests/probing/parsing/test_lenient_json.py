"""JSON as the most tolerant of the homeservers read it."""

import gzip
import zlib

import pytest

from exporter.model.enums import Oddity
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing import lenient_json
from exporter.probing.parsing.json_body import MAX_CONTAINERS
from exporter.probing.parsing.lenient_json import LenientObject

LIMIT = 1000
GZIP, DEFLATE = (("content-encoding", "gzip"),), (("content-encoding", " Deflate"),)
Headers = tuple[tuple[str, str], ...]


def parse(body: bytes, headers: Headers = ()) -> LenientObject | str:
    return lenient_json.parse(HttpResponse(200, headers, body), LIMIT)


@pytest.mark.parametrize(
    ("body", "headers", "oddities"),
    [
        (b'{"a": 1}', (), set()),
        (b' \r\n{"a": 1}\n\t', (), set()),
        (b'\xef\xbb\xbf{"a": 1}', (), {Oddity.BYTE_ORDER_MARK}),
        (b'{"a": 1}<!-- -->', (), {Oddity.TRAILING_DATA}),
        (gzip.compress(b'{"a": 1}', mtime=0), GZIP, {Oddity.GZIPPED}),
        (zlib.compress(b'{"a": 1}'), DEFLATE, {Oddity.GZIPPED}),
        (b'{"a": 1}', GZIP, {Oddity.NOT_GZIPPED}),
        (
            gzip.compress(b'\xef\xbb\xbf{"a": 1}x', mtime=0),
            GZIP,
            {Oddity.GZIPPED, Oddity.BYTE_ORDER_MARK, Oddity.TRAILING_DATA},
        ),
    ],
)
def test_reads_what_some_homeserver_reads(body: bytes, headers: Headers, oddities: set[Oddity]) -> None:
    """It says what the others mind."""
    assert parse(body, headers) == LenientObject({"a": 1}, frozenset(oddities))


def test_the_last_of_several_equal_keys_counts() -> None:
    """Homeservers differ, so it is recorded, at any depth."""
    parsed = parse(b'{"a": 1, "b": {"c": 2, "c": 3}, "a": 4}')
    assert parsed == LenientObject({"a": 4, "b": {"c": 3}}, frozenset(), frozenset({"a", "c"}))


@pytest.mark.parametrize(
    ("body", "headers", "complaint"),
    [
        (b"", (), "Expecting value"),
        (b"<!doctype html>", (), "Expecting value"),
        (b"[]", (), "a JSON object was expected, found an array"),
        (b'{"a": NaN}', (), "NaN is not JSON"),
        (b'{"a": "\xff"}', (), "'utf-8' codec can't decode"),
        (b"[" * 100_000, (), "maximum recursion depth"),
        (b"{}" * (MAX_CONTAINERS + 1), (), f"more than {MAX_CONTAINERS} objects and arrays"),
        (gzip.compress(b'{"a": 1}', mtime=0)[:-12], GZIP, "Expecting value"),
        (gzip.compress(b'{"a": "' + b"x" * LIMIT + b'"}', mtime=0), GZIP, "Unterminated string"),
    ],
)
def test_says_why_nobody_can_read_it(body: bytes, headers: Headers, complaint: str) -> None:
    """What a body decompresses to is bounded."""
    parsed = parse(body, headers)
    assert isinstance(parsed, str)
    assert parsed.startswith(complaint)
    assert parsed.isprintable()
