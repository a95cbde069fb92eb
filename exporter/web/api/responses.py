"""Answers in JSON and in plain text, and how a refusal becomes one of them."""

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from exporter.web.api.queries import RefusedError

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


def json_response(content: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """In ASCII, so that whatever a remote server wrote can be encoded."""
    body = json.dumps(content, allow_nan=False, indent=2) + "\n"
    return Response(body, status, media_type="application/json")


def text_response(text: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return PlainTextResponse(text, status)


def json_refusal(refused: RefusedError) -> Response:
    return json_response({"error": refused.sentence}, refused.status)


def text_refusal(refused: RefusedError) -> Response:
    return text_response(f"{refused.sentence}\n", refused.status)


def handle_refusals(answer: Handler, refusal: Callable[[RefusedError], Response]) -> Handler:
    """`answer`, or else the refusal that it raised."""

    async def page(request: Request) -> Response:
        try:
            return await answer(request)
        except RefusedError as refused:
            response = refusal(refused)
            response.headers.update(refused.headers)
            return response

    return page
