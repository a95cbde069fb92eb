"""`/api/v1/report`: what is known of a server, for programs; and the description of all of `/api`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.reports.report_json import standing_json
from exporter.web.api import openapi
from exporter.web.api.queries import Asking, flag, server_name
from exporter.web.api.responses import in_json, or_refuse, refusal_in_json


def routes(asking: Asking) -> list[Route]:
    async def report(request: Request) -> Response:
        name, fresh = server_name(request, "server_name"), flag(request, "fresh")
        standing = await (asking.fresh(name) if fresh else asking.latest(name))
        return in_json(standing_json(standing))

    async def description(_: Request) -> Response:
        return in_json(openapi.document())

    return [
        Route("/api/v1/report", or_refuse(report, refusal_in_json)),
        Route("/api/openapi.json", description),
    ]
