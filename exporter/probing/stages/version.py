"""Stage `version`: which software responds (server-server API, 1.1, "GET /_matrix/federation/v1/version"). Pure."""

from exporter.model.findings import Software
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable
from exporter.probing.attempt import Failure
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing.json_body import json_type
from exporter.probing.parsing.json_response import parse_object

PATH = "/_matrix/federation/v1/version"
MAX_BYTES = 16 * 1024
MAX_CHARACTERS = 64  # of a name or version that is kept


def evaluate(response: HttpResponse) -> Software | Failure[Software]:
    """Return the software's name and version. Both are optional in the specification."""
    content = parse_object(response)
    if isinstance(content, Problem):
        return Failure((content,))
    server = content.get("server", {})
    if not isinstance(server, dict):
        return Failure((_wrong_type("server", "an object", server),))
    for field in ("name", "version"):
        if not isinstance(server.get(field, ""), str):
            return Failure((_wrong_type(f"server.{field}", "a string", server[field]),))
    return Software(_sanitize_field(server.get("name")), _sanitize_field(server.get("version")))


def _sanitize_field(text: str | None) -> str | None:
    return printable(text, MAX_CHARACTERS) if text else None


def _wrong_type(field: str, expected: str, value: object) -> Problem:
    return Problem(Reason.INVALID_CONTENT, f"{field} should be {expected}, found {json_type(value)}")
