"""Responses as JSON and plain text, and refusals."""

import json
from http import HTTPStatus

import pytest
from starlette.requests import Request
from starlette.responses import Response

from exporter.web.api.queries import RefusedError
from exporter.web.api.responses import handle_refusals, json_refusal, json_response, text_refusal, text_response

REQUEST = Request({"type": "http", "headers": []})


def body_of(response: Response) -> str:
    return bytes(response.body).decode()


def test_json_is_ascii() -> None:
    """Text of remote servers may contain unpaired surrogates, which UTF-8 cannot encode."""
    content = {"text": "ü\ud800"}
    response = json_response(content)
    assert response.media_type == "application/json"
    assert body_of(response).isascii()
    assert json.loads(body_of(response)) == content


def test_json_has_no_nan() -> None:
    """It would not be valid JSON."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_response({"number": float("nan")})


async def test_a_refusal_becomes_a_response() -> None:
    """It has the status, the sentence and the headers of the error."""

    async def refuse(_: Request) -> Response:
        raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "Try again later.", retry_after=5.2)

    as_json = await handle_refusals(refuse, json_refusal)(REQUEST)
    as_text = await handle_refusals(refuse, text_refusal)(REQUEST)
    assert json.loads(body_of(as_json)) == {"error": "Try again later."}
    assert body_of(as_text) == "Try again later.\n"
    for response in (as_json, as_text):
        assert (response.status_code, response.headers["retry-after"]) == (429, "6")


async def test_other_responses_and_errors_are_unchanged() -> None:
    """Only refusals are handled."""
    response = text_response("text")

    async def respond(_: Request) -> Response:
        return response

    async def fail(_: Request) -> Response:
        raise KeyError("bug")

    assert await handle_refusals(respond, text_refusal)(REQUEST) is response
    with pytest.raises(KeyError):
        await handle_refusals(fail, text_refusal)(REQUEST)
