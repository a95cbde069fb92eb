"""The limits of a connection: what a client may send, how long it may take, and which connection makes room."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from exporter.config import HostPort
from exporter.web import connection
from exporter.web.connection import client_network
from tests.waiting import PATIENCE, until, until_equal
from tests.web.clients import REQUEST, client, crowd, exchange, read_to_end
from tests.web.serving import large_board, large_page, served, served_pages, streamed_page


@asynccontextmanager
async def connected(address: HostPort, sent: bytes) -> AsyncIterator[asyncio.StreamReader]:
    async with client(address) as (reader, writer):
        writer.write(sent)
        await writer.drain()
        yield reader


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /metrics HTTP/1.1\r\nHos", b"POST /-/reload HTTP/1.1\r\nContent-Length: 9\r\nHost: exporter\r\n\r\n"],
    ids=["sends nothing", "stops within a header", "announces a body and does not send it"],
)
async def test_a_slow_client_is_disconnected(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a few of them could keep everyone else out."""
    monkeypatch.setattr(connection, "RESPONSE_SECONDS", 0.2)
    async with served() as address, connected(address, sent) as reader:
        with suppress(ConnectionResetError):
            while await reader.read(65536):
                pass
        assert reader.exception() or reader.at_eof()


async def test_a_client_that_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The response is larger than what the kernel buffers."""
    monkeypatch.setattr(connection, "RESPONSE_SECONDS", 0.5)
    async with (
        served_pages(streamed=streamed_page) as (address, connections),
        crowd(address, REQUEST % b"/streamed", 1),
    ):
        await until(lambda: connections)
        await until(lambda: not connections)
        assert len(connections) == 0


async def test_an_idle_connection_is_kept() -> None:
    """A second request can use it."""
    async with served() as address, client(address) as (reader, writer):
        for _ in range(2):
            writer.write(REQUEST % b"/-/healthy")
            assert (await reader.readuntil(b"healthy.\n")).startswith(b"HTTP/1.1 200 OK")


async def test_every_response_restarts_the_timer() -> None:
    """Otherwise a client that sends requests regularly would be disconnected in the middle of a response."""
    async with served_pages() as (address, connections), client(address) as (reader, writer):
        timers = []
        for _ in range(3):
            writer.write(REQUEST % b"/nothing")
            await reader.readuntil(b"Not Found")
            await until(lambda: all(each.cycle.response_complete for each in connections))
            (only,) = connections
            timers.append(only._timer)
        assert [timer.cancelled() for timer in timers] == [True, True, False]


# ---------------------------------------------------------------- size


async def test_a_long_header_is_refused() -> None:
    """It is not buffered until its end."""
    async with served() as address, connected(address, b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000) as reader:
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")


# ---------------------------------------------------------------- making room


async def test_an_idle_connection_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one that has been idle for longest, and a scrape in progress is not interrupted."""
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 3)
    async with (
        served(large_board()) as address,
        client(address) as scraper,
        client(address) as older,
        client(address) as newer,
    ):
        scraper[1].write(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n")
        await scraper[0].readuntil(b"\r\n\r\n")
        async with client(address):
            assert await older[0].read() == b""
            newer[1].write(REQUEST % b"/-/healthy")
            assert (await newer[0].readline()).startswith(b"HTTP/1.1 200")
            assert (await read_to_end(scraper[0])).text.endswith("\r\n0\r\n\r\n")


async def test_a_response_that_is_not_read_makes_room_before_one_that_is_pending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pending response is older, but its client is not at fault."""
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 2)
    started, may_finish = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        started.set()
        await may_finish.wait()
        return PlainTextResponse("done")

    async with (
        served_pages(slow=slow, streamed=streamed_page) as (address, connections),
        client(address) as (reader, writer),
        crowd(address, REQUEST % b"/streamed", 1),
    ):
        writer.write(REQUEST % b"/slow")
        await started.wait()
        await until(lambda: any(each.flow.write_paused for each in connections))
        assert (await exchange(address, b"")).statuses == [404]
        may_finish.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_closing_connections_count_until_they_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are closing after a response that the kernel cannot deliver, because their clients do not read."""
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 3)
    request = b"GET /large HTTP/1.0\r\n\r\n"
    async with served_pages(large=large_page) as (address, connections), crowd(address, request, 12):
        await until(lambda: any(each.transport.is_closing() for each in connections))
        assert (await exchange(address, b"")).statuses == [404]
        await until(lambda: len(connections) <= 3)


