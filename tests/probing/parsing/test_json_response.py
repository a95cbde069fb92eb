"""Responses that should be a JSON object, and who answers something else."""

import gzip
import json

import pytest

from exporter.model.outcomes import Intermediary, ResponseSummary, UnexpectedResponse
from exporter.model.reasons import Reason
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing.json_response import errcode, parse_object, summarize

UNASKED = "although the request does not accept that"
UNRECOGNIZED = json.dumps({"errcode": "M_UNRECOGNIZED"}).encode()


def response(body: bytes, status: int = 200, **headers: str) -> HttpResponse:
    return HttpResponse(status, tuple((name.replace("_", "-"), value) for name, value in headers.items()), body)


def rejected(seen: HttpResponse) -> tuple[Reason, str]:
    problem = parse_object(seen)
    assert isinstance(problem, UnexpectedResponse)
    assert problem.response == summarize(seen)
    return problem.reason, problem.detail


def test_an_object_is_returned() -> None:
    """Content-Type does not matter."""
    assert parse_object(response(b'{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize(("version", "reason"), [("1.0", None), ("1.2", None), ("2.0", Reason.HTTP_PROTOCOL)])
def test_a_response_of_another_version_is_a_problem(version: str, reason: Reason | None) -> None:
    """Some homeservers read it all the same."""
    parsed = parse_object(HttpResponse(200, (), b"{}", version))
    assert (parsed.reason if isinstance(parsed, UnexpectedResponse) else None) is reason


@pytest.mark.parametrize("status", [199, 201, 204, 301, 404, 500])
def test_requires_status_200(status: int) -> None:
    """Any other status is a problem, no matter what the body says."""
    assert rejected(response(b"{}", status)) == (Reason.HTTP_STATUS, f"status {status}, expected 200; body: {{}}")


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (response(b"", 502), (Reason.HTTP_STATUS, "status 502, expected 200")),
        (
            response(b"<html>\r\n  <h1>Bad\tGateway</h1>\x1b[0m", 502, server="nginx/1.24"),
            (Reason.HTTP_STATUS, "status 502, expected 200; Server: nginx/1.24; body: <html> <h1>Bad Gateway</h1>�[0m"),
        ),
        (
            response(b"<!doctype html>"),
            (Reason.NOT_JSON, "not JSON: Expecting value: line 1 column 1 (char 0); body: <!doctype html>"),
        ),
        (response(b"[]"), (Reason.INVALID_CONTENT, "expected a JSON object, found an array; body: []")),
        (
            response(gzip.compress(b"{}"), content_encoding="gzip"),
            (
                Reason.NOT_JSON,
                f"compressed (gzip), {UNASKED}; from a proxy that compresses (content-encoding: gzip)",
            ),
        ),
        (
            response(b"wait", 403, server="cloudflare", cf_mitigated="challenge"),
            (
                Reason.HTTP_STATUS,
                "status 403, expected 200; from Cloudflare (cf-mitigated: challenge); Server: cloudflare; body: wait",
            ),
        ),
    ],
)
def test_the_detail_says_who_answers(seen: HttpResponse, expected: tuple[Reason, str]) -> None:
    """An administrator can recognise the program, and the page."""
    assert rejected(seen) == expected


@pytest.mark.parametrize("text", ["x", "ü", "\N{GRINNING FACE}", "\n", "\x00", "\N{RIGHT-TO-LEFT OVERRIDE}"])
def test_what_is_shown_is_bounded_and_printable(text: str) -> None:
    """A remote server chose it."""
    seen = HttpResponse(403, (("server", text * 60_000),), (text * 16_000).encode())
    _, detail = rejected(seen)
    assert detail.isprintable()
    assert len(detail) < 300


def test_a_matrix_error_is_of_a_homeserver() -> None:
    """What passed it on does not answer in its place."""
    seen = response(UNRECOGNIZED, 403, server="cloudflare")
    assert summarize(seen) == ResponseSummary(
        403, "M_UNRECOGNIZED", None, ("Server: cloudflare", f"body: {UNRECOGNIZED.decode()}")
    )


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (response(UNRECOGNIZED, 404), "M_UNRECOGNIZED"),
        (response(gzip.compress(UNRECOGNIZED), 404, content_encoding="gzip"), "M_UNRECOGNIZED"),
        (response(gzip.compress(b" " * 1_000_000 + UNRECOGNIZED), 404, content_encoding="gzip"), None),
        (response(b"not gzip", 404, content_encoding="gzip"), None),
        (response(UNRECOGNIZED + b" " * 17_000, 404), None),
        (response(b'{"errcode": 1}', 404), None),
        (response(b"[]", 404), None),
        (response(b"<!doctype html>", 404), None),
    ],
    ids=["plain", "compressed", "bomb", "not compressed", "large", "a number", "an array", "a page"],
)
def test_only_a_homeserver_sends_an_errcode(seen: HttpResponse, code: str | None) -> None:
    """What a compressed one decompresses to is bounded."""
    assert errcode(seen) == code


@pytest.mark.parametrize(
    ("summary", "may_be"),
    [
        (ResponseSummary(403, None), True),
        (ResponseSummary(429, None), True),
        (ResponseSummary(503, None), True),
        (ResponseSummary(403, "M_FORBIDDEN"), False),
        (ResponseSummary(404, None), False),
        (ResponseSummary(200, None, Intermediary("Anubis", "set-cookie")), True),
    ],
)
def test_a_filter_answers_with_few_statuses(summary: ResponseSummary, *, may_be: bool) -> None:
    """Only then is it worth another look."""
    assert summary.may_be_of_filter is may_be
