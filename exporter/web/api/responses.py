"""Responses as JSON and as plain text, and how a refusal becomes one of them."""

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from exporter.web.api.queries import RefusedError

_CORS_HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Origin, X-Requested-With, Content-Type, Accept",
}
"""Those of the public federation tester, so that web pages written for it can read the exporter too."""

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


def json_response(
    content: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK, *, indent: int | None = 2
) -> Response:
    """Return a response in ASCII, which can represent any text of a remote server, even unpaired surrogates.

    Without `indent`, everything is on one line, and written several times as fast.
    """
    body = json.dumps(content, allow_nan=False, indent=indent) + "\n"
    return Response(body, status, media_type="application/json")


def text_response(text: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return PlainTextResponse(text, status)


def json_refusal(error: RefusedError) -> Response:
    return json_response({"error": error.sentence}, error.status)


def text_refusal(error: RefusedError) -> Response:
    return text_response(f"{error.sentence}\n", error.status)


def allow_other_sites(handler: Handler) -> Handler:
    """Return a handler whose responses the pages of all sites may read, and which answers their preflight requests."""

    async def handle(request: Request) -> Response:
        response = Response() if request.method == "OPTIONS" else await handler(request)
        response.headers.update(_CORS_HEADERS)
        return response

    return handle


def handle_refusals(handler: Handler, refusal: Callable[[RefusedError], Response]) -> Handler:
    """Return a handler that turns a RefusedError of `handler` into the response that `refusal` makes of it."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except RefusedError as error:
            response = refusal(error)
            response.headers.update(error.headers)
            return response

    return handle
