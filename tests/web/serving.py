"""The site on a real socket, and a client without proxies, retries or patience."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from exporter.config import Config, Place
from exporter.metrics.exporter_metrics import Instruments
from exporter.reports.board import Board
from exporter.web.api.queries import Asking
from exporter.web.guard import Guard
from exporter.web.listeners import bind, place_of
from exporter.web.pages import Exporter, site
from exporter.web.server import Server
from exporter.web.settings.live_config import WebConfigInForce
from tests.scrapes import board_of

ANYWHERE = Place("127.0.0.1", 0)
NOBODY: Any = None  # who would probe, where nobody asks for it


@asynccontextmanager
async def client_of(*places: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{places[0]}", trust_env=False, timeout=10) as client:
        yield client


@asynccontextmanager
async def served(
    board: Board | None = None,
    *,
    ready: bool = True,
    asking: Asking | None = None,
    reload: Callable[[], Awaitable[Iterable[object]]] | None = None,
) -> AsyncIterator[Place]:
    """Where the site of these parts is."""
    board = board or board_of(())
    exporter = Exporter(board, Instruments(), lambda: ready, reload, asking or Asking(board, NOBODY, Config))
    sockets = bind([ANYWHERE])
    web = WebConfigInForce(None)
    web.read()
    async with Server(Guard(site(exporter), web), sockets):
        yield place_of(sockets[0])


async def get(
    path: str, method: str = "GET", headers: list[tuple[str, str]] | None = None, **parts: object
) -> httpx.Response:
    """One request to a site of its own."""
    async with served(**parts) as place, client_of(place) as client:  # type: ignore[arg-type] # as `served` takes them
        return await client.request(method, path, headers=headers)
