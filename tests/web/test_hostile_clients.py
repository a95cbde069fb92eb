"""Clients that come in crowds, stall, do not read, or leave: others are answered all the same, and nothing is left."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import bcrypt
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from exporter.config import HostPort
from exporter.demo.authority import Authority
from exporter.web import connection, listeners, server
from exporter.web.api import queries
from exporter.web.listeners import bind, bound_address
from exporter.web.pages import yield_to_event_loop
from exporter.web.server import Server
from exporter.web.settings.passwords import Credentials, Passwords
from tests.sample_reports import delegated_by_well_known, watched
from tests.scrapes import board_of
from tests.waiting import leaked_tasks, until
from tests.web import pems
from tests.web.clients import PATIENCE, REQUEST, client, listen, open_descriptors, says
from tests.web.lab_site import SILENT, lab_site
from tests.web.serving import ANYWHERE, served
from tests.web.settings.test_with_curl import TLS, running

CROWD = 150
SOON = 2.0  # seconds for a scrape of a well-behaved client; alone it takes some milliseconds
NAMES = [f"server-{number}.example.org" for number in range(1000)]
LARGE = board_of(map(watched, NAMES), *map(delegated_by_well_known, NAMES))  # more than the kernel takes for a client

MISBEHAVIOURS = {
    "says nothing": b"",
    "stops in a header": b"GET /metrics HTTP/1.1\r\nHost: exp",
    "stops in a body": b"POST /-/reload HTTP/1.1\r\nHost: exporter\r\nContent-Length: 100\r\n\r\nhalf",
    "does not read": REQUEST % b"/metrics",
    "never reads what it asks for again and again": (REQUEST % b"/metrics") * 100,
    "keeps the connection": REQUEST % b"/-/healthy",
}


@asynccontextmanager
async def crowd(place: HostPort, request: bytes, size: int = CROWD) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(size):
            reader, writer = await stack.enter_async_context(client(place))
            reader._transport.pause_reading()  # type: ignore[attr-defined] # a stream reads ahead by itself
            writer.write(request)
        yield


@pytest.mark.parametrize("request_", MISBEHAVIOURS.values(), ids=MISBEHAVIOURS)
async def test_crowd_delays_nobody(request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The newest is let in, and one of the crowd goes; when all have left, so have their descriptors and tasks."""
    async with served(LARGE) as place:
        before, running_before = open_descriptors(), leaked_tasks()
        async with crowd(place, request_):
            began = time.monotonic()
            said = await says(place, REQUEST % b"/metrics")
            assert (said.statuses, time.monotonic() - began < SOON) == ([200, 200], True)
            assert open_descriptors() - before <= CROWD + connection.MAX_CONNECTIONS + 1
        await until(lambda: open_descriptors() == before)
        await until(lambda: leaked_tasks() == running_before)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_crowd_is_let_in_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come between two looks: each has a descriptor until it is sent away."""
    monkeypatch.setattr(server, "BACKLOG", 10)
    async with served() as place:
        before = open_descriptors()
        with ExitStack() as stack:
            for _ in range(CROWD * 2):
                early = stack.enter_context(socket.socket())
                early.setblocking(False)  # noqa: FBT003 - as in `socket`
                early.connect_ex(place)
            held = 0
            for _ in range(20):
                await asyncio.sleep(0)
                held = max(held, open_descriptors() - before - CROWD * 2)
    assert 0 < held <= connection.MAX_CONNECTIONS + 3 * server.BACKLOG  # it takes two more rounds to end one


async def test_idle_connections_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that wait for nothing, the one that has done so for longest; a scrape under way is not cut short."""
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 3)
    async with served(LARGE) as place, client(place) as scraper, client(place) as older, client(place) as newer:
        scraper[1].write(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n")
        await scraper[0].readuntil(b"\r\n\r\n")
        async with client(place):
            assert await older[0].read() == b""
            newer[1].write(REQUEST % b"/-/healthy")
            assert (await newer[0].readline()).startswith(b"HTTP/1.1 200")
            assert (await listen(scraper[0])).text.endswith("\r\n0\r\n\r\n")


async def test_answers_that_are_not_read_go_before_those_that_are_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the latter are older: they are not their clients' fault."""
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 2)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        begun.set()
        await go_on.wait()
        return PlainTextResponse("done")

    async with (
        serving(slow=slow, large=large) as (place, connections),
        client(place) as (reader, writer),
        crowd(place, REQUEST % b"/large", 1),
    ):
        writer.write(REQUEST % b"/slow")
        await begun.wait()
        await until(lambda: any(each.flow.write_paused for each in connections))
        assert (await says(place, b"")).statuses == [404]
        go_on.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_with_each_answer_time_begins_anew() -> None:
    """Else a client that asks every now and then would be cut off in the middle of it."""
    async with serving() as (place, connections), client(place) as (reader, writer):
        ends = []
        for _ in range(3):
            writer.write(REQUEST % b"/nowhere")
            await reader.readuntil(b"Not Found")
            await until(lambda: all(each.cycle.response_complete for each in connections))
            (one,) = connections
            ends.append(one._timer)
        assert [end.cancelled() for end in ends] == [True, True, False]


