"""What a server may say over HTTP, and how much of it is read."""

import asyncio
import socket
import time
from collections.abc import Callable

import h11
import pytest

from exporter import USER_AGENT
from exporter.demo.authority import Authority, IssuedCertificate
from exporter.demo.listener import streams
from exporter.internet.http import MAX_HEADER_BYTES, MAX_HEADERS, MAX_INTERIM_RESPONSES
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import ClosedEarlyError, TooLargeError
from exporter.probing.problems import Step
from tests.internet.raw_https import NAME, RawHttps, secured

AT_MOST = 10
OK = b"HTTP/1.1 200 OK\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture
def server(authority: Authority, issued: IssuedCertificate) -> "Fetching":
    return Fetching(authority, issued)


class Fetching:
    def __init__(self, authority: Authority, issued: IssuedCertificate) -> None:
        self._authority = authority
        self._issued = issued
        self.heads: list[bytes] = []

    async def says(self, reply: bytes) -> HttpResponse:
        """The answer that is made of `reply`, after which the server closes the connection."""
        raw = RawHttps([[reply]], [self._issued])
        self.heads = raw.heads
        async with secured(raw.play, self._authority) as connection:
            return await connection.get("/path?query", "example.test:8448", AT_MOST)


async def test_sends_a_plain_request(server: Fetching) -> None:
    """It says who asks, and wants nothing compressed."""
    await server.says(NO_CONTENT)
    assert server.heads == [
        b"GET /path?query HTTP/1.1\r\n"
        b"Host: example.test:8448\r\n"
        b"User-Agent: " + USER_AGENT.encode() + b"\r\n"
        b"Accept: application/json\r\n"
        b"Accept-Encoding: identity\r\n"
        b"\r\n"
    ]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", HttpResponse(200, (("content-length", "2"),), b"{}")),
        (
            OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            HttpResponse(200, (("content-length", "2"),), b"{}"),
        ),
        (OK + b"\r\nto the end", HttpResponse(200, (), b"to the end")),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", HttpResponse(200, (), b"{}")),
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
    ids=["length", "twice", "to the end", "1.0", "chunked", "204", "304", "odd", "interim", "gzip"],
)
async def test_reads_answers_of_every_form(server: Fetching, reply: bytes, answer: HttpResponse) -> None:
    """Header names in lower case, bytes as they are, and nothing decompressed."""
    assert await server.says(reply) == answer


TEN, ELEVEN = b"x" * AT_MOST, b"x" * (AT_MOST + 1)


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
    ids=["length", "to the end", "chunked", "a byte at a time"],
)
async def test_a_body_may_be_so_large_and_no_larger(server: Fetching, framing: Callable[[bytes], bytes]) -> None:
    assert (await server.says(framing(TEN))).body == TEN
    with pytest.raises(TooLargeError, match="the body has more than 10 bytes"):
        await server.says(framing(ELEVEN))


