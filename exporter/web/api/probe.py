"""`/probe?target=NAME`, for Prometheus as the scheduler: a fresh probe, and the metrics of that one server."""

import math

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.metrics import exposition
from exporter.reports import report_text
from exporter.reports.server_state import Standing
from exporter.web.api.queries import Asking, flag, server_name
from exporter.web.api.responses import in_text, or_refuse, refusal_in_text

TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
MARGIN_SECONDS = 0.5  # of the scraper's timeout: the answer has to arrive in time
SHORTEST_SECONDS = 0.1


def routes(asking: Asking) -> list[Route]:
    async def probe(request: Request) -> Response:
        name, debug = server_name(request, "target"), flag(request, "debug")
        standing = await asking.fresh(name, patience(request.headers.get(TIMEOUT_HEADER)))
        if debug:
            return in_text(account(standing))
        answer = exposition.of_one(standing, request.headers.get("accept"))
        return Response(b"".join(answer.chunks), headers={"Content-Type": answer.content_type})

    return [Route("/probe", or_refuse(probe, refusal_in_text))]


def patience(header: str | None) -> float:
    """Seconds that the probe may take; without bound where the header is missing or makes no sense."""
    try:
        seconds = float(header or math.inf)
    except ValueError:
        return math.inf
    return max(SHORTEST_SECONDS, seconds - MARGIN_SECONDS) if seconds > 0 else math.inf


def account(standing: Standing) -> str:
    """Every step in words, and the metrics that were made of them."""
    assert standing.report is not None
    text = b"".join(exposition.of_one(standing, None).chunks).decode()
    return f"{report_text.plain(standing.report, standing.well_known_seen)}\n{text}"
