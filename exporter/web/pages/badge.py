"""The badge of a watched server, for pages elsewhere: `/badge/NAME.svg`."""

from enum import StrEnum
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.history.history import History
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.reports.summary import State
from exporter.web.api.parameters import parse_choice
from exporter.web.api.queries import read_watched
from exporter.web.api.responses import handle_refusals, text_refusal
from exporter.web.pages import rendering
from exporter.web.pages.views.badges import Badge, state_badge, uptime_badge

FOLDER: Final = "/badge/"
"""The pages of all sites may show what is below it."""
_HEADERS: Final = {
    "Cache-Control": "max-age=60",  # a page may show it very often
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class _Show(StrEnum):
    STATE = "state"
    UPTIME = "uptime"


def routes(board: Board, history: History) -> list[Route]:
    """Return the route of all badges."""

    async def show(request: Request) -> Response:
        server = read_watched(board, request.path_params["name"])
        wanted = parse_choice(request, "show", _Show)
        if wanted is _Show.UPTIME:
            _, days = await history.strips(server.watched.server_name)
            return _draw(uptime_badge(days))
        return _draw(state_badge(_recent_state(server, is_old=server.fresh_until < board.now())))

    return [Route(f"{FOLDER}{{name}}.svg", handle_refusals(show, text_refusal))]


def _recent_state(server: ServerState, *, is_old: bool) -> State:
    return State.UNKNOWN if is_old or server.federation is None else State(server.federation)


def _draw(badge: Badge) -> Response:
    return Response(rendering.render("badge.svg", badge=badge), headers=_HEADERS, media_type="image/svg+xml")
