"""Servers on real sockets, and a client without proxies and retries."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from typing import Any, TypeAlias

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from exporter.config import Config, HostPort
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.report import Report
from exporter.probing.connectivity import Outage
from exporter.reports.board import Board
from exporter.web.api.queries import ReportQueries
from exporter.web.guard import Guard
from exporter.web.listeners import bind, bound_address
from exporter.web.server import Server
from exporter.web.settings.live_config import LiveWebConfig
from exporter.web.settings.location import Location
from exporter.web.site import SiteContext, build_site, yield_to_event_loop
from tests.histories import history_of
from tests.sample_reports import delegated_by_well_known, watched_server
from tests.scrapes import board_of
from tests.waiting import PATIENCE, until_async

ANYWHERE = HostPort("127.0.0.1", 0)
NO_RUNNER: Any = None  # for a site that is not asked for probes


@cache
def large_board() -> Board:
    """Return a board whose metrics are more than the kernel buffers for a client. Rendering it takes a second."""
    server_names = [f"server-{number}.example.org" for number in range(1000)]
    return board_of(map(watched_server, server_names), *map(delegated_by_well_known, server_names))


Page: TypeAlias = Callable[[Request], Awaitable[Response]]


@asynccontextmanager
async def client_of(*addresses: HostPort) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{addresses[0]}", trust_env=False, timeout=PATIENCE) as client:
        yield client


async def get_probed(
    client: httpx.AsyncClient, path: str, parameters: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Request a probe, and again if it was lost: a busy machine may leave the exporter no CPU time for it."""

    async def response() -> httpx.Response | None:
        found = await client.get(path, params=parameters, headers=headers)
        return None if found.status_code == HTTPStatus.GATEWAY_TIMEOUT else found

    found = await until_async(response)
    assert found is not None
    return found


@asynccontextmanager
async def served(
    board: Board | None = None,
    *,
    ready: bool = True,
    queries: ReportQueries | None = None,
    reload: Callable[[], Awaitable[Iterable[object]]] | None = None,
    outage: Callable[[], Outage | None] = lambda: None,
    reports: Iterable[Report] = (),
    location: Location | None = None,
) -> AsyncIterator[HostPort]:
    """Serve the exporter's site with these parts, and the history of these reports; yield its address."""
    board = board or board_of(())
    queries = queries or ReportQueries(board, NO_RUNNER, Config)
    async with history_of(*reports) as history:
        web = LiveWebConfig(None, location=location)
        url = web.location.url
        context = SiteContext(
            board, ExporterMetrics(), lambda: ready, reload, queries, history, outage, external_url=url
        )
        sockets = bind([ANYWHERE])
        web.read()
        async with Server(Guard(build_site(context), web), sockets):
            yield bound_address(sockets[0])


async def get(
    path: str, method: str = "GET", headers: list[tuple[str, str]] | None = None, **parts: object
) -> httpx.Response:
    """Send one request to a site with these parts."""
    async with served(**parts) as address, client_of(address) as client:  # type: ignore[arg-type] # as `served` takes them
        return await client.request(method, path, headers=headers)


@asynccontextmanager
async def served_pages(**pages: Page) -> AsyncIterator[tuple[HostPort, Collection[Any]]]:
    """Serve pages under their names; yield the address, and the server's set of open connections."""
    sockets = bind([ANYWHERE])
    routes = [Route(f"/{name}", page) for name, page in pages.items()]
    async with Server(Starlette(routes=routes), sockets) as server:
        yield bound_address(sockets[0]), server._server.server_state.connections


async def streamed_page(_: Request) -> Response:
    """Return more than the kernel buffers for a client that does not read, in pieces."""
    return StreamingResponse(yield_to_event_loop(iter([bytes(65536)] * 200)))


async def large_page(_: Request) -> Response:
    """Return the same in one piece."""
    return PlainTextResponse(bytes(65536 * 200))
