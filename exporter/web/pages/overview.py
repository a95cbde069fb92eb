"""The page at `/`: all servers, those that fail first, with a filter."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.model.servers import Labels
from exporter.reports import listing
from exporter.reports.board import Board, RenderedState, Snapshot
from exporter.reports.listing import Listing, Order, Query
from exporter.reports.summary import State, Summary
from exporter.web.api.parameters import parse_choice, parse_labels, parse_number, parse_text
from exporter.web.api.queries import RefusedError, ReportQueries
from exporter.web.pages import rendering
from exporter.web.pages.views.strips import Drawing, draw_results

ROWS: Final = 100  # of a page
_MAX_PAGES = 10**6
_MIN_REFRESH_SECONDS, _MAX_REFRESH_SECONDS = 5, 3600
_REFRESH_SECONDS: Final = 30  # what the page offers

_ORDERS: Final[Mapping[Order, str]] = {
    Order.STATE: "state, the worst first",
    Order.SINCE: "the latest change",
    Order.EXPIRY: "the first expiry",
    Order.CHECKED: "the oldest result",
    Order.NAME: "name",
}


_OF_LIST: Final = {"q", "state", "group", "label", "sort"}  # parameters that change what is listed


@dataclass(frozen=True, slots=True)
class View:
    """What is shown, as the parameters of a request say."""

    query: Query
    page: int
    refresh: int | None
    """Seconds after which a browser loads the page again; None if it does not."""

    def url(self, **changes: object) -> str:
        """Return the URL of a view with other parameters. Whatever changes the list leads to its first page."""
        kept = self._parameters()
        if changes.keys() & _OF_LIST:
            del kept["page"]
        given = {name: value for name, value in {**kept, **changes}.items() if value}
        return f"./?{urlencode(given, doseq=True)}" if given else "./"

    def _parameters(self) -> dict[str, object]:
        """Return all parameters. Those that say nothing are empty."""
        return {
            "q": self.query.words,
            "state": self.query.state,
            "group": self.query.group,
            "label": [f"{name}={value}" for name, value in self.query.labels],
            "sort": self.query.order if self.query.order is not Order.STATE else None,
            "page": self.page if self.page > 1 else None,
            "refresh": self.refresh,
        }


def routes(board: Board, queries: ReportQueries, outage: Callable[[], str | None]) -> list[Route]:
    """Return the route of the page."""

    async def overview(request: Request) -> Response:
        view = _parse_view(request)
        content = await asyncio.to_thread(_content, board.snapshot(), view)
        return await rendering.respond(
            request,
            "overview.html",
            **content,
            latest=board.latest,
            outage=outage(),
            groups=[group.name for group in queries.config().groups],
            probe_any=queries.config().web.probe_any,
        )

    return [Route("/", rendering.handle_refusals(overview))]


def _parse_view(request: Request) -> View:
    """Raises RefusedError."""
    return View(
        Query(
            parse_text(request, "q"),
            parse_choice(request, "state", State),
            parse_text(request, "group"),
            parse_labels(request),
            parse_choice(request, "sort", Order) or Order.STATE,
        ),
        parse_number(request, "page", 1, _MAX_PAGES) or 1,
        parse_number(request, "refresh", _MIN_REFRESH_SECONDS, _MAX_REFRESH_SECONDS),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """One server in the list."""

    summary: Summary
    labels: Labels
    results: Drawing
    note: str
    """Why the result is old, or an empty text."""


def _row(server: RenderedState, now: datetime) -> _Row:
    summary = server.summary
    note = "the exporter was offline" if summary.exporter_offline else "stale" if server.fresh_until < now else ""
    return _Row(summary, server.watched.labels, draw_results(summary.results), note)


def _select(snapshot: Snapshot, view: View) -> Listing:
    """Return the servers of one page. Raises RefusedError if there is no such page."""
    shown = listing.select(snapshot.states, view.query, (view.page - 1) * ROWS, view.page * ROWS)
    if view.page > 1 and not shown.servers:
        sentence = f"There is no page {view.page}: the list has {_count_pages(shown)}."
        raise RefusedError(HTTPStatus.NOT_FOUND, sentence)
    return shown


def _count_pages(shown: Listing) -> int:
    return max(1, math.ceil(shown.count / ROWS))


def _content(snapshot: Snapshot, view: View) -> dict[str, object]:
    """Raises RefusedError."""
    shown = _select(snapshot, view)
    totals = shown.totals
    return {
        "now": snapshot.taken_at,
        "totals": totals,
        "listing": shown,
        "rows": [_row(server, snapshot.taken_at) for server in shown.servers],
        "view": view,
        "pages": _count_pages(shown),
        "orders": _ORDERS,
        "refresh_seconds": _REFRESH_SECONDS,
        "state": next((state for state in State if totals.get(state)), State.UNKNOWN),
        "here": "",
    }
