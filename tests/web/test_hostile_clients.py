"""Crowds of clients that stall, do not read, or keep connections open: others are still served."""

import asyncio
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.demo.authority import Authority
from exporter.web import acceptor, connection, listeners
from tests.waiting import leaked_tasks, until
from tests.web import pems
from tests.web.clients import REQUEST, crowd, exchange, open_descriptors
from tests.web.serving import large_board, served
from tests.web.settings.exporter_with_curl import TLS, running_exporter

pytestmark = pytest.mark.lab

CROWD_SIZE = 100

MISBEHAVIOURS = {
    "sends nothing": b"",
    "stops in a header": b"GET /metrics HTTP/1.1\r\nHost: exp",
    "stops in a body": b"POST /-/reload HTTP/1.1\r\nHost: exporter\r\nContent-Length: 100\r\n\r\nhalf",
    "does not read": REQUEST % b"/metrics",
    "sends many requests and does not read": (REQUEST % b"/metrics") * 100,
    "keeps the connection": REQUEST % b"/-/healthy",
}


@pytest.mark.parametrize("request_", MISBEHAVIOURS.values(), ids=MISBEHAVIOURS)
async def test_crowd_delays_nobody(
    request_: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new connection is accepted, and one of the crowd is closed. At the end, no descriptor and no task is left."""
    monkeypatch.setattr(connection, "RESPONSE_SECONDS", 3600.0)  # nobody is closed for having taken too long
    async with served(large_board()) as address:
        before, running_before = open_descriptors(), leaked_tasks()
        async with crowd(address, request_, CROWD_SIZE):
            received = await exchange(address, REQUEST % b"/metrics")
            assert received.statuses == [200, 200]
            assert open_descriptors() - before <= CROWD_SIZE + connection.MAX_CONNECTIONS + 1
        await until(lambda: open_descriptors() == before)
        await until(lambda: leaked_tasks() == running_before)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_crowd_is_accepted_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection has a descriptor until it is closed, and one iteration of the event loop accepts only a batch."""
    monkeypatch.setattr(acceptor, "BATCH", 10)
    async with served() as address:
        before = open_descriptors()
        with ExitStack() as stack:
            for _ in range(CROWD_SIZE * 2):
                early = stack.enter_context(socket.socket())
                early.setblocking(False)  # noqa: FBT003 - as in `socket`
                early.connect_ex(address)
            most = 0
            for _ in range(20):
                await asyncio.sleep(0)
                most = max(most, open_descriptors() - before - CROWD_SIZE * 2)
    assert 0 < most <= connection.MAX_CONNECTIONS + 3 * acceptor.BATCH  # closing one takes two more iterations


async def test_stalled_handshakes_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They do not count as connections yet, and other clients can still connect."""
    monkeypatch.setattr(listeners, "MAX_PENDING", 5)
    authority = Authority(tmp_path)
    pems.write_server(tmp_path, authority)
    async with running_exporter(tmp_path, TLS) as exporter:
        address, trusting = exporter.app.addresses[0], ssl.create_default_context(cafile=tmp_path / "ca.pem")
        before = open_descriptors()
        async with crowd(address, b"\x16\x03\x01", 50):
            await until(lambda: open_descriptors() - before <= 50 + 5)
            reader, writer = await asyncio.open_connection(*address, ssl=trusting, server_hostname="localhost")
            writer.write(REQUEST % b"/-/healthy")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.transport.abort()
        await until(lambda: open_descriptors() == before)
