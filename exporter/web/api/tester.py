"""`/api/report` and `/api/federation-ok`, as the public federation tester has them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.judging import verdict
from exporter.model.report import Report
from exporter.reports.tester_json import nothing_known, tester_json
from exporter.web.api.queries import Asking, RefusedError, flag, server_name
from exporter.web.api.responses import in_json, in_text, or_refuse, refusal_in_text


def routes(asking: Asking) -> list[Route]:
    async def asked_for(request: Request) -> Report:
        name, fresh = server_name(request, "server_name"), flag(request, "fresh")
        standing = await (asking.fresh(name) if fresh else asking.latest(name))
        assert standing.report is not None
        return standing.report

    async def report(request: Request) -> Response:
        return in_json(tester_json(await asked_for(request)))

    async def federation_ok(request: Request) -> Response:
        """No line ends it, as scripts compare the whole."""
        return in_text("GOOD" if verdict.federates(await asked_for(request)) else "BAD")

    return [
        Route("/api/report", or_refuse(report, refusal_in_shape)),
        Route("/api/federation-ok", or_refuse(federation_ok, refusal_in_text)),
    ]


def refusal_in_shape(refused: RefusedError) -> Response:
    """The public tester's field for it, with a status of our own: a program that reads no status reads BAD."""
    return in_json(nothing_known(refused.sentence), refused.status)
