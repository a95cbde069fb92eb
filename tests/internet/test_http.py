"""HTTP responses of every form, and how much of them is read."""

import asyncio
import socket
import time
from collections.abc import Callable

import h11
import pytest

from exporter import USER_AGENT
from exporter.demo.authority import Authority, IssuedCertificate
from exporter.demo.listener import streams
from exporter.internet.http import MAX_CHUNKS, MAX_HEADER_BYTES, MAX_HEADER_LINES, MAX_INTERIM_RESPONSES
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import ClosedEarlyError, TooLargeError
from exporter.probing.problems import Step
from tests.internet.raw_https import NAME, RawHttps, tls_connection
from tests.waiting import PATIENCE

pytestmark = pytest.mark.lab

MAX_BYTES = 10
OK = b"HTTP/1.1 200 OK\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture
def server(authority: Authority, issued: IssuedCertificate) -> "RawServer":
    return RawServer(authority, issued)


class RawServer:
    """`heads` are the request heads that the server has received."""

    def __init__(self, authority: Authority, issued: IssuedCertificate) -> None:
        self._authority = authority
        self._issued = issued
        self.heads: list[bytes] = []

    async def fetch(self, reply: bytes, max_bytes: int = MAX_BYTES) -> HttpResponse:
        """Send a request to a server that sends `reply` and closes the connection, and return the response."""
        raw = RawHttps([[reply]], [self._issued])
        self.heads = raw.heads
        async with tls_connection(raw.play, self._authority) as connection:
            return await connection.get("/path?query", "example.test:8448", max_bytes)


async def test_a_get_request_has_four_headers(server: RawServer) -> None:
    """It identifies the exporter, and asks for a response without compression."""
    await server.fetch(NO_CONTENT)
    assert server.heads == [
        b"GET /path?query HTTP/1.1\r\n"
        b"Host: example.test:8448\r\n"
        b"User-Agent: " + USER_AGENT.encode() + b"\r\n"
        b"Accept: application/json\r\n"
        b"Accept-Encoding: identity\r\n"
        b"\r\n"
    ]


@pytest.mark.parametrize(
    ("reply", "response"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", HttpResponse(200, (("content-length", "2"),), b"{}")),
        (
            OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            HttpResponse(200, (("content-length", "2"),), b"{}"),
        ),
        (OK + b"\r\nto the end", HttpResponse(200, (), b"to the end")),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", HttpResponse(200, (), b"{}", "1.0")),
        (b"HTTP/2.0 200 OK\r\n\r\n{}", HttpResponse(200, (), b"{}", "2.0")),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nTrailer: x\r\n\r\n",
            HttpResponse(200, (("transfer-encoding", "chunked"),), b"{}"),
        ),
        (NO_CONTENT, HttpResponse(204, (), b"")),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", HttpResponse(304, (("content-length", "5"),), b"")),
        (
            b"HTTP/1.1 599 \xe9\r\nX-Odd: \xe9 \r\nX-ODD:\r\n\r\n",
            HttpResponse(599, (("x-odd", "é"), ("x-odd", "")), b""),
        ),
        (INTERIM * MAX_INTERIM_RESPONSES + NO_CONTENT, HttpResponse(204, (), b"")),
        (
            OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
            HttpResponse(200, (("content-encoding", "gzip"), ("content-length", "2")), b"\x1f\x8b"),
        ),
    ],
    ids=[
        "length",
        "two lengths",
        "no length",
        "HTTP/1.0",
        "HTTP/2.0",
        "chunked",
        "204",
        "304",
        "unusual",
        "interim",
        "gzip",
    ],
)
async def test_reads_responses_of_every_form(server: RawServer, reply: bytes, response: HttpResponse) -> None:
    """Header names are converted to lower case, and bodies are not decompressed."""
    assert await server.fetch(reply) == response


LARGEST, TOO_LARGE = b"x" * MAX_BYTES, b"x" * (MAX_BYTES + 1)


