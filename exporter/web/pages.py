"""Every address of the exporter, and what it answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from exporter.metrics import exposition
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.probing.connectivity import Outage
from exporter.reports.board import Board
from exporter.web import landing
from exporter.web.api import probe, report, tester
from exporter.web.api.queries import ReportQueries

RELOAD_IS_OFF = "Reloading over HTTP is off: start the exporter with --web.enable-lifecycle, or send it SIGHUP.\n"
NOTHING_HERE = "Nothing is here. The metrics are at /metrics.\n"


@dataclass(frozen=True, slots=True)
class SiteContext:
    """What is served."""

    board: Board
    exporter_metrics: ExporterMetrics
    ready: Callable[[], bool]
    reload: Callable[[], Awaitable[Iterable[object]]] | None
    """Returns the complaints about a configuration that is not put to use; none where that is not allowed."""
    queries: ReportQueries
    outage: Callable[[], Outage | None] = lambda: None
    """Why the exporter sees nothing."""


def build_site(exporter: SiteContext) -> Starlette:
    """The ASGI application."""

    async def front(_: Request) -> Response:
        page = landing.render(len(exporter.board.snapshot().states), exporter.outage())
        return HTMLResponse(page, headers=landing.HEADERS)

    async def metrics(request: Request) -> Response:
        asked = (_join_header(request, "accept"), _join_header(request, "accept-encoding"))
        answer = exposition.scrape(exporter.board, exporter.exporter_metrics, *asked)
        headers = {"Content-Type": answer.content_type, "Vary": "Accept, Accept-Encoding"}
        if answer.encoding:
            headers["Content-Encoding"] = answer.encoding
        chunks = answer.chunks if request.method == "GET" else iter(())
        return StreamingResponse(yield_between(chunks), headers=headers)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("The exporter is healthy.\n")

    async def ready(_: Request) -> Response:
        if exporter.ready():
            return PlainTextResponse("The exporter is ready.\n")
        return PlainTextResponse("The exporter is not ready: it starts or stops.\n", HTTPStatus.SERVICE_UNAVAILABLE)

    async def reload(_: Request) -> Response:
        if exporter.reload is None:
            return PlainTextResponse(RELOAD_IS_OFF, HTTPStatus.FORBIDDEN)
        if complaints := await asyncio.shield(exporter.reload()):  # not by halves, should the client leave
            lines = ["The configuration is not put to use:", *map(str, complaints), ""]
            return PlainTextResponse("\n".join(lines), HTTPStatus.INTERNAL_SERVER_ERROR)
        return PlainTextResponse("The configuration is reloaded.\n")

    application = Starlette(
        routes=[
            Route("/", front),
            Route("/metrics", metrics),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
            Route("/-/reload", reload, methods=["POST"]),
            *probe.routes(exporter.queries),
            *report.routes(exporter.queries),
            *tester.routes(exporter.queries),
        ],
        exception_handlers={HTTPStatus.NOT_FOUND: _not_found},
    )
    application.router.redirect_slashes = False
    return application


def _join_header(request: Request, header: str) -> str | None:
    """All values of a header, as RFC 9110, section 5.2, says; none where it is missing."""
    values = request.headers.getlist(header)
    return ", ".join(values) if values else None


async def yield_between(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """With a breath for the event loop after each: probes that run must not wait for a scrape."""
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)


async def _not_found(_: Request, _error: Exception) -> Response:
    return PlainTextResponse(NOTHING_HERE, HTTPStatus.NOT_FOUND)
