"""HTTP: responses that drip, never end, break off, contradict themselves, or are not HTTP at all."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from exporter.demo.homeserver import VERSION
from exporter.demo.https_server import WELL_KNOWN
from exporter.model.reasons import Reason
from tests.lab.hostile.raw_responses import OK, BadResponse, RawResponse, dripping, http_response, silent_after
from tests.lab.hostile.rows import numbered

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
KIB = 1024
ESCAPES = "\u202e\u009b31m<script>".encode()
BOMB = bytes(4 * KIB * KIB)
BLANKS = b" " * (14 * KIB)
SETTINGS_AND_GOAWAY = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\1"  # HTTP/2 (RFC 9113, 6.5 and 6.8)
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
TOO_LARGE, TIMEOUT, PROTOCOL = Reason.TOO_LARGE, Reason.HTTP_TIMEOUT, Reason.HTTP_PROTOCOL


@dataclass(frozen=True, slots=True)
class HttpRow:
    """A row for both the well-known and the version: `response` is made from the correct body."""

    label: str
    shows: str
    response: Callable[[bytes], RawResponse]
    reason: Reason | None

    def for_path(self, path: str, suffix: str) -> BadResponse:
        return BadResponse(f"{self.label}-{suffix}", self.shows, path, lambda _, body: self.response(body), self.reason)


def fixed(label: str, shows: str, response: bytes | RawResponse, reason: Reason) -> HttpRow:
    """The response does not depend on the correct body."""
    whole = response if isinstance(response, RawResponse) else RawResponse(response)
    return HttpRow(label, shows, lambda _: whole, reason)


def status(line: str, reason: Reason = Reason.HTTP_STATUS) -> HttpRow:
    return HttpRow(
        f"http-status-{line[:3]}",
        f"status {line}",
        lambda body: RawResponse(http_response(body, line.encode())),
        reason,
    )


def with_header(label: str, shows: str, header: bytes, reason: Reason | None) -> HttpRow:
    """The correct response with one more header."""
    return HttpRow(f"http-{label}", shows, lambda body: RawResponse(http_response(body, b"200 OK", header)), reason)


def framed(label: str, shows: str, reason: Reason | None, frame: Callable[[bytes], bytes]) -> HttpRow:
    """The correct body in a frame of its own."""
    return HttpRow(f"http-{label}", shows, lambda body: RawResponse(frame(body)), reason)


def chunk(content: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(content), extension, content)


SLOW = (
    fixed("http-silence", "no response at all", silent_after(b""), TIMEOUT),
    fixed("http-head-stalls", "a response that stalls within a header", silent_after(OK + b"X-Later: y"), TIMEOUT),
    fixed(
        "http-body-stalls", "a response that stalls within the body", silent_after(http_response(b"{}")[:-1]), TIMEOUT
    ),
    fixed("http-head-drips", "a header sent byte by byte", dripping(OK + b"X-Slow: ", b"x"), TIMEOUT),
    fixed("http-body-drips", "a body sent byte by byte", dripping(OK + b"\r\n", b" "), TIMEOUT),
    fixed("http-chunks-drip", "chunks of one byte, sent slowly", dripping(CHUNKED, chunk(b" ")), TIMEOUT),
)
LARGE = (
    fixed("http-endless-headers", "endless headers", RawResponse(OK, b"X: y\r\n" * KIB), TOO_LARGE),
    fixed("http-endless-header", "one endless header", RawResponse(OK + b"X: ", b"y" * KIB), TOO_LARGE),
    fixed("http-endless-status", "an endless status line", RawResponse(b"HTTP/1.1 200 ", b"y" * KIB), TOO_LARGE),
    fixed("http-endless-body", "an endless body", RawResponse(OK + b"\r\n", b" " * KIB), TOO_LARGE),
    fixed("http-endless-chunks", "endless chunks", RawResponse(CHUNKED, chunk(b" " * KIB)), TOO_LARGE),
    fixed("http-tiny-chunks", "endless chunks of one byte", RawResponse(CHUNKED, chunk(b" ") * KIB), TOO_LARGE),
    fixed("http-endless-extension", "an endless chunk extension", RawResponse(CHUNKED + b"1;", b"y" * KIB), TOO_LARGE),
    fixed(
        "http-large-extensions",
        "chunks of one byte, each with an extension of 14 KiB",
        RawResponse(CHUNKED, chunk(b" ", b";" + b"y" * 14 * KIB)),
        TOO_LARGE,
    ),
    fixed("http-endless-trailers", "endless trailers", RawResponse(CHUNKED + b"0\r\n", b"X: y\r\n" * KIB), TOO_LARGE),
    with_header("10000-headers", "ten thousand headers", b"\r\n".join([b"X: y"] * 10_000), TOO_LARGE),
    with_header("header-1-mib", "a header of 1 MiB", b"X: " + b"y" * KIB * KIB, TOO_LARGE),
    fixed(
        "http-length-20-digits",
        "a Content-Length of 99999999999999999999",
        OK + b"Content-Length: 9%b\r\n\r\n" % (b"9" * 19),
        TOO_LARGE,
    ),
)
BROKEN_OFF = (
    fixed("http-no-answer", "a connection that is closed without a response", b"", PROTOCOL),
    fixed("http-half-status", "a response that ends within the status line", b"HTTP/1.1 20", PROTOCOL),
    fixed("http-half-header", "a response that ends within a header", OK + b"Content-Le", PROTOCOL),
    fixed("http-no-blank-line", "a response that ends after a header", OK + b"X: y\r\n", PROTOCOL),
    framed("no-body", "a response that ends before the body", PROTOCOL, lambda body: http_response(body)[: -len(body)]),
    framed("short-body", "a body one byte shorter than announced", PROTOCOL, lambda body: http_response(body)[:-1]),
    framed("chunk-missing", "a chunk shorter than announced", PROTOCOL, lambda body: CHUNKED + chunk(body)[:-3]),
    framed("no-last-chunk", "chunks without the last one", PROTOCOL, lambda body: CHUNKED + chunk(body)),
)
CONTRADICTIONS = (
    framed(
        "chunk-longer",
        "a chunk longer than announced",
        PROTOCOL,
        lambda body: CHUNKED + b"1\r\n" + body + b"\r\n0\r\n\r\n",
    ),
    framed("chunk-negative", "a chunk of -1 bytes", PROTOCOL, lambda body: CHUNKED + b"-1\r\n" + body),
    framed("chunk-2-to-80", "a chunk of 2^80 - 1 bytes", PROTOCOL, lambda body: CHUNKED + b"f" * 20 + b"\r\n" + body),
    fixed("http-chunk-blanks", "14 KiB of spaces in a chunk extension", CHUNKED + b"1;" + BLANKS + b"\n\r\n", PROTOCOL),
    with_header("two-lengths", "two Content-Length headers", b"Content-Length: 1", PROTOCOL),
    with_header("length-negative", "a negative Content-Length beside the correct one", b"Content-Length: -1", PROTOCOL),
    fixed("http-length-plus", "a Content-Length with a plus sign", OK + b"Content-Length: +2\r\n\r\n{}", PROTOCOL),
    fixed(
        "http-length-digits",
        "a Content-Length of 5000 digits",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        PROTOCOL,
    ),
    framed(
        "length-and-chunks",
        "a Content-Length and chunks: the chunks count (RFC 9112, 6.3)",
        None,
        lambda body: OK + b"Content-Length: 999999\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body) + chunk(b""),
    ),
    with_header(
        "encoded-twice", "a transfer encoding that was not requested", b"Transfer-Encoding: gzip, chunked", PROTOCOL
    ),
    with_header("nul", "a NUL in a header", b"X: a\0b", PROTOCOL),
    with_header("cr", "a bare CR in a header", b"X: a\rb", PROTOCOL),
    with_header("name-not-ascii", "a header whose name is not ASCII", "Ü: y".encode(), PROTOCOL),
    with_header("no-colon", "a header without a colon", b"X", PROTOCOL),
    with_header("space-before-colon", "a space between a header's name and its colon", b"X : y", PROTOCOL),
    with_header("blanks", "14 KiB of spaces and a NUL in a header", b"X:" + BLANKS + b"\0", PROTOCOL),
    with_header("folded", "a header folded into two lines (RFC 9112, 5.2)", b"X: y\r\n z", None),
    with_header(
        "cache-blanks",
        "a malformed Cache-Control of 14 KiB",
        b"Cache-Control: " + b"a" * 14_000 + b" b",
        None,
    ),
    framed(
        "no-crlf",
        "lines that end in LF only (RFC 9112, 2.2)",
        None,
        lambda body: http_response(body).replace(b"\r\n", b"\n"),
    ),
)
OTHER_PROTOCOLS = (
    framed("0-9", "HTTP/0.9: only a body", PROTOCOL, lambda body: body),
    fixed("http-2", "HTTP/2, which was not requested", SETTINGS_AND_GOAWAY, PROTOCOL),
    framed(
        "version-2",
        "a response labelled HTTP/2.0",
        PROTOCOL,
        lambda body: http_response(body).replace(b"1.1", b"2.0", 1),
    ),
    framed(
        "version-11",
        "a response labelled HTTP/11.1",
        PROTOCOL,
        lambda body: http_response(body).replace(b"1.1", b"11.1", 1),
    ),
    framed(
        "icy",
        "a response that begins with ICY",
        PROTOCOL,
        lambda body: http_response(body).replace(b"HTTP/1.1", b"ICY", 1),
    ),
    fixed(
        "http-101",
        "a switch to another protocol",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        PROTOCOL,
    ),
    fixed("http-thousand-interims", "a thousand interim responses", EARLY_HINTS * 1000, PROTOCOL),
    framed(
        "interim", "an interim response before the correct one", None, lambda body: EARLY_HINTS + http_response(body)
    ),
    framed(
        "surplus",
        "a second response, which was not requested",
        None,
        lambda body: http_response(body) + http_response(b"{}"),
    ),
    framed(
        "two-documents", "a second document after the first", Reason.NOT_JSON, lambda body: http_response(body + body)
    ),
)
CONTENT = (
    with_header("html", "the correct content as text/html, which peers ignore", b"Content-Type: text/html", None),
    fixed(
        "http-gzip",
        "4 MiB in 4 KiB of gzip",
        http_response(gzip.compress(BOMB), b"200 OK", b"Content-Encoding: gzip"),
        Reason.NOT_JSON,
    ),
    fixed(
        "http-deflate",
        "4 MiB in 4 KiB of deflate",
        http_response(zlib.compress(BOMB), b"200 OK", b"Content-Encoding: deflate"),
        Reason.NOT_JSON,
    ),
    fixed(
        "http-brotli",
        "brotli, which was not requested",
        http_response(b"\x8b\x03\x80\0\0\x03", b"200 OK", b"Content-Encoding: br"),
        Reason.NOT_JSON,
    ),
    fixed(
        "http-error-gzip",
        "an error of 4 MiB in 4 KiB of gzip",
        http_response(gzip.compress(BOMB), b"403 Forbidden", b"Content-Encoding: gzip"),
        Reason.HTTP_STATUS,
    ),
    fixed(
        "http-error-escapes",
        "an error page and headers that try to control a terminal",
        http_response(ESCAPES * KIB, b"403 Forbidden", b"Server: " + ESCAPES, b"cf-mitigated: " + b"x" * 14 * KIB),
        Reason.HTTP_STATUS,
    ),
)
STATUSES = (
    status("000 None", PROTOCOL),
    *map(
        status,
        ("204 No Content", "206 Partial Content", "304 Not Modified", "401 Unauthorized", "429 Too Many Requests"),
    ),
    *map(status, ("503 Service Unavailable", "999 Request Denied")),
)

BETWEEN_REQUESTS = (*SLOW, *LARGE, *BROKEN_OFF, *OTHER_PROTOCOLS)
"""Rows that may disturb the next request over the same connection, which is for the keys."""
HTTP_SERVERS = (
    *numbered(
        "198.18.1.",
        [row.for_path(WELL_KNOWN, "web") for row in (*BETWEEN_REQUESTS, *CONTRADICTIONS, *CONTENT, *STATUSES)],
    ),
    *numbered("198.18.2.", [row.for_path(VERSION, "version") for row in BETWEEN_REQUESTS]),
)
