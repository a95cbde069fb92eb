"""JSON as the most tolerant of the homeservers read it, and what the others mind about it. Pure.

Bytes are bounded by the connection, what they decompress to here.
"""

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from exporter.model.enums import Oddity
from exporter.model.sanitize import printable
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing.json_body import JsonObject, find_excess, json_type, reject_constant

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_COMPRESSED = {"gzip", "x-gzip", "deflate"}
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # either header
_MAX_COMPLAINT = 60  # characters


@dataclass(frozen=True, slots=True)
class LenientObject:
    """A JSON object. `repeated` are the keys that stand in it more than once; the last one counts."""

    content: JsonObject
    oddities: frozenset[Oddity]
    repeated: frozenset[str] = frozenset()


def parse(response: HttpResponse, max_bytes: int) -> LenientObject | str:
    """Return the object in a body, or why nobody can read it. `max_bytes` bounds what a compressed body holds."""
    oddities: set[Oddity] = set()
    body = response.body
    if (response.header("content-encoding") or "").strip().lower() in _COMPRESSED:
        decompressed = _decompress(body, max_bytes)
        oddities.add(Oddity.NOT_GZIPPED if decompressed is None else Oddity.GZIPPED)
        body = body if decompressed is None else decompressed
    if body.startswith(_BYTE_ORDER_MARK):
        oddities.add(Oddity.BYTE_ORDER_MARK)
        body = body.removeprefix(_BYTE_ORDER_MARK)
    if excess := find_excess(body):
        return excess
    repeated: set[str] = set()

    def collect(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        collected: dict[str, Any] = {}
        for key, value in pairs:
            if key in collected:
                repeated.add(key)
            collected[key] = value
        return collected

    decoder = json.JSONDecoder(parse_constant=reject_constant, object_pairs_hook=collect)
    try:
        text = body.decode().lstrip(" \t\r\n")
        content, end = decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        return printable(str(error), _MAX_COMPLAINT)
    if text[end:].strip(" \t\r\n"):
        oddities.add(Oddity.TRAILING_DATA)
    if not isinstance(content, dict):
        return f"a JSON object was expected, found {json_type(content)}"
    return LenientObject(content, frozenset(oddities), frozenset(repeated))


def _decompress(body: bytes, max_bytes: int) -> bytes | None:
    """Return at most so many bytes, which are not valid JSON if there are more, or None for what is not compressed."""
    try:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(body, max_bytes)
    except zlib.error:
        return None
