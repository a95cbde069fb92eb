"""The Atom feeds (RFC 4287): what happened to all servers, and to one of them.

All links are relative to the feed, so that they work below a path of a reverse proxy too.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.history.history import History
from exporter.model.names import ServerName
from exporter.reports.board import Board
from exporter.web.api.queries import read_watched
from exporter.web.api.responses import handle_refusals, text_refusal
from exporter.web.pages import rendering
from exporter.web.pages.views import feed
from exporter.web.pages.views.feed import Entry

_MAX_ENTRIES = 50  # of incidents, and of changes
_PERIOD: Final = timedelta(days=90)
_NOTHING_YET: Final = datetime.fromtimestamp(0, UTC)
_HEADERS: Final = {"Cache-Control": "private, max-age=60"}


def routes(board: Board, history: History, external_url: str) -> list[Route]:
    """Return the routes of all feeds. Their links are absolute if the external URL is not empty."""

    async def of_all(request: Request) -> Response:
        found = await _read(history, None, board.now())
        return await _respond(external_url or rendering.root_of(request), "Matrix federation", "", found)

    async def of_server(request: Request) -> Response:
        name = read_watched(board, request.path_params["name"]).watched.server_name
        found = await _read(history, name, board.now())
        page = f"servers/{quote(name.text, safe='')}"
        return await _respond(external_url or rendering.root_of(request), f"Matrix federation: {name}", page, found)

    return [
        Route("/feed.atom", of_all),
        Route("/servers/{name}/feed.atom", handle_refusals(of_server, text_refusal)),
    ]


async def _read(history: History, name: ServerName | None, now: datetime) -> list[Entry]:
    since = now - _PERIOD
    incidents = await history.incidents(name, since, _MAX_ENTRIES)
    return feed.entries(incidents, await history.changes(name, since, _MAX_ENTRIES))


async def _respond(root: str, title: str, page: str, found: list[Entry]) -> Response:
    """`root` is the URL of `/`, and `page` that of the page about the same, relative to it."""
    atom = await asyncio.to_thread(
        rendering.render,
        "feed.atom",
        root,
        id=feed.permanent_id("feed", page),
        title=title,
        page=page,
        updated=max((entry.updated for entry in found), default=_NOTHING_YET),
        entries=found,
    )
    return Response(atom, headers=_HEADERS, media_type="application/atom+xml")
