"""The site: all paths of the exporter, and their responses."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from exporter.config import dump
from exporter.history.history import History
from exporter.metrics import exposition
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.reports.board import Board
from exporter.web.api import lists, probe, report, tester
from exporter.web.api.queries import ReportQueries
from exporter.web.pages import assets, badge, feed, overview, references, rendering, servers

RELOAD_DISABLED = (
    "Reloading over HTTP is disabled: start the exporter with --web.enable-lifecycle, or send it SIGHUP.\n"
)
NOT_FOUND = "There is nothing at this path. The metrics are at /metrics.\n"


@dataclass(frozen=True, slots=True)
class SiteContext:
    """The parts of the exporter that the site shows or controls."""

    board: Board
    exporter_metrics: ExporterMetrics
    ready: Callable[[], bool]
    reload: Callable[[], Awaitable[Iterable[object]]] | None
    """Reloads the configuration, and returns the complaints if it is not applied. None if this is not allowed."""
    queries: ReportQueries
    history: History
    outage: Callable[[], str | None] = lambda: None
    """Returns why the exporter is offline, or None if it is not."""
    complaint: Callable[[], str | None] = lambda: None
    """Returns why the exporter is not healthy, or None if it is."""
    external_url: str = ""
    """The absolute URL of the site, with a slash at its end; empty if it is not known."""


def build_site(context: SiteContext) -> Starlette:
    """Return the ASGI application."""
    exposer = exposition.Exposer(context.board, context.exporter_metrics)

    async def metrics(request: Request) -> Response:
        accepted = (_join_header(request, "accept"), _join_header(request, "accept-encoding"))
        names = request.query_params.getlist("name[]")
        disabled = context.queries.config().metrics.disabled
        selection = exposition.Selection(frozenset(names) if names else None, frozenset(disabled))
        scrape = exposer.scrape(*accepted, selection)
        headers = {"Content-Type": scrape.content_type, "Vary": "Accept, Accept-Encoding"}
        if scrape.encoding:
            headers["Content-Encoding"] = scrape.encoding
        chunks = scrape.chunks if request.method == "GET" else iter(())
        return StreamingResponse(yield_to_event_loop(chunks), headers=headers)

    async def config(_: Request) -> Response:
        pieces = map(str.encode, dump(context.queries.config()))
        return StreamingResponse(yield_to_event_loop(pieces), media_type="text/plain")

    async def reload(_: Request) -> Response:
        if context.reload is None:
            return PlainTextResponse(RELOAD_DISABLED, HTTPStatus.FORBIDDEN)
        if complaints := await asyncio.shield(context.reload()):  # completes even if the client disconnects
            lines = ["The configuration was not applied:", *map(str, complaints), ""]
            return PlainTextResponse("\n".join(lines), HTTPStatus.INTERNAL_SERVER_ERROR)
        return PlainTextResponse("The configuration was reloaded.\n")

    application = Starlette(
        routes=[
            *overview.routes(context.board, context.queries, context.outage),
            *servers.routes(context.board, context.queries, context.history),
            *badge.routes(context.board, context.history),
            *feed.routes(context.board, context.history, context.external_url),
            *assets.routes(),
            *references.routes(),
            Route("/metrics", metrics),
            Route("/config", config),
            *_health_routes(context),
            Route("/-/reload", reload, methods=["POST"]),
            *probe.routes(context.queries),
            *report.routes(context.queries),
            *tester.routes(context.queries),
            *lists.routes(context.board, context.history),
        ],
        exception_handlers={HTTPStatus.NOT_FOUND: _not_found},
    )
    application.router.redirect_slashes = False
    return application


def _health_routes(context: SiteContext) -> tuple[Route, Route]:
    async def healthy(_: Request) -> Response:
        if complaint := context.complaint():
            return PlainTextResponse(f"The exporter is not healthy: {complaint}.\n", HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("The exporter is healthy.\n")

    async def ready(_: Request) -> Response:
        if context.ready():
            return PlainTextResponse("The exporter is ready.\n")
        not_ready = "The exporter is not ready: it is starting or stopping.\n"
        return PlainTextResponse(not_ready, HTTPStatus.SERVICE_UNAVAILABLE)

    return Route("/-/healthy", healthy), Route("/-/ready", ready)


def _join_header(request: Request, header: str) -> str | None:
    """Join all values of a header (RFC 9110, section 5.2). Return None if it is missing."""
    values = request.headers.getlist(header)
    return ", ".join(values) if values else None


async def yield_to_event_loop(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks, and let the event loop run after each of them: probes must not wait for a scrape."""
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)


async def _not_found(request: Request, _error: Exception) -> Response:
    """Return a page for people, and a sentence for programs."""
    if "text/html" in request.headers.get("accept", ""):
        sentence = "There is nothing at this path."
        return await rendering.respond(
            request, "refusal.html", HTTPStatus.NOT_FOUND, status=HTTPStatus.NOT_FOUND, sentence=sentence
        )
    return PlainTextResponse(NOT_FOUND, HTTPStatus.NOT_FOUND)