@pytest.mark.parametrize(
    "framing",
    [
        lambda body: OK + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        lambda body: OK + b"\r\n" + body,
        lambda body: OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        lambda body: (
            OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        ),
    ],
    ids=["length", "no length", "chunked", "chunks of one byte"],
)
async def test_a_body_has_a_maximum_size(server: RawServer, framing: Callable[[bytes], bytes]) -> None:
    assert (await server.fetch(framing(LARGEST))).body == LARGEST
    with pytest.raises(TooLargeError, match="the body has more than 10 bytes"):
        await server.fetch(framing(TOO_LARGE))


async def test_transfer_encoding_overrides_content_length(server: RawServer) -> None:
    """RFC 9112, section 6.3."""
    response = await server.fetch(
        OK + b"Content-Length: 999999\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    )
    assert response.body == b"{}"


async def test_a_content_length_that_is_too_large_is_refused(server: RawServer) -> None:
    """The exporter does not wait for the body."""
    with pytest.raises(TooLargeError):
        await server.fetch(OK + b"Content-Length: 99999999999999999999\r\n\r\n")


async def test_a_header_line_may_be_as_long_as_all_headers_together(server: RawServer) -> None:
    """Some homeservers read it, so a probe has to; what is too long for others is a warning."""
    value = b"y" * (MAX_HEADER_BYTES - len(b"HTTP/1.1 204 No Content\r\nX: \r\n\r\n"))
    response = await server.fetch(b"HTTP/1.1 204 No Content\r\nX: " + value + b"\r\n\r\n")
    assert response.header("x") == value.decode()


def headers(count: int) -> bytes:
    return b"HTTP/1.1 204 No Content\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(count)) + b"\r\n"


async def test_the_number_of_headers_is_limited(server: RawServer) -> None:
    assert len((await server.fetch(headers(MAX_HEADER_LINES))).headers) == MAX_HEADER_LINES
    with pytest.raises(TooLargeError, match="201 header lines, the limit is 200"):
        await server.fetch(headers(MAX_HEADER_LINES + 1))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"", Reason.HTTP_PROTOCOL),
        (b"HTTP/1.1 20", Reason.HTTP_PROTOCOL),
        (OK + b"Content-Le", Reason.HTTP_PROTOCOL),
        (OK + b"Content-Length: 5\r\n\r\n{", Reason.HTTP_PROTOCOL),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", Reason.HTTP_PROTOCOL),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", Reason.HTTP_PROTOCOL),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nlarge\r\n", Reason.HTTP_PROTOCOL),
        (OK + b"Content-Length: -1\r\n\r\n", Reason.HTTP_PROTOCOL),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", Reason.HTTP_PROTOCOL),
        (OK + b"no colon\r\n\r\n", Reason.HTTP_PROTOCOL),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Reason.HTTP_PROTOCOL),
        (b"HTTP/2 200\r\n\r\n", Reason.HTTP_PROTOCOL),
        (b"\x00" * 100, Reason.HTTP_PROTOCOL),
        (INTERIM, Reason.HTTP_PROTOCOL),
        (INTERIM * (MAX_INTERIM_RESPONSES + 1) + NO_CONTENT, Reason.HTTP_PROTOCOL),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", Reason.HTTP_PROTOCOL),
        (OK + b"X: " + b"y" * (MAX_HEADER_BYTES + 1), Reason.TOO_LARGE),
        (OK + b"X: y\r\n" * MAX_HEADER_BYTES, Reason.TOO_LARGE),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else str(value),
)
async def test_an_incomplete_or_invalid_response(server: RawServer, reply: bytes, reason: Reason) -> None:
    """It is reported as a fault of the server, never as an internal error."""
    with pytest.raises((ClosedEarlyError, h11.RemoteProtocolError, TooLargeError)) as caught:
        await server.fetch(reply)
    assert problems.reason(caught.value, Step.HTTP) is reason


BLANKS = b" " * (MAX_HEADER_BYTES - 100)


@pytest.mark.parametrize(
    "reply",
    [
        OK + b"X:" + BLANKS + b"\0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5;" + BLANKS + b"\n\r\n",
    ],
    ids=["header", "chunk extension"],
)
async def test_a_line_of_blanks_is_parsed_quickly(server: RawServer, reply: bytes) -> None:
    """While the parser runs, all other probes are stalled."""
    started = time.process_time()
    with pytest.raises(h11.RemoteProtocolError, match="illegal"):
        await server.fetch(reply)
    assert time.process_time() - started < 1


