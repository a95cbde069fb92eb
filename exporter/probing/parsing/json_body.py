"""JSON from a remote server: an object in UTF-8, bounded in depth by the parser and in size by the connection. Pure."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias

from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable

JsonObject: TypeAlias = Mapping[str, Any]
_MAX_COMPLAINT = 60  # characters
MAX_VALUES = 5000  # each takes up to two hundred bytes in memory, and two in the body
MAX_WIDE_BYTES = (
    64 * 1024
)  # of a body that is not only ASCII: a single character may make Python use four bytes for each
MAX_CONTAINERS = 4096  # objects and arrays: the smallest takes 2 bytes in the body, and a hundred times that in memory


def load_object(body: bytes) -> JsonObject | Problem:
    """Return the JSON object in a body, or the problem with it."""
    if excess := find_excess(body):
        return Problem(Reason.TOO_LARGE, excess)
    try:
        content = json.loads(body.decode(), parse_constant=reject_constant)
    except (ValueError, RecursionError) as error:
        return Problem(Reason.NOT_JSON, f"not JSON: {printable(str(error), _MAX_COMPLAINT)}")
    if not isinstance(content, dict):
        return Problem(Reason.INVALID_CONTENT, f"expected a JSON object, found {json_type(content)}")
    return content


def find_excess(body: bytes) -> str | None:
    """Return what would take far more memory than the bytes of a body, or None."""
    if body.count(b"}") + body.count(b"]") > MAX_CONTAINERS:
        return f"more than {MAX_CONTAINERS} objects and arrays"
    if body.count(b",") > MAX_VALUES:
        return f"more than {MAX_VALUES} values"
    if len(body) > MAX_WIDE_BYTES and not (body.isascii() and b"\\u" not in body):
        return f"more than {MAX_WIDE_BYTES} bytes with characters beyond ASCII"
    return None


def reject_constant(constant: str) -> NoReturn:
    """Reject NaN and Infinity, which Python parses but JSON (RFC 8259) does not have."""
    raise ValueError(f"{constant} is not JSON")


def json_type(content: object) -> str:
    """Return the JSON type of a parsed value, with its article."""
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
