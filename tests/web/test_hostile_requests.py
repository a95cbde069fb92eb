"""Requests that violate HTTP or exceed limits are refused with a short message."""

import socket

import pytest

from exporter.web.headers import SECURITY_HEADERS
from exporter.web.pages import rendering
from tests.waiting import PATIENCE, leaked_tasks
from tests.web.clients import LAST_REQUEST, REQUEST, client, exchange, read_to_end
from tests.web.serving import get, served

HOST = b"Host: exporter\r\n"
EVIL = b"evil.example"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: exporter\r\n\r\n"

# The requests, and the statuses of the responses. A 200 at the end is the response to LAST_REQUEST, which follows.
REQUESTS = {
    "HTTP/0.9": (b"GET /metrics\r\n\r\n", [400]),
    "HTTP/1.0 needs no Host": (b"GET /-/ready HTTP/1.0\r\n\r\n", [200]),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n%s\r\n" % HOST, [400]),
    "HEAD of HTTP/1.2": (b"HEAD / HTTP/1.2\r\n%s\r\n" % HOST, [400]),
    "HEAD with a chunk without a size": (
        b"HEAD / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\nsize\r\n" % HOST,
        [400],
    ),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "TLS without TLS": (bytes.fromhex("16030100c8010000c40303"), [400]),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", [400]),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", [400]),
    "another Host": (b"GET /nothing/ HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Host: %s\r\n\r\n" % (EVIL, EVIL), [404, 200]),
    "absolute form": (b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n" % (EVIL, EVIL), [404, 200]),
    "authority form": (b"CONNECT %s:443 HTTP/1.1\r\nHost: %s\r\n\r\n" % (EVIL, EVIL), [404, 200]),
    "asterisk form": (b"OPTIONS * HTTP/1.1\r\n%s\r\n" % HOST, [404, 200]),
    "TRACE": (b"TRACE /metrics HTTP/1.1\r\n%sX-Own: %s\r\n\r\n" % (HOST, EVIL), [405, 200]),
    "unknown method": (b"BREW / HTTP/1.1\r\n%s\r\n" % HOST, [405, 200]),
    "method in lower case": (b"get / HTTP/1.1\r\n%s\r\n" % HOST, [405, 200]),
    "invalid method": (b"<script> / HTTP/1.1\r\n%s\r\n" % HOST, [400]),
    "space before the colon": (b"GET / HTTP/1.1\r\nHost : exporter\r\n\r\n", [400]),
    "NUL in the path": (b"GET /\0 HTTP/1.1\r\n%s\r\n" % HOST, [400]),
    "NUL in a header": (b"GET / HTTP/1.1\r\n%sX: \0\r\n\r\n" % HOST, [400]),
    "encoded line breaks": (b"GET /%%0d%%0aSet-Cookie:%%20a=b%%00%%ff HTTP/1.1\r\n%s\r\n" % HOST, [404, 200]),
    "both lengths": (
        b"POST / HTTP/1.1\r\n%sContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % HOST,
        [400],
    ),
    "both lengths, in the other order": (
        b"POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\nContent-Length: 50\r\n\r\n0\r\n\r\n%s" % (HOST, SMUGGLED),
        [400],
    ),
    "two lengths": (b"POST / HTTP/1.1\r\n%sContent-Length: 0\r\nContent-Length: 5\r\n\r\n" % HOST, [400]),
    "invalid length": (b"POST / HTTP/1.1\r\n%sContent-Length: +5\r\n\r\n" % HOST, [400]),
    "invalid transfer encoding": (b"POST / HTTP/1.1\r\n%sTransfer-Encoding: xchunked\r\n\r\n" % HOST, [400]),
    "chunk without a size": (b"POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\nsize\r\n" % HOST, [400]),
    "upgrade": (b"GET / HTTP/1.1\r\n%sConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" % HOST, [200, 200]),
    "long header": (b"GET / HTTP/1.1\r\n%sX: %s\r\n\r\n" % (HOST, b"x" * 40_000), [400]),
    "many headers": (b"GET / HTTP/1.1\r\n%s%s\r\n" % (HOST, b"a:\r\n" * 10_000), [400]),
    "long query": (b"GET /probe?target=%s HTTP/1.1\r\n%s\r\n" % (b"a" * 40_000, HOST), [400]),
    "many parameters": (b"GET /probe?%s HTTP/1.1\r\n%s\r\n" % (b"target=a&" * 1_500, HOST), [400, 200]),
    "large body": (b"POST / HTTP/1.1\r\n%sContent-Length: 99999\r\n\r\n%s" % (HOST, b"x" * 99_999), [413]),
    "large body in chunks": (
        b"POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n%s" % (HOST, b"1000\r\n%s\r\n" % (b"x" * 4096) * 20),
        [413],
    ),
    "pipelined": ((REQUEST % b"/-/ready") * 3, [200] * 4),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_request(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every response has all headers and repeats no part of the request, and no error is logged."""
    request, statuses = REQUESTS[name]
    async with served() as address:
        received = await exchange(address, request)
    assert received.statuses == statuses
    is_page = received.headers.get("content-type", "").startswith("text/html")
    expected = {**SECURITY_HEADERS, **(rendering.HEADERS if is_page else {})}
    assert {header: received.headers[header.lower()] for header in expected} == expected
    assert "server" not in received.headers
    assert ("allow" in received.headers) == (received.statuses[0] == 405)
    assert not any(word in received.text for word in ("evil", "Set-Cookie", "smuggled"))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert leaked_tasks() == set()


@pytest.mark.parametrize("request_", [REQUESTS[name][0] for name in ("long header", "many headers", "long query")])
async def test_limits_apply_to_data_that_arrives_at_once(request_: bytes) -> None:
    """The client has sent its whole request before the server reads."""
    async with served() as address:
        with socket.create_connection(address, PATIENCE) as early:
            early.sendall(request_)
            async with client(address) as (reader, writer):  # the server handles both clients
                writer.write(LAST_REQUEST)
                await read_to_end(reader)
            assert early.recv(12) == b"HTTP/1.1 400"


@pytest.mark.parametrize("path", [b"/-/healthy", b"/metrics"])
async def test_a_body_that_is_invalid_after_the_response_closes_the_connection(
    path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no second response."""
    request = b"GET %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (path, HOST)
    async with served() as address, client(address) as (reader, writer):
        writer.write(request)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"this is not a chunk\r\n")
        rest = await read_to_end(reader)
    assert rest.statuses == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/openapi.json", "/debug", "/debug/pprof/", "/static/", "/.git/config"]
)
async def test_no_debugging_page_exists(path: str) -> None:
    """Frameworks often add such pages."""
    assert (await get(path)).status_code == 404
