"""`/probe?target=NAME`: the metrics of one server after a fresh probe, for Prometheus as the scheduler."""

import math

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.metrics import exposition
from exporter.reports import report_text
from exporter.reports.server_state import ServerState
from exporter.web.api.queries import ReportQueries, parse_flag, parse_server_name
from exporter.web.api.responses import handle_refusals, text_refusal, text_response

_TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
_MARGIN_SECONDS = 0.5  # of the scrape timeout, so that the response arrives in time
_SHORTEST_SECONDS = 0.1


def routes(queries: ReportQueries) -> list[Route]:
    """Return the route of `/probe`."""

    async def probe(request: Request) -> Response:
        name, debug = parse_server_name(request, "target"), parse_flag(request, "debug")
        state = await queries.probe_now(name, parse_timeout(request.headers.get(_TIMEOUT_HEADER)))
        if debug:
            return text_response(_debug_text(state))
        selection = exposition.Selection(disabled=frozenset(queries.config().metrics.disabled))
        scrape = exposition.expose_one(state, request.headers.get("accept"), selection)
        return Response(b"".join(scrape.chunks), headers={"Content-Type": scrape.content_type})

    return [Route("/probe", handle_refusals(probe, text_refusal))]


def parse_timeout(header: str | None) -> float:
    """Return how many seconds the probe may take: infinity if the header is missing or invalid."""
    try:
        seconds = float(header or math.inf)
    except ValueError:
        return math.inf
    return max(_SHORTEST_SECONDS, seconds - _MARGIN_SECONDS) if seconds > 0 else math.inf


def _debug_text(state: ServerState) -> str:
    """Return a description of every step as text, followed by the metrics."""
    assert state.report is not None
    text = b"".join(exposition.expose_one(state, None).chunks).decode()
    tree = report_text.render_plain(state.report, state.well_known_last_seen, state.watched.expected)
    return f"{tree}\n{text}"
