"""`/probe?target=NAME`, for Prometheus as the scheduler: a fresh probe, and the metrics of that one server."""

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
_MARGIN_SECONDS = 0.5  # of the scraper's timeout: the answer has to arrive in time
_SHORTEST_SECONDS = 0.1


def routes(queries: ReportQueries) -> list[Route]:
    async def probe(request: Request) -> Response:
        name, debug = parse_server_name(request, "target"), parse_flag(request, "debug")
        state = await queries.probe_now(name, parse_timeout(request.headers.get(_TIMEOUT_HEADER)))
        if debug:
            return text_response(_debug_text(state))
        answer = exposition.expose_one(state, request.headers.get("accept"))
        return Response(b"".join(answer.chunks), headers={"Content-Type": answer.content_type})

    return [Route("/probe", handle_refusals(probe, text_refusal))]


def parse_timeout(header: str | None) -> float:
    """Seconds that the probe may take; without bound where the header is missing or makes no sense."""
    try:
        seconds = float(header or math.inf)
    except ValueError:
        return math.inf
    return max(_SHORTEST_SECONDS, seconds - _MARGIN_SECONDS) if seconds > 0 else math.inf


def _debug_text(state: ServerState) -> str:
    """Every step in words, and the metrics that were made of them."""
    assert state.report is not None
    text = b"".join(exposition.expose_one(state, None).chunks).decode()
    return f"{report_text.render_plain(state.report, state.well_known_last_seen)}\n{text}"
