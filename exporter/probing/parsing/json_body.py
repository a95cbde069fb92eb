"""JSON from a remote: UTF-8, an object, bounded in depth by the parser and in size by the connection. Pure."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn, TypeAlias

from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable
from exporter.probing.evidence import HttpResponse

JsonObject: TypeAlias = Mapping[str, Any]
_EXCERPT_CHARACTERS = 60
MAX_CONTAINERS = 4096  # objects and arrays: the smallest take two bytes in the body, and a hundred times that in memory


def parse_object(answer: HttpResponse) -> JsonObject | Problem:
    """The JSON object in an answer of status 200."""
    if answer.status != 200:
        return Problem(Reason.HTTP_STATUS, f"status {answer.status}, expected 200")
    if answer.body.count(b"}") + answer.body.count(b"]") > MAX_CONTAINERS:
        return Problem(Reason.TOO_LARGE, f"more than {MAX_CONTAINERS} objects and arrays")
    try:
        content = json.loads(answer.body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return Problem(Reason.NOT_JSON, f"{printable(str(error), _EXCERPT_CHARACTERS)}, in {_excerpt(answer.body)}")
    if not isinstance(content, dict):
        return Problem(Reason.INVALID_CONTENT, f"a JSON object was expected, found {json_type(content)}")
    return content


def errcode(answer: HttpResponse) -> str | None:
    """The error code of a Matrix error, whatever the status; none where the answer is no such thing."""
    content = parse_object(replace(answer, status=200))
    code = None if isinstance(content, Problem) else content.get("errcode")
    return code if isinstance(code, str) else None


def _refuse_constant(constant: str) -> NoReturn:
    """Python reads NaN and Infinity, JSON (RFC 8259) has none."""
    raise ValueError(f"{constant} is no JSON")


def _excerpt(body: bytes) -> str:
    """The beginning of a body, to recognise it by."""
    return repr(body[:_EXCERPT_CHARACTERS].decode(errors="replace"))


def json_type(content: object) -> str:
    match content:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