async def test_answers_that_linger_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worked out and sent, as far as we are concerned, but not read."""
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 3)
    request = b"GET /large HTTP/1.0\r\n\r\n"
    async with serving(large=whole) as (place, connections), crowd(place, request, 12):
        await until(lambda: any(each.transport.is_closing() for each in connections))
        assert (await says(place, b"")).statuses == [404]
        await until(lambda: len(connections) <= 3)


Page: TypeAlias = Callable[[Request], Awaitable[Response]]


async def large(_: Request) -> Response:
    """As much as no kernel takes for a client that does not read, piece by piece."""
    return StreamingResponse(yield_to_event_loop(iter([bytes(65536)] * 200)))


async def whole(_: Request) -> Response:
    """The same in one piece."""
    return PlainTextResponse(bytes(65536 * 200))


@asynccontextmanager
async def serving(**pages: Page) -> AsyncIterator[tuple[HostPort, Collection[Any]]]:
    """Pages by their names, and the connections that there are."""
    doors = bind([ANYWHERE])
    routes = [Route(f"/{name}", page) for name, page in pages.items()]
    async with Server(Starlette(routes=routes), doors) as running:
        yield bound_address(doors[0]), running._server.server_state.connections


async def test_busiest_address_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections one client opens, it takes them from itself."""
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 3)
    async with served() as place:
        reader, writer = await asyncio.open_connection(*place, local_addr=("127.0.0.2", 0))
        async with crowd(place, b"", 5):
            writer.write(REQUEST % b"/-/healthy")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.transport.abort()


async def test_handshakes_that_stall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are no connections yet, and there are never more than a few of them."""
    monkeypatch.setattr(listeners, "MAX_PENDING", 5)
    authority = Authority(tmp_path)
    pems.write_server(tmp_path, authority)
    async with running(tmp_path, TLS) as exporter:
        place, trust = exporter.app.addresses[0], ssl.create_default_context(cafile=tmp_path / "ca.pem")
        before = open_descriptors()
        async with crowd(place, b"\x16\x03\x01", 50):
            await until(lambda: open_descriptors() - before <= 50 + 5)
            reader, writer = await asyncio.open_connection(*place, ssl=trust, server_hostname="localhost")
            writer.write(REQUEST % b"/-/healthy")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.transport.abort()
        await until(lambda: open_descriptors() == before)


# ---------------------------------------------------------------- those who leave


async def test_nothing_is_worked_out_for_those_who_left(tmp_path: Path) -> None:
    """The probe goes on, as others may wait for it; the request is forgotten."""
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "1m"}) as site:
        async with client(site.app.addresses[0]) as (_, writer):
            writer.write(REQUEST % b"/probe?target=%s" % SILENT.server_name.encode())
            await until(lambda: site.app.queries.pending == 1)
        await until(lambda: site.app.queries.pending == 0)
    assert leaked_tasks() == set()


async def test_many_wait_for_probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is told at once that it cannot, so that there is always room for a scrape."""
    assert queries.MAX_PENDING < connection.MAX_CONNECTIONS
    monkeypatch.setattr(queries, "MAX_PENDING", 2)
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "1m"}) as site:
        request = REQUEST % b"/probe?target=%s" % SILENT.server_name.encode()
        async with crowd(site.app.addresses[0], request, 2):
            await until(lambda: site.app.queries.pending == 2)
            answer = await site.get("/probe", target=SILENT.server_name)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.text == "2 requests wait for probes already: ask again.\n"


async def test_reload_is_not_left_half_done() -> None:
    """Whoever asked for it may leave."""
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def reload() -> Iterable[object]:
        begun.set()
        await go_on.wait()
        ended.set()
        return ()

    async with served(reload=reload) as place:
        before = open_descriptors()
        async with client(place) as (_, writer):
            writer.write(b"POST /-/reload HTTP/1.1\r\nHost: exporter\r\n\r\n")
            await begun.wait()
        await until(lambda: open_descriptors() == before)
        assert not ended.is_set()
        go_on.set()
        async with asyncio.timeout(PATIENCE):
            assert await ended.wait()


async def test_passwords_are_tried_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where those who gave them leave at once: each costs a processor a tenth of a second."""
    at_work, most, go_on = 0, 0, threading.Event()

    def checkpw(_password: bytes, _hashed: bytes) -> bool:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        go_on.wait()
        at_work -= 1
        return False

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    passwords = Passwords({"alice": "hash"})
    trying = [asyncio.create_task(passwords.verify(Credentials(b"alice", b"%d" % number))) for number in range(5)]
    await until(lambda: at_work)
    for task in trying[:3]:
        task.cancel()
    await asyncio.wait(trying[:3])
    assert at_work == 1
    go_on.set()
    assert await asyncio.gather(*trying[3:]) == [False, False]
    assert (most, at_work) == (1, 0)
