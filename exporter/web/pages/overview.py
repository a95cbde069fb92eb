"""The page at `/`: all servers."""

from collections import Counter
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.judging.verdict import Federation
from exporter.probing.connectivity import Outage
from exporter.reports.board import Board
from exporter.web.pages import rendering


def routes(board: Board, outage: Callable[[], Outage | None]) -> list[Route]:
    """Return the route of the page."""

    async def overview(request: Request) -> Response:
        totals = Counter(rendered.state.federation for rendered in board.snapshot().states)
        return await rendering.respond(
            request, "overview.html", totals=totals, outage=outage(), state=_worst(totals), here=""
        )

    return [Route("/", overview)]


def _worst(totals: Counter[Federation | None]) -> str:
    """Return the worst state of any server, for the icon of the page."""
    worst_first = (Federation.NONE, Federation.PARTIAL, Federation.FULL)
    return next((state.value for state in worst_first if totals[state]), "unknown")
