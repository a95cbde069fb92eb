"""The site on a real socket, and a client without proxies, retries or patience."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from exporter.config import Config, HostPort
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.reports.board import Board
from exporter.web.api.queries import ReportQueries
from exporter.web.guard import Guard
from exporter.web.listeners import bind, bound_address
from exporter.web.pages import SiteContext, build_site
from exporter.web.server import Server
from exporter.web.settings.live_config import LiveWebConfig
from tests.scrapes import board_of

ANYWHERE = HostPort("127.0.0.1", 0)
NOBODY: Any = None  # who would probe, where nobody asks for it


@asynccontextmanager
async def client_of(*places: HostPort) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{places[0]}", trust_env=False, timeout=10) as client:
        yield client


@asynccontextmanager
async def served(
    board: Board | None = None,
    *,
    ready: bool = True,
    queries: ReportQueries | None = None,
    reload: Callable[[], Awaitable[Iterable[object]]] | None = None,
) -> AsyncIterator[HostPort]:
    """Where the site of these parts is."""
    board = board or board_of(())
    exporter = SiteContext(
        board, ExporterMetrics(), lambda: ready, reload, queries or ReportQueries(board, NOBODY, Config)
    )
    sockets = bind([ANYWHERE])
    web = LiveWebConfig(None)
    web.read()
    async with Server(Guard(build_site(exporter), web), sockets):
        yield bound_address(sockets[0])


async def get(
    path: str, method: str = "GET", headers: list[tuple[str, str]] | None = None, **parts: object
) -> httpx.Response:
    """One request to a site of its own."""
    async with served(**parts) as place, client_of(place) as client:  # type: ignore[arg-type] # as `served` takes them
        return await client.request(method, path, headers=headers)