async def test_chunks_count_and_no_length_beside_them(server: Fetching) -> None:
    """RFC 9112, section 6.3."""
    answer = await server.says(OK + b"Content-Length: 999999\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    assert answer.body == b"{}"


async def test_an_announcement_is_enough_to_stop(server: Fetching) -> None:
    """Nothing of the body is peer_wait for."""
    with pytest.raises(TooLargeError):
        await server.says(OK + b"Content-Length: 99999999999999999999\r\n\r\n")


def headers(count: int) -> bytes:
    return b"HTTP/1.1 204 No Content\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(count)) + b"\r\n"


async def test_so_many_headers_are_read_and_no_more(server: Fetching) -> None:
    assert len((await server.says(headers(MAX_HEADERS))).headers) == MAX_HEADERS
    with pytest.raises(TooLargeError, match="101 headers, at most 100 are read"):
        await server.says(headers(MAX_HEADERS + 1))


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
        (b"HTTP/2.0 204 No Content\r\n\r\n", Reason.HTTP_PROTOCOL),
        (b"HTTP/0.9 204 No Content\r\n\r\n", Reason.HTTP_PROTOCOL),
        (b"\x00" * 100, Reason.HTTP_PROTOCOL),
        (INTERIM, Reason.HTTP_PROTOCOL),
        (INTERIM * (MAX_INTERIM_RESPONSES + 1) + NO_CONTENT, Reason.HTTP_PROTOCOL),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", Reason.HTTP_PROTOCOL),
        (OK + b"X: " + b"y" * (MAX_HEADER_BYTES + 1), Reason.TOO_LARGE),
        (OK + b"X: y\r\n" * MAX_HEADER_BYTES, Reason.TOO_LARGE),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else str(value),
)
async def test_an_answer_that_breaks_off_or_makes_no_sense(server: Fetching, reply: bytes, reason: Reason) -> None:
    """Whatever comes is the server's fault, and not ours."""
    with pytest.raises((ClosedEarlyError, h11.RemoteProtocolError, TooLargeError)) as caught:
        await server.says(reply)
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
async def test_blanks_are_read_at_once(server: Fetching, reply: bytes) -> None:
    """However many there are: while we read, no other probe goes on."""
    started = time.process_time()
    with pytest.raises(h11.RemoteProtocolError, match="illegal"):
        await server.says(reply)
    assert time.process_time() - started < 1


async def test_what_is_around_the_body_is_bounded_too(server: Fetching) -> None:
    """Each of these chunks holds a byte, and all of them together nothing that is too large."""
    chunk = b"1;" + b"x" * (MAX_HEADER_BYTES // 2) + b"\r\nx\r\n"
    with pytest.raises(TooLargeError, match="the answer goes on and on"):
        await server.says(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * AT_MOST)


async def test_an_end_without_an_answer_is_told_in_words(server: Fetching) -> None:
    with pytest.raises(ClosedEarlyError, match="the connection was closed before there was an answer"):
        await server.says(b"HTTP/1.1 ")


async def test_an_end_that_tls_does_not_announce_is_an_end(authority: Authority, issued: IssuedCertificate) -> None:
    """Many servers just close the connection."""

    async def hang_up(accepted: socket.socket) -> None:
        async with streams(accepted, issued.server_context()) as (reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK + b"\r\nto the end")
            await writer.drain()
            accepted.shutdown(socket.SHUT_WR)
            await reader.read()

    async with secured(hang_up, authority) as connection, asyncio.timeout(5):
        assert (await connection.get("/", NAME, AT_MOST)).body == b"to the end"


async def test_a_body_is_sent_as_it_is(authority: Authority, issued: IssuedCertificate) -> None:
    received = bytearray()

    async def listen(accepted: socket.socket) -> None:
        async with streams(accepted, issued.server_context()) as (reader, writer):
            received.extend(await reader.readuntil(b"}"))
            writer.write(NO_CONTENT)
            await writer.drain()

    async with secured(listen, authority) as connection, asyncio.timeout(5):
        await connection.post("/path", NAME, b'{"b":2}', AT_MOST)
    assert received.startswith(b"POST /path HTTP/1.1\r\n")
    assert received.endswith(b'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"b":2}')


# ---------------------------------------------------------------- a body that is only announced


@pytest.mark.parametrize(("reply", "status"), [(INTERIM, 100), (NO_CONTENT, 204), (INTERIM + NO_CONTENT, 100)])
async def test_the_first_answer_to_an_announcement_counts(
    authority: Authority, issued: IssuedCertificate, reply: bytes, status: int
) -> None:
    raw = RawHttps([[reply]], [issued])
    async with secured(raw.play, authority) as connection:
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
async def test_an_announcement_may_meet_nonsense(
    authority: Authority, issued: IssuedCertificate, reply: bytes, error: type[Exception]
) -> None:
    raw = RawHttps([[reply]], [issued])
    async with secured(raw.play, authority) as connection:
        with pytest.raises(error):
            await connection.expect_continue("/path", NAME, 12345)
