"""The page of one server, and the page of one of its incidents."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from exporter.history.history import History
from exporter.history.incidents import Incident
from exporter.judging import expectations
from exporter.judging.warnings import WarningName
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.reports.summary import State
from exporter.web.api.queries import RefusedError, ReportQueries, parse_server_name, read_server_name
from exporter.web.pages import rendering
from exporter.web.pages.views.certificates import certificate_views, keys_views
from exporter.web.pages.views.contacts import support_view
from exporter.web.pages.views.incidents import incident_views
from exporter.web.pages.views.problems import peer_views, problem_views
from exporter.web.pages.views.strips import draw_strip
from exporter.web.pages.views.way import way_view

FOLDER: Final = "/servers/"
"""Below it, forms of the pages may make the exporter probe a server."""
_HISTORY_SHOWN: Final = timedelta(days=90)
_MAX_SHOWN = 20  # incidents and changes


def routes(board: Board, queries: ReportQueries, history: History) -> list[Route]:
    """Return the routes of the pages."""

    async def find(request: Request) -> Response:
        return _redirect(parse_server_name(request, "server_name"), "servers/")

    async def show(request: Request) -> Response:
        name = read_server_name(request.path_params["name"])
        watched = board.state(name)
        return await _respond(request, watched or await queries.latest(name), board.now(), history if watched else None)

    async def probe(request: Request) -> Response:
        """Probe the server now. If it is watched, the browser then requests its page, which can be loaded again."""
        name = read_server_name(request.path_params["name"])
        state = await queries.probe_now(name)
        return _redirect(name) if board.state(name) else await _respond(request, state, board.now(), None)

    async def incident(request: Request) -> Response:
        name = read_server_name(request.path_params["name"])
        found = await _find_incident(history, name, request.path_params["began"])
        return await _respond_with_incident(request, found, board.now(), history)

    return [
        Route("/servers", rendering.handle_refusals(find)),
        Route(f"{FOLDER}{{name}}", rendering.handle_refusals(show)),
        Route(f"{FOLDER}{{name}}", rendering.handle_refusals(probe), methods=["POST"]),
        Route(f"{FOLDER}{{name}}/incidents/{{began}}", rendering.handle_refusals(incident)),
    ]


def _redirect(name: ServerName, folder: str = "./") -> Response:
    return RedirectResponse(f"{folder}{quote(name.text, safe='')}", HTTPStatus.SEE_OTHER)


# ---------------------------------------------------------------- one server


async def _respond(request: Request, state: ServerState, now: datetime, history: History | None) -> Response:
    """Return the page. `history` is None if the server is not watched."""
    happened = await _read_history(history, state.watched.server_name, now) if history else {}
    content = await asyncio.to_thread(_report_content, state, state.report, now) if state.report else _NO_REPORT
    return await rendering.respond(
        request,
        "server.html",
        server=state,
        name=state.watched.server_name.text,
        state=State(state.federation or State.UNKNOWN),
        warnings=[each for each in state.warnings if each.warning is not WarningName.WORKS_FOR_SOME],  # see `peers`
        watched=history is not None,
        now=now,
        **happened,
        **content,
    )


_NO_REPORT: Final[Mapping[str, object]] = dict.fromkeys(
    ("report", "expectations", "peers", "problems", "way", "certificates", "keys", "support")
)


def _report_content(state: ServerState, report: Report, now: datetime) -> dict[str, object]:
    return {
        "report": report,
        "expectations": expectations.compare(state.watched.expected, report),
        "peers": peer_views(report),
        "problems": problem_views(report),
        "way": way_view(report),
        "certificates": certificate_views(report, now),
        "keys": keys_views(report),
        "support": support_view(report),
    }


async def _read_history(history: History, name: ServerName, now: datetime) -> dict[str, object]:
    since = now - _HISTORY_SHOWN
    incidents = await history.incidents(name, since, _MAX_SHOWN)
    changes = await history.changes(name, since, _MAX_SHOWN)
    day, quarter = await history.strips(name)
    return {
        "day": draw_strip(day),
        "quarter": draw_strip(quarter),
        "incidents": incident_views(incidents, changes),
        "changes": changes,
        "most": _MAX_SHOWN,
    }


# ---------------------------------------------------------------- one incident


async def _find_incident(history: History, name: ServerName, began: str) -> Incident:
    """Raises RefusedError."""
    try:
        at = datetime.fromisoformat(began)
        incidents = await history.incidents(name, at, 10_000)
        return next(incident for incident in incidents if incident.began == at)
    except (ValueError, TypeError, StopIteration):
        sentence = f"No incident of {name} that began at this time is known."
        raise RefusedError(HTTPStatus.NOT_FOUND, sentence) from None


async def _respond_with_incident(request: Request, incident: Incident, now: datetime, history: History) -> Response:
    report = await history.first_failure(incident)
    changes = await history.changes(incident.server_name, incident.began, _MAX_SHOWN)
    (view,) = incident_views([incident], changes)
    return await rendering.respond(
        request,
        "incident.html",
        name=incident.server_name.text,
        view=view,
        state=State.NONE,
        now=now,
        report=report,
        whole=_as_text(report) if report else None,
    )


def _as_text(report: Mapping[str, Any]) -> Markup:
    """Return the whole report as lines of ASCII, which are escaped."""
    return escape(json.dumps(report, indent=2))