async def test_the_number_of_chunks_is_limited(server: RawServer) -> None:
    """Each of them takes CPU time, however small it is."""
    chunked, many = OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * MAX_CHUNKS
    assert len((await server.fetch(chunked + many + b"0\r\n\r\n", 2 * MAX_CHUNKS)).body) == MAX_CHUNKS
    with pytest.raises(TooLargeError, match=f"more than {MAX_CHUNKS} chunks"):
        await server.fetch(chunked + many + b"1\r\nx\r\n", 2 * MAX_CHUNKS)


async def test_the_framing_of_a_body_is_bounded(server: RawServer) -> None:
    """Each chunk has one byte and a long extension: together, their data is not too large."""
    chunk = b"1;" + b"x" * (MAX_HEADER_BYTES // 2) + b"\r\nx\r\n"
    with pytest.raises(TooLargeError, match="the response, with its headers and framing, is too large"):
        await server.fetch(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * MAX_BYTES)


async def test_a_connection_that_is_closed_without_a_response_has_a_message(server: RawServer) -> None:
    with pytest.raises(ClosedEarlyError, match="the connection was closed before a response came"):
        await server.fetch(b"HTTP/1.1 ")


async def test_a_connection_may_be_closed_without_close_notify(authority: Authority, issued: IssuedCertificate) -> None:
    """Many servers close the TCP connection without this TLS alert."""

    async def hang_up(accepted: socket.socket) -> None:
        async with streams(accepted, issued.server_context()) as (reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK + b"\r\nto the end")
            await writer.drain()
            accepted.shutdown(socket.SHUT_WR)
            await reader.read()

    async with tls_connection(hang_up, authority) as connection, asyncio.timeout(PATIENCE):
        assert (await connection.get("/", NAME, MAX_BYTES)).body == b"to the end"


async def test_a_post_request_has_its_body_and_length(authority: Authority, issued: IssuedCertificate) -> None:
    received = bytearray()

    async def listen(accepted: socket.socket) -> None:
        async with streams(accepted, issued.server_context()) as (reader, writer):
            received.extend(await reader.readuntil(b"}"))
            writer.write(NO_CONTENT)
            await writer.drain()

    async with tls_connection(listen, authority) as connection, asyncio.timeout(PATIENCE):
        await connection.post("/path", NAME, b'{"b":2}', MAX_BYTES)
    assert received.startswith(b"POST /path HTTP/1.1\r\n")
    assert received.endswith(b'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"b":2}')


# ---------------------------------------------------------------- Expect: 100-continue


@pytest.mark.parametrize(("reply", "status"), [(INTERIM, 100), (NO_CONTENT, 204), (INTERIM + NO_CONTENT, 100)])
async def test_the_first_response_to_expect_continue_counts(
    authority: Authority, issued: IssuedCertificate, reply: bytes, status: int
) -> None:
    raw = RawHttps([[reply]], [issued])
    async with tls_connection(raw.play, authority) as connection:
        assert await connection.expect_continue("/path", NAME, 12345) == status
    assert raw.heads == [
        b"PUT /path HTTP/1.1\r\n"
        b"Host: " + NAME.encode() + b"\r\n"
        b"User-Agent: " + USER_AGENT.encode() + b"\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: 12345\r\n"
        b"Expect: 100-continue\r\n"
        b"\r\n"
    ]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"", ClosedEarlyError),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", h11.RemoteProtocolError),
        (OK + b"X: " + b"y" * (MAX_HEADER_BYTES + 1), TooLargeError),
    ],
)
async def test_an_invalid_response_to_expect_continue(
    authority: Authority, issued: IssuedCertificate, reply: bytes, error: type[Exception]
) -> None:
    raw = RawHttps([[reply]], [issued])
    async with tls_connection(raw.play, authority) as connection:
        with pytest.raises(error):
            await connection.expect_continue("/path", NAME, 12345)
