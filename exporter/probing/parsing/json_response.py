"""A response that should be a JSON object: the object, or who answered something else, and what. Pure."""

from exporter.model.outcomes import Problem, ResponseSummary, UnexpectedResponse
from exporter.model.reasons import Reason
from exporter.model.sanitize import excerpt, printable
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing import intermediaries, lenient_json
from exporter.probing.parsing.json_body import JsonObject, load_object

_MAX_ERRCODE_CHARACTERS = 60
_MAX_SERVER_CHARACTERS = 60
_MAX_BODY_CHARACTERS = 120
_MAX_ERROR_BYTES = 16 * 1024  # of an error, compressed or not; most take a hundred


def parse_object(response: HttpResponse) -> JsonObject | UnexpectedResponse:
    """Return the JSON object in a response of status 200, or the problem with it. Content-Type does not matter."""
    if not response.http_version.startswith("1."):
        unasked = f"HTTP/{response.http_version}, though HTTP/1.1 was requested"
        return _unexpected(Problem(Reason.HTTP_PROTOCOL, unasked), response)
    if response.status != 200:
        return _unexpected(Problem(Reason.HTTP_STATUS, f"status {response.status}, expected 200"), response)
    content = load_object(response.body)
    if not isinstance(content, Problem):
        return content
    if encoding := response.content_encoding:
        compressed = f"compressed ({printable(encoding, 20)}), although the request does not accept that"
        content = Problem(Reason.NOT_JSON, compressed)
    return _unexpected(content, response)


def _unexpected(problem: Problem, response: HttpResponse) -> UnexpectedResponse:
    seen = summarize(response)
    return UnexpectedResponse(problem.reason, "; ".join((problem.detail, *seen.origin)), seen)


def summarize(response: HttpResponse) -> ResponseSummary:
    """Return what shows who answered."""
    code = errcode(response)
    intermediary = None if code else intermediaries.find(response)
    origin = [f"from {intermediary}"] if intermediary else []
    if server := response.header("server"):
        origin.append(f"Server: {printable(server, _MAX_SERVER_CHARACTERS)}")
    if response.body and not response.content_encoding:
        origin.append(f"body: {excerpt(response.body, _MAX_BODY_CHARACTERS)}")
    shown = None if code is None else printable(code, _MAX_ERRCODE_CHARACTERS)
    return ResponseSummary(response.status, shown, intermediary, tuple(origin))


def errcode(response: HttpResponse) -> str | None:
    """Return the error code of a Matrix error of any status, or None if the response is something else."""
    if len(response.body) > _MAX_ERROR_BYTES:
        return None
    parsed = lenient_json.parse(response, _MAX_ERROR_BYTES)
    code = None if isinstance(parsed, str) else parsed.content.get("errcode")
    return code if isinstance(code, str) else None
