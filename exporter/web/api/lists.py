"""The lists: `/api/v1/servers`, `/api/v1/incidents` and `/api/v1/changes`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.history.history import History
from exporter.model.names import ServerName
from exporter.reports import listing
from exporter.reports.board import Board, Snapshot
from exporter.reports.listing import Order, Query
from exporter.reports.lists_json import JsonObject, change_json, incident_json, server_json
from exporter.reports.summary import State
from exporter.web.api.parameters import parse_choice, parse_labels, parse_number, parse_text, parse_time
from exporter.web.api.queries import parse_server_name
from exporter.web.api.responses import handle_refusals, json_refusal, json_response

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

_Entry = TypeVar("_Entry")
_Read = Callable[[ServerName | None, datetime, int], Awaitable[Sequence[_Entry]]]


def routes(board: Board, history: History) -> list[Route]:
    """Return the routes of all lists."""

    async def servers(request: Request) -> Response:
        """A list may be long: threads sort it and write it, and the event loop goes on."""
        query = Query(
            parse_text(request, "q"),
            parse_choice(request, "state", State),
            parse_text(request, "group"),
            parse_labels(request),
            Order.NAME,
        )
        after, limit = parse_text(request, "after"), _parse_limit(request)
        return await asyncio.to_thread(_list_servers, board.snapshot(), query, after, limit)

    return [
        Route("/api/v1/servers", handle_refusals(servers, json_refusal)),
        _happened("incidents", history.incidents, incident_json),
        _happened("changes", history.changes, change_json),
    ]


def _parse_limit(request: Request) -> int:
    return parse_number(request, "limit", 1, MAX_LIMIT) or DEFAULT_LIMIT


def _list_servers(snapshot: Snapshot, query: Query, after: str, limit: int) -> Response:
    """Return the first servers after a name. So every page is right, whatever happens to the servers in between."""
    following = [each for each in snapshot.states if each.summary.name > after]
    shown = listing.select(following, query, 0, limit)
    servers = [server_json(server, snapshot.taken_at) for server in shown.servers]
    following_after = servers[-1]["server_name"] if shown.count > limit else None
    content = {"servers": servers, "following_after": following_after, "count": shown.count}
    return json_response(content, indent=None)


def _happened(name: str, read: _Read[_Entry], as_json: Callable[[_Entry], JsonObject]) -> Route:
    """Return the route of a list of what happened, the newest first."""

    async def handle(request: Request) -> Response:
        server_name = parse_server_name(request, "server_name") if "server_name" in request.query_params else None
        since, limit = parse_time(request, "since"), _parse_limit(request)
        found = await read(server_name, since, limit + 1)

        def write() -> Response:
            content = {name: [as_json(entry) for entry in found[:limit]], "more": len(found) > limit}
            return json_response(content, indent=None)

        return await asyncio.to_thread(write)

    return Route(f"/api/v1/{name}", handle_refusals(handle, json_refusal))
