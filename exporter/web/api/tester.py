"""`/api/report` and `/api/federation-ok`, which the public federation tester has too."""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.judging import verdict
from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.sanitize import printable
from exporter.reports.tester_json import error_report, tester_json
from exporter.web.api.queries import RefusedError, ReportQueries, parse_flag
from exporter.web.api.responses import (
    Handler,
    allow_other_sites,
    handle_refusals,
    json_response,
    text_refusal,
    text_response,
)

_REPORT, _FEDERATION_OK = "/api/report", "/api/federation-ok"
OPEN_PATHS: Final = frozenset({_REPORT, _FEDERATION_OK})
"""The pages of all sites may read these."""

_MAX_SHOWN = 264  # characters of an invalid server name: some more than the longest valid one
_GOOD, _BAD = "GOOD", "BAD"  # without a newline, because scripts compare the whole body


class _InvalidNameError(RefusedError):
    """The parameter is missing or not a server name, which the public tester answers with the status 200."""


def routes(queries: ReportQueries) -> list[Route]:
    """Return the routes of both."""

    async def requested_report(request: Request) -> Report:
        name, fresh = _parse_server_name(request), parse_flag(request, "fresh")
        state = await (queries.probe_now(name) if fresh else queries.latest(name))
        assert state.report is not None
        return state.report

    async def report(request: Request) -> Response:
        complete = await queries.add_keys_behind_bad_certificates(await requested_report(request))
        return json_response(tester_json(complete))

    async def federation_ok(request: Request) -> Response:
        return text_response(_GOOD if verdict.federates(await requested_report(request)) else _BAD)

    return [
        _route(_REPORT, handle_refusals(report, _report_refusal)),
        _route(_FEDERATION_OK, handle_refusals(federation_ok, _federation_ok_refusal)),
    ]


def _route(path: str, handler: Handler) -> Route:
    return Route(path, allow_other_sites(handler), methods=["GET", "OPTIONS"])


def _parse_server_name(request: Request) -> ServerName:
    """Like the public tester, take the first of several, and an empty name if there is none."""
    given = request.query_params.getlist("server_name") or [""]
    try:
        return names.parse(given[0])
    except names.InvalidServerNameError as error:
        sentence = f"Invalid server name '{printable(given[0], _MAX_SHOWN)}'"
        raise _InvalidNameError(HTTPStatus.OK, sentence) from error


def _report_refusal(error: RefusedError) -> Response:
    """Use the public tester's field for errors and, unless the name is invalid, a status that it does not use.

    A program that does not read the status then sees `FederationOK: false`.
    """
    return json_response(error_report(error.sentence), error.status)


def _federation_ok_refusal(error: RefusedError) -> Response:
    return text_response(_BAD) if isinstance(error, _InvalidNameError) else text_refusal(error)
