"""What a client may not do, over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from exporter.config import HostPort
from exporter.web import connection, server
from exporter.web.listeners import bind, bound_address
from exporter.web.pages import yield_to_event_loop
from exporter.web.server import Server
from tests.waiting import leaked_tasks, until
from tests.web.serving import ANYWHERE, served

CHUNK = b"x" * 65536
REQUEST = b"GET %s HTTP/1.1\r\nHost: exporter\r\n\r\n"


@asynccontextmanager
async def connected(place: HostPort, sent: bytes = b"") -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection(*place)
    try:
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(20):
            yield reader
    finally:
        writer.transport.abort()


def large_site() -> Starlette:
    """Its `/metrics` is larger than what the kernel takes for a client that does not read."""

    async def metrics(_: Request) -> Response:
        return StreamingResponse(yield_to_event_loop(iter([CHUNK] * 1000)))

    return Starlette(routes=[Route("/metrics", metrics)])


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /metrics HTTP/1.1\r\nHos", b"POST /-/reload HTTP/1.1\r\nContent-Length: 9\r\nHost: exporter\r\n\r\n"],
    ids=["says nothing", "stops in the middle of a header", "announces a body and does not send it"],
)
async def test_slow_client_is_cut_off(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a few of them would keep everyone else out."""
    monkeypatch.setattr(connection, "RESPONSE_SECONDS", 0.2)
    async with served() as place, connected(place, sent) as reader:
        await until_cut_off(reader)
        assert reader.exception() or reader.at_eof()


async def until_cut_off(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionResetError):
        while await reader.read(65536):
            pass


async def test_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is larger than what the kernel takes for it."""
    monkeypatch.setattr(connection, "RESPONSE_SECONDS", 0.5)
    sockets = bind([ANYWHERE])
    async with Server(large_site(), sockets) as running, connected(bound_address(sockets[0]), REQUEST % b"/metrics"):
        connections = running._server.server_state.connections
        await until(lambda: connections)
        await until(lambda: not connections)
        assert connections == set()


async def test_idle_client_is_kept() -> None:
    """A second request comes over the same connection."""
    async with served() as place:
        reader, writer = await asyncio.open_connection(*place)
        for _ in range(2):
            writer.write(REQUEST % b"/-/healthy")
            assert (await reader.readuntil(b"healthy.\n")).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_long_header_is_refused() -> None:
    """It is not kept in memory until it ends, if it ever does."""
    async with served() as place, connected(place, b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000) as reader:
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")


async def test_end_does_not_wait_for_slow_clients(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After the grace they are cut off, quietly, and nothing is left of them."""
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.1)
    sockets = bind([ANYWHERE])
    async with asyncio.timeout(10), Server(large_site(), sockets):
        reader, writer = await asyncio.open_connection(*bound_address(sockets[0]))
        writer.write(REQUEST % b"/metrics")
        await reader.readline()
    writer.transport.abort()
    assert [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []
    assert leaked_tasks() == set()
