"""`/api/report` and `/api/federation-ok`, which the public federation tester has too."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.judging import verdict
from exporter.model.report import Report
from exporter.reports.tester_json import error_report, tester_json
from exporter.web.api.queries import RefusedError, ReportQueries, parse_flag, parse_server_name
from exporter.web.api.responses import handle_refusals, json_response, text_refusal, text_response


def routes(queries: ReportQueries) -> list[Route]:
    """Return the routes of both."""

    async def requested_report(request: Request) -> Report:
        name, fresh = parse_server_name(request, "server_name"), parse_flag(request, "fresh")
        state = await (queries.probe_now(name) if fresh else queries.latest(name))
        assert state.report is not None
        return state.report

    async def report(request: Request) -> Response:
        return json_response(tester_json(await requested_report(request)))

    async def federation_ok(request: Request) -> Response:
        """There is no newline at the end, because scripts compare the whole body."""
        return text_response("GOOD" if verdict.federates(await requested_report(request)) else "BAD")

    return [
        Route("/api/report", handle_refusals(report, _tester_refusal)),
        Route("/api/federation-ok", handle_refusals(federation_ok, text_refusal)),
    ]


def _tester_refusal(error: RefusedError) -> Response:
    """Use the public tester's field for errors, and a status that it does not use.

    A program that does not read the status then sees `FederationOK: false`.
    """
    return json_response(error_report(error.sentence), error.status)
