"""Requests to the exporter's own web server."""

import asyncio
import re
import socket
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState as UvicornState

from exporter.config import Config
from exporter.history.changes import Change
from exporter.history.incidents import Incident
from exporter.history.strips import SCALES, Strip
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.negotiation import OPENMETRICS, parse_preferences, wants_gzip, wants_openmetrics
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.reports.server_state import ServerState
from exporter.runtime.lru import LruCache
from exporter.web.api.queries import ReportQueries
from exporter.web.connection import MAX_HEADER_BYTES, BoundedConnection
from exporter.web.server import cancel_on_disconnect
from exporter.web.site import SiteContext, build_site
from tests.fuzz.targets.checks import loop, run
from tests.sample_reports import ENDED_AT, delegated_by_well_known, expired_certificate, watched_server
from tests.scrapes import board_of

MAX_ITERATIONS = 1000  # of the event loop, for one response
SITE_ERRORS: list[Exception] = []
"""Exceptions of the site. uvicorn sends the status 500 only if no response has begun."""
STATUS = re.compile(rb"^HTTP/1\.1 ([0-9]{3}) ", re.MULTILINE)


class Client(asyncio.Transport):
    """A transport that keeps the data it is sent. Its socket is not connected."""

    def __init__(self, unconnected: socket.socket) -> None:
        super().__init__()
        self._socket = unconnected
        self.received = bytearray()
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"socket": self._socket}.get(name, default)

    def write(self, data: Any) -> None:
        self.received += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class FakeProbeRunner:
    """Returns the same result for every probe, and finds nothing in a deep look."""

    async def probe_now(self, name: ServerName, max_seconds: float) -> ServerState:
        return ServerState(watched_server(name.text)).with_report(delegated_by_well_known(name.text))

    async def look_deeper(self, report: Report, _max_seconds: float) -> Report:
        return report


class NoHistory:
    """Nothing has happened."""

    async def incidents(self, _server_name: ServerName | None, _since: datetime, _limit: int) -> Sequence[Incident]:
        return ()

    async def changes(self, _server_name: ServerName | None, _since: datetime, _limit: int) -> Sequence[Change]:
        return ()

    async def strips(self, _server_name: ServerName) -> tuple[Strip, Strip]:
        day, quarter = (scale.strip(ENDED_AT, {}) for scale in SCALES)
        return day, quarter

    async def first_failure(self, _incident: Incident) -> None:
        return None


@cache
def site_config() -> uvicorn.Config:
    board = board_of(
        [watched_server("example.org"), watched_server("expired.example.org")],
        delegated_by_well_known(),
        expired_certificate(),
    )
    runner: Any = FakeProbeRunner()

    async def reload() -> tuple[()]:
        return ()

    context = SiteContext(
        board, ExporterMetrics(), lambda: True, reload, ReportQueries(board, runner, Config), NoHistory()
    )
    return uvicorn_config(build_site(context))


def uvicorn_config(site: ASGIApp) -> uvicorn.Config:
    """Return what a connection needs to serve a site whose exceptions are recorded."""
    application = cancel_on_disconnect(site)

    async def record_errors(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await application(scope, receive, send)
        except h11.LocalProtocolError:
            raise  # uvicorn has refused the rest of the request meanwhile, and closes the connection
        except Exception as error:
            SITE_ERRORS.append(error)
            raise

    config = uvicorn.Config(
        record_errors,
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    config.load()
    return config


def requests(data: bytes) -> None:
    """Any number of requests: the site does not raise, and no response has a status of 500 or above."""
    SITE_ERRORS.clear()
    if data:  # otherwise there is no event
        run(send_requests(site_config(), data))
    assert not SITE_ERRORS


async def send_requests(config: uvicorn.Config, data: bytes) -> bytes:
    """Return everything that is sent back."""
    with socket.socket() as unconnected:
        client = Client(unconnected)
        await send_to_site(config, client, data)
        return bytes(client.received)


async def send_to_site(config: uvicorn.Config, client: Client, data: bytes) -> None:
    state = UvicornState()
    connection = BoundedConnection(config, state, {}, loop(), on_accept=lambda _: None, trusted=LruCache(1))
    connection.connection_made(client)
    connection.data_received(data)
    for _ in range(MAX_ITERATIONS):
        if not state.tasks:
            break
        await asyncio.sleep(0)
    connection.connection_lost(None)
    await asyncio.gather(*state.tasks)
    assert all(int(status) < 500 for status in STATUS.findall(client.received)), bytes(client.received[:500])


def accept(data: bytes) -> None:
    """No value of `Accept` or `Accept-Encoding` raises an exception."""
    header = data.decode("latin-1")
    assert all(preference.name and 0 <= preference.weight <= 1 for preference in parse_preferences(header))
    assert wants_openmetrics(header) in (True, False)
    assert wants_openmetrics(f"{header}, application/openmetrics-text;q=0") is False or OPENMETRICS in header.lower()
    assert wants_gzip(f"{header}, ") is wants_gzip(header)
