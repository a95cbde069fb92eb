"""Clients that come in crowds, stall, do not read, or leave: others are answered all the same, and nothing is left."""

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import bcrypt
import pytest

from exporter.board import Board
from exporter.config import Config, Place
from exporter.lab.authority import Authority
from exporter.web import asking, connection, listening
from exporter.web.asking import Asking
from exporter.web.passwords import Credentials, Passwords
from tests.scrapes import board_of
from tests.waiting import others, until
from tests.web import pems
from tests.web.clients import REQUEST, client, open_descriptors, says
from tests.web.lab_site import SILENT, lab_site
from tests.web.serving import served
from tests.web.test_web_config_with_curl import TLS, running

CROWD = 300
SOON = 1.0  # seconds for a scrape of a well-behaved client; alone it takes some milliseconds
LARGE = board_of(f"server-{number}.example.org" for number in range(3000))  # more than the kernel takes for a client

MISBEHAVIOURS = {
    "says nothing": b"",
    "stops in a header": b"GET /metrics HTTP/1.1\r\nHost: exp",
    "stops in a body": b"POST /-/reload HTTP/1.1\r\nHost: exporter\r\nContent-Length: 100\r\n\r\nhalf",
    "does not read": REQUEST % b"/metrics",
    "never reads what it asks for again and again": (REQUEST % b"/metrics") * 100,
    "keeps the connection": REQUEST % b"/-/healthy",
}


@asynccontextmanager
async def crowd(place: Place, request: bytes, size: int = CROWD) -> AsyncIterator[None]:
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
        before, running_before = open_descriptors(), others()
        async with crowd(place, request_):
            began = time.monotonic()
            said = await says(place, REQUEST % b"/metrics")
            assert (said.statuses, time.monotonic() - began < SOON) == ([200, 200], True)
            assert open_descriptors() - before <= CROWD + connection.MAX_CONNECTIONS + 1
        await until(lambda: open_descriptors() == before)
        await until(lambda: others() == running_before)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
