"""What clients send to the exporter itself."""

import asyncio
import re
import socket
from functools import cache
from typing import Any

import h11
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState as UvicornState

from exporter.config import Config
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.negotiation import OPENMETRICS, parse_preferences, wants_gzip, wants_openmetrics
from exporter.model.names import ServerName
from exporter.reports.server_state import ServerState
from exporter.web.api.queries import ReportQueries
from exporter.web.connection import MAX_HEADER_BYTES, BoundedConnection
from exporter.web.pages import SiteContext, build_site
from exporter.web.server import cancel_when_client_leaves
from tests.fuzz.targets.judging import loop, run
from tests.sample_reports import delegated_by_well_known, expired_certificate, watched
from tests.scrapes import board_of

MAX_TURNS = 1000  # of the event loop, for an answer
UNCONNECTED = socket.socket()
FAILURES: list[Exception] = []
"""Of the site: uvicorn answers with status 500 only where no answer has begun."""
STATUS = re.compile(rb"^HTTP/1\.1 ([0-9]{3}) ", re.MULTILINE)


class Client(asyncio.Transport):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.received = bytearray()
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"socket": UNCONNECTED}.get(name, default)

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


class Probed:
    """Probes that have just ended, with the same result every time."""

    async def probe_now(self, name: ServerName, seconds: float) -> ServerState:
        return ServerState(watched(name.text)).with_report(delegated_by_well_known(name.text))


@cache
def served() -> uvicorn.Config:
    board = board_of(
        [watched("example.org"), watched("expired.example.org")], delegated_by_well_known(), expired_certificate()
    )
    probes: Any = Probed()

    async def reload() -> tuple[()]:
        return ()

    queries = ReportQueries(board, probes, Config)
    application = cancel_when_client_leaves(
        build_site(SiteContext(board, ExporterMetrics(), lambda: True, reload, queries))
    )

    async def watched_over(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await application(scope, receive, send)
        except h11.LocalProtocolError:
            raise  # uvicorn has refused the rest of the request meanwhile, and closes the connection
        except Exception as error:
            FAILURES.append(error)
            raise

    config = uvicorn.Config(
        watched_over,
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    config.load()
    return config


def requests(written: bytes) -> None:
    """The bytes of any number of requests: the site does not fail, and no answer has a status of 500 or above."""
    FAILURES.clear()
    if written:  # else there is no event
        run(converse(written))
    assert not FAILURES


async def converse(written: bytes) -> None:
    client, state = Client(), UvicornState()
    connection = BoundedConnection(served(), state, {}, loop(), on_accept=lambda _: None)
    connection.connection_made(client)
    connection.data_received(written)
    for _ in range(MAX_TURNS):
        if not state.tasks:
            break
        await asyncio.sleep(0)
    connection.connection_lost(None)
    await asyncio.gather(*state.tasks)
    assert all(int(status) < 500 for status in STATUS.findall(client.received)), bytes(client.received[:500])


def accept(written: bytes) -> None:
    """Whatever stands in `Accept` and `Accept-Encoding`, it is read."""
    header = written.decode("latin-1")
    assert all(preference.name and 0 <= preference.weight <= 1 for preference in parse_preferences(header))
    assert wants_openmetrics(header) in (True, False)
    assert wants_openmetrics(f"{header}, application/openmetrics-text;q=0") is False or OPENMETRICS in header.lower()
    assert wants_gzip(f"{header}, ") is wants_gzip(header)
