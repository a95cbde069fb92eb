"""`/api/v1/report`, the report about a server as JSON, and `/api/openapi.json`, the description of the API."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.reports.report_json import server_state_json
from exporter.web.api import openapi
from exporter.web.api.queries import ReportQueries, parse_flag, parse_server_name
from exporter.web.api.responses import handle_refusals, json_refusal, json_response


def routes(queries: ReportQueries) -> list[Route]:
    """Return the routes of both."""

    async def report(request: Request) -> Response:
        name, fresh = parse_server_name(request, "server_name"), parse_flag(request, "fresh")
        state = await (queries.probe_now(name) if fresh else queries.latest(name))
        return json_response(server_state_json(state))

    async def description(_: Request) -> Response:
        return json_response(openapi.document())

    return [
        Route("/api/v1/report", handle_refusals(report, json_refusal)),
        Route("/api/openapi.json", description),
    ]
