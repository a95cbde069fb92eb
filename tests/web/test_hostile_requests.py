"""What is no proper request, and what a browser should not send: refused in plain words, and nothing is left."""

import socket
from collections.abc import Iterable

import pytest
from starlette.types import Receive, Scope, Send

from exporter.web.headers import SECURITY_HEADERS
from exporter.web.listeners import bind, bound_address
from exporter.web.server import Server
from tests.waiting import leaked_tasks
from tests.web.clients import LAST, PATIENCE, REQUEST, client, listen, says
from tests.web.serving import ANYWHERE, get, served

HOST = b"Host: exporter\r\n"
EVIL = b"evil.example"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: exporter\r\n\r\n"

# What is sent, and the statuses of the answers. LAST is sent after it: 200 at the end says that it was answered.
REQUESTS = {
    "HTTP/0.9": (b"GET /metrics\r\n\r\n", [400]),
    "HTTP/1.0 needs no Host": (b"GET /-/ready HTTP/1.0\r\n\r\n", [200]),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n%s\r\n" % HOST, [400]),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "TLS where there is none": (bytes.fromhex("16030100c8010000c40303"), [400]),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", [400]),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", [400]),
    "another Host": (b"GET /nothing/ HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Host: %s\r\n\r\n" % (EVIL, EVIL), [404, 200]),
    "absolute form": (b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n" % (EVIL, EVIL), [404, 200]),
    "authority form": (b"CONNECT %s:443 HTTP/1.1\r\nHost: %s\r\n\r\n" % (EVIL, EVIL), [404, 200]),
    "asterisk form": (b"OPTIONS * HTTP/1.1\r\n%s\r\n" % HOST, [404, 200]),
    "TRACE": (b"TRACE /metrics HTTP/1.1\r\n%sX-Own: %s\r\n\r\n" % (HOST, EVIL), [405, 200]),
    "unknown method": (b"BREW / HTTP/1.1\r\n%s\r\n" % HOST, [405, 200]),
    "method in lower case": (b"get / HTTP/1.1\r\n%s\r\n" % HOST, [405, 200]),
    "method that is none": (b"<script> / HTTP/1.1\r\n%s\r\n" % HOST, [400]),
    "space before the colon": (b"GET / HTTP/1.1\r\nHost : exporter\r\n\r\n", [400]),
    "NUL in the path": (b"GET /\0 HTTP/1.1\r\n%s\r\n" % HOST, [400]),
    "NUL in a header": (b"GET / HTTP/1.1\r\n%sX: \0\r\n\r\n" % HOST, [400]),
    "encoded line breaks": (b"GET /%%0d%%0aSet-Cookie:%%20a=b%%00%%ff HTTP/1.1\r\n%s\r\n" % HOST, [404, 200]),
    "both lengths": (
        b"POST / HTTP/1.1\r\n%sContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % HOST,
        [400],
    ),
    "both lengths, the other way round": (
        b"POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\nContent-Length: 50\r\n\r\n0\r\n\r\n%s" % (HOST, SMUGGLED),
        [400],
    ),
    "two lengths": (b"POST / HTTP/1.1\r\n%sContent-Length: 0\r\nContent-Length: 5\r\n\r\n" % HOST, [400]),
    "length that is none": (b"POST / HTTP/1.1\r\n%sContent-Length: +5\r\n\r\n" % HOST, [400]),
    "chunks that are none": (b"POST / HTTP/1.1\r\n%sTransfer-Encoding: xchunked\r\n\r\n" % HOST, [400]),
    "chunk without a size": (b"POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\nsize\r\n" % HOST, [400]),
    "upgrade": (b"GET / HTTP/1.1\r\n%sConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" % HOST, [200, 200]),
    "long header": (b"GET / HTTP/1.1\r\n%sX: %s\r\n\r\n" % (HOST, b"x" * 40_000), [400]),
    "many headers": (b"GET / HTTP/1.1\r\n%s%s\r\n" % (HOST, b"a:\r\n" * 10_000), [400]),
    "long query": (b"GET /probe?target=%s HTTP/1.1\r\n%s\r\n" % (b"a" * 40_000, HOST), [400]),
    "many parameters": (b"GET /probe?%s HTTP/1.1\r\n%s\r\n" % (b"target=a&" * 1_500, HOST), [400, 200]),
    "pipelined": ((REQUEST % b"/-/ready") * 3, [200] * 4),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_request(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """One answer for each that there is, with all headers; nothing of it is repeated, and no error is ours."""
    request, statuses = REQUESTS[name]
    async with served() as place:
        said = await says(place, request)
    assert said.statuses == statuses
    assert {
        header: said.headers[header.lower()].partition("; style-src")[0] for header in SECURITY_HEADERS
    } == SECURITY_HEADERS
    assert "server" not in said.headers
    assert ("allow" in said.headers) == (said.statuses[0] == 405)
    assert not any(word in said.text for word in ("evil", "Set-Cookie", "smuggled"))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert leaked_tasks() == set()


@pytest.mark.parametrize("request_", [REQUESTS[name][0] for name in ("long header", "many headers", "long query")])
async def test_bound_holds_for_what_comes_in_one_go(request_: bytes) -> None:
    """As from a client that was there before we read: the whole header is read at once."""
    async with served() as place:
        with socket.create_connection(place, PATIENCE) as early:
            early.sendall(request_)
            async with client(place) as (reader, writer):  # the exporter gets round to both
                writer.write(LAST)
                await listen(reader)
            assert early.recv(12) == b"HTTP/1.1 400"


@pytest.mark.parametrize("path", [b"/-/healthy", b"/metrics"])
async def test_body_that_breaks_after_the_answer(path: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The connection ends; nobody is told a second time."""
    request = b"GET %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (path, HOST)
    async with served() as place, client(place) as (reader, writer):
        writer.write(request)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"this is no chunk\r\n")
        rest = await listen(reader)
    assert rest.statuses == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_fault_of_ours_is_told_without_a_trace() -> None:
    """All headers are there, and no word of what went wrong where."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("the secret")

    doors = bind([ANYWHERE])
    async with Server(broken, doors):
        said = await says(bound_address(doors[0]), REQUEST % b"/")
    assert said.statuses[0] == 500
    assert said.text.partition("\r\n\r\n")[2].startswith("Internal Server Error")
    assert said.headers.items() >= {header.lower(): value for header, value in SECURITY_HEADERS.items()}.items()


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/openapi.json", "/debug", "/debug/pprof/", "/static/", "/.git/config"]
)
async def test_no_debugging_doors(path: str) -> None:
    """Frameworks like to bring some."""
    assert (await get(path)).status_code == 404


# ---------------------------------------------------------------- browsers

CROSS_SITE = ("Sec-Fetch-Site", "cross-site")
NAVIGATION = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([("Sec-Fetch-Site", "none"), *NAVIGATION], 200),
        ([("Sec-Fetch-Site", "same-origin")], 200),
        ([CROSS_SITE, *NAVIGATION], 200),
        ([CROSS_SITE], 403),
        ([("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "cors")], 403),
        ([CROSS_SITE, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")], 403),
        ([CROSS_SITE, ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")], 403),
        ([("Origin", "https://evil.example")], 403),
        ([("Origin", "null")], 403),
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/"])
async def test_page_of_another_site(path: str, headers: list[tuple[str, str]], status: int) -> None:
    """It may link here; it reads nothing, frames nothing and starts nothing. Who is no browser notices nothing."""
    assert (await get(path, headers=headers)).status_code == status


@pytest.mark.parametrize(
    "headers", [[("Origin", "http://exporter")], [("Sec-Fetch-Site", "same-origin")], [CROSS_SITE]]
)
async def test_no_page_reloads(headers: list[tuple[str, str]]) -> None:
    """Not even one that seems to be ours: its name may lead here while it is somebody else's (DNS rebinding)."""
    asked: list[str] = []

    async def reload() -> Iterable[object]:
        asked.append("reload")
        return ()

    assert (await get("/-/reload", "POST", headers, reload=reload)).status_code == 403
    assert asked == []
    assert (await get("/-/reload", "POST", reload=reload)).status_code == 200