async def test_the_busiest_client_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that opens many connections only displaces its own."""
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 3)
    async with served() as address:
        reader, writer = await asyncio.open_connection(*address, local_addr=("127.0.0.2", 0))
        async with crowd(address, b"", 5), asyncio.timeout(PATIENCE):
            writer.write(REQUEST % b"/-/healthy")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.transport.abort()


async def test_a_client_with_a_right_password_does_not_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those do of whom nobody knows yet whether theirs is right, although its response has been pending longest."""
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 3)
    may_finish, started = asyncio.Event(), list[Request]()

    async def slow(request: Request) -> Response:
        request.state.connection.verified = not started
        started.append(request)
        await may_finish.wait()
        return PlainTextResponse("done")

    async with served_pages(slow=slow) as (address, connections), client(address) as (reader, writer):
        writer.write(REQUEST % b"/slow")
        await until(lambda: started)
        async with crowd(address, REQUEST % b"/slow", 10):
            await until(lambda: len(started) > 5 and len(connections) <= 3)
            may_finish.set()
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_the_next_connection_of_such_a_client_does_not_make_room_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although it has not sent its request yet, and all others wait for responses."""
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 3)
    may_finish, started = asyncio.Event(), list[Request]()

    async def trusted(request: Request) -> Response:
        request.state.connection.verify()
        return PlainTextResponse("done")

    async def slow(request: Request) -> Response:
        started.append(request)
        await may_finish.wait()
        return PlainTextResponse("done")

    async def count_started() -> int:
        return len(started)

    async with served_pages(slow=slow, trusted=trusted) as (address, connections):
        assert (await exchange(address, REQUEST % b"/trusted")).statuses == [200, 404]
        async with client(address) as (reader, writer), AsyncExitStack() as stack:
            for earlier in range(6):
                other = socket.create_connection(address, source_address=("127.0.0.2", 0))
                stack.enter_context(other).sendall(REQUEST % b"/slow")
                await until_equal(earlier + 1, count_started)
            await until(lambda: len(connections) <= 3)
            writer.write(REQUEST % b"/trusted")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            may_finish.set()


@pytest.mark.parametrize(
    ("client", "network"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8::1:2:3:4", 5), "2001:db8::/64"),
        (("::1", 5), "::/64"),
        (("::ffff:192.0.2.1", 5), "192.0.2.1"),
        (None, ""),
    ],
)
def test_a_client_has_all_addresses_of_its_network(client: tuple[str, int] | None, network: str) -> None:
    assert client_network(client) == network


async def test_repr_shows_what_the_client_is_waiting_for() -> None:
    """There is one state for each cost of closing the connection, and one for a dropped connection."""
    may_finish = asyncio.Event()

    async def slow(_: Request) -> Response:
        await may_finish.wait()
        return PlainTextResponse("done")

    async with served_pages(slow=slow) as (address, connections), client(address) as (reader, writer):
        await until(lambda: connections)
        (only,) = connections
        shown = [repr(only)]
        writer.write(REQUEST % b"/slow")
        await until(lambda: only.closing_cost == 2)
        shown.append(repr(only))
        only.drop()
        shown.append(repr(only))
        await read_to_end(reader)
    expected = ("idle", "response pending", "dropped")
    assert shown == [f"<BoundedConnection 127.0.0.1: {state}>" for state in expected]
