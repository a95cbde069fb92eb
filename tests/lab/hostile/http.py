"""HTTP: answers that drip, never end, break off, contradict themselves, or are none."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from exporter.demo.homeserver import VERSION
from exporter.demo.https_server import WELL_KNOWN
from exporter.model.reasons import Reason
from tests.lab.hostile.raw_responses import OK, BadResponse, RawResponse, dripping, page, silent_after
from tests.lab.hostile.rows import numbered

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = bytes(4 << 20)
KIB = 1024
BLANKS = b" " * (14 * KIB)
SETTINGS_AND_GOAWAY = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\1"  # HTTP/2 (RFC 9113, 6.5 and 6.8)
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
TOO_LARGE, TIMEOUT, PROTOCOL = Reason.TOO_LARGE, Reason.HTTP_TIMEOUT, Reason.HTTP_PROTOCOL


@dataclass(frozen=True, slots=True)
class HttpRow:
    """A row: the well-known and the version are both spoken like this. `said` is made of the right body."""

    label: str
    shows: str
    said: Callable[[bytes], RawResponse]
    reason: Reason | None

    def about(self, path: str, where: str) -> BadResponse:
        return BadResponse(f"{self.label}-{where}", self.shows, path, lambda _, body: self.said(body), self.reason)


def says(label: str, shows: str, said: bytes | RawResponse, reason: Reason) -> HttpRow:
    """Whatever the right body would have been."""
    whole = said if isinstance(said, RawResponse) else RawResponse(said)
    return HttpRow(label, shows, lambda _: whole, reason)


def status(line: str, reason: Reason = Reason.HTTP_STATUS) -> HttpRow:
    return HttpRow(
        f"http-status-{line[:3]}", f"status {line}", lambda body: RawResponse(page(body, line.encode())), reason
    )


def headed(label: str, shows: str, header: bytes, reason: Reason | None) -> HttpRow:
    """The right answer, but for one more header."""
    return HttpRow(f"http-{label}", shows, lambda body: RawResponse(page(body, b"200 OK", header)), reason)


def framed(label: str, shows: str, reason: Reason | None, frame: Callable[[bytes], bytes]) -> HttpRow:
    return HttpRow(f"http-{label}", shows, lambda body: RawResponse(frame(body)), reason)


def chunk(content: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(content), extension, content)


SLOW = (
    says("http-silence", "a request that is never answered", silent_after(b""), TIMEOUT),
    says("http-head-stalls", "an answer that stops within a header", silent_after(OK + b"X-Later: y"), TIMEOUT),
    says("http-body-stalls", "an answer that stops within the body", silent_after(page(b"{}")[:-1]), TIMEOUT),
    says("http-head-drips", "a header that comes byte by byte", dripping(OK + b"X-Slow: ", b"x"), TIMEOUT),
    says("http-body-drips", "a body that comes byte by byte", dripping(OK + b"\r\n", b" "), TIMEOUT),
    says("http-chunks-drip", "a body of one byte a chunk, slowly", dripping(CHUNKED, chunk(b" ")), TIMEOUT),
)
LARGE = (
    says("http-endless-headers", "headers without end", RawResponse(OK, b"X: y\r\n" * KIB), TOO_LARGE),
    says("http-endless-header", "one header without end", RawResponse(OK + b"X: ", b"y" * KIB), TOO_LARGE),
    says("http-endless-status", "a status line without end", RawResponse(b"HTTP/1.1 200 ", b"y" * KIB), TOO_LARGE),
    says("http-endless-body", "a body without end", RawResponse(OK + b"\r\n", b" " * KIB), TOO_LARGE),
    says("http-endless-chunks", "chunks without end", RawResponse(CHUNKED, chunk(b" " * KIB)), TOO_LARGE),
    says("http-tiny-chunks", "chunks of one byte, without end", RawResponse(CHUNKED, chunk(b" ") * KIB), TOO_LARGE),
    says(
        "http-endless-extension", "a chunk extension without end", RawResponse(CHUNKED + b"1;", b"y" * KIB), TOO_LARGE
    ),
    says(
        "http-large-extensions",
        "chunks of one byte, each with an extension of 14 KiB",
        RawResponse(CHUNKED, chunk(b" ", b";" + b"y" * 14 * KIB)),
        TOO_LARGE,
    ),
    says(
        "http-endless-trailers", "trailers without end", RawResponse(CHUNKED + b"0\r\n", b"X: y\r\n" * KIB), TOO_LARGE
    ),
    headed("10000-headers", "ten thousand headers", b"\r\n".join([b"X: y"] * 10_000), TOO_LARGE),
    headed("header-1-mib", "a header of 1 MiB", b"X: " + b"y" * KIB * KIB, TOO_LARGE),
    says(
        "http-length-20-digits",
        "99999999999999999999 bytes announced",
        OK + b"Content-Length: 9%b\r\n\r\n" % (b"9" * 19),
        TOO_LARGE,
    ),
)
BROKEN_OFF = (
    says("http-no-answer", "a connection that is closed instead of an answer", b"", PROTOCOL),
    says("http-half-status", "an answer that ends within its first line", b"HTTP/1.1 20", PROTOCOL),
    says("http-half-header", "an answer that ends within a header", OK + b"Content-Le", PROTOCOL),
    says("http-no-blank-line", "an answer that ends after a header", OK + b"X: y\r\n", PROTOCOL),
    framed("no-body", "an answer that ends before its body", PROTOCOL, lambda body: page(body)[: -len(body)]),
    framed("short-body", "a body one byte shorter than announced", PROTOCOL, lambda body: page(body)[:-1]),
    framed("chunk-missing", "a chunk shorter than it says", PROTOCOL, lambda body: CHUNKED + chunk(body)[:-3]),
    framed("no-last-chunk", "chunks without the last one", PROTOCOL, lambda body: CHUNKED + chunk(body)),
)
CONTRADICTIONS = (
    framed(
        "chunk-longer",
        "a chunk longer than it says",
        PROTOCOL,
        lambda body: CHUNKED + b"1\r\n" + body + b"\r\n0\r\n\r\n",
    ),
    framed("chunk-negative", "a chunk of -1 bytes", PROTOCOL, lambda body: CHUNKED + b"-1\r\n" + body),
    framed("chunk-2-to-80", "a chunk of 2^80 - 1 bytes", PROTOCOL, lambda body: CHUNKED + b"f" * 20 + b"\r\n" + body),
    says("http-chunk-blanks", "14 KiB of blanks in a chunk extension", CHUNKED + b"1;" + BLANKS + b"\n\r\n", PROTOCOL),
    headed("two-lengths", "two lengths", b"Content-Length: 1", PROTOCOL),
    headed("length-negative", "a negative length beside the right one", b"Content-Length: -1", PROTOCOL),
    says("http-length-plus", "a length with a plus sign", OK + b"Content-Length: +2\r\n\r\n{}", PROTOCOL),
    says(
        "http-length-digits", "a length of 5000 digits", OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", PROTOCOL
    ),
    framed(
        "length-and-chunks",
        "a length and chunks: the chunks count (RFC 9112, 6.3)",
        None,
        lambda body: OK + b"Content-Length: 999999\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body) + chunk(b""),
    ),
    headed("encoded-twice", "a transfer encoding that nobody asked for", b"Transfer-Encoding: gzip, chunked", PROTOCOL),
    headed("nul", "a NUL in a header", b"X: a\0b", PROTOCOL),
    headed("cr", "a bare CR in a header", b"X: a\rb", PROTOCOL),
    headed("name-not-ascii", "a header whose name is not ASCII", "Ü: y".encode(), PROTOCOL),
    headed("no-colon", "a header without a colon", b"X", PROTOCOL),
    headed("space-before-colon", "a blank between a header's name and its colon", b"X : y", PROTOCOL),
    headed("blanks", "14 KiB of blanks and a NUL in a header", b"X:" + BLANKS + b"\0", PROTOCOL),
    headed("folded", "a header in two lines, which are one (RFC 9112, 5.2)", b"X: y\r\n z", None),
    headed(
        "cache-blanks",
        "a Cache-Control of 14 KiB that makes no sense",
        b"Cache-Control: " + b"a" * 14_000 + b" b",
        None,
    ),
    framed(
        "no-crlf", "lines that end without CR (RFC 9112, 2.2)", None, lambda body: page(body).replace(b"\r\n", b"\n")
    ),
)
OTHER_PROTOCOLS = (
    framed("0-9", "HTTP/0.9: a body and nothing else", PROTOCOL, lambda body: body),
    says("http-2", "HTTP/2, unasked", SETTINGS_AND_GOAWAY, PROTOCOL),
    framed(
        "version-2",
        "an answer that calls itself HTTP/2.0",
        PROTOCOL,
        lambda body: page(body).replace(b"1.1", b"2.0", 1),
    ),
    framed("version-11", "an answer in HTTP/11.1", PROTOCOL, lambda body: page(body).replace(b"1.1", b"11.1", 1)),
    framed("icy", "an answer that begins with ICY", PROTOCOL, lambda body: page(body).replace(b"HTTP/1.1", b"ICY", 1)),
    says(
        "http-101",
        "a switch to another protocol",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        PROTOCOL,
    ),
    says("http-thousand-interims", "a thousand interim answers", EARLY_HINTS * 1000, PROTOCOL),
    framed("interim", "an interim answer before the right one", None, lambda body: EARLY_HINTS + page(body)),
    framed("surplus", "a second answer that nobody asked for", None, lambda body: page(body) + page(b"{}")),
    framed("two-documents", "a second document after the first", Reason.NOT_JSON, lambda body: page(body + body)),
)
CONTENT = (
    headed("html", "the right content as text/html: nobody cares", b"Content-Type: text/html", None),
    says(
        "http-gzip",
        "4 MiB in 4 KiB of gzip",
        page(gzip.compress(BOMB), b"200 OK", b"Content-Encoding: gzip"),
        Reason.NOT_JSON,
    ),
    says(
        "http-deflate",
        "4 MiB in 4 KiB of deflate",
        page(zlib.compress(BOMB), b"200 OK", b"Content-Encoding: deflate"),
        Reason.NOT_JSON,
    ),
    says(
        "http-brotli",
        "brotli, which nobody asked for",
        page(b"\x8b\x03\x80\0\0\x03", b"200 OK", b"Content-Encoding: br"),
        Reason.NOT_JSON,
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
"""What may reach into the next request over the same connection, that for the keys."""
HTTP_SERVERS = (
    *numbered(
        "198.18.1.", [row.about(WELL_KNOWN, "web") for row in (*BETWEEN_REQUESTS, *CONTRADICTIONS, *CONTENT, *STATUSES)]
    ),
    *numbered("198.18.2.", [row.about(VERSION, "version") for row in BETWEEN_REQUESTS]),
)
