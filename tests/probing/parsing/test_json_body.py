import pytest

from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing.json_body import MAX_CONTAINERS, errcode, json_type, parse_object


def answer(body: bytes, status: int = 200) -> HttpResponse:
    return HttpResponse(status, (), body)


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"{}", {}),
        (b' \r\n\t{"a": [1, {"b": null}]} ', {"a": [1, {"b": None}]}),
        ('{"name": "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher"}'.encode(), {"name": "bücher"}),
        (rb'{"half": "\ud800"}', {"half": "\ud800"}),
    ],
)
def test_reads_an_object(body: bytes, content: dict[str, object]) -> None:
    """Whatever the Content-Type says. Half of a surrogate pair is JSON, and left to whoever reads the field."""
    assert parse_object(answer(body)) == content


@pytest.mark.parametrize("smallest", [b"{}", b"[]"])
def test_takes_so_many_objects_and_arrays_and_no_more(smallest: bytes) -> None:
    """In memory they are far larger than their bytes."""
    body = b'{"a": [' + b",".join([smallest] * (MAX_CONTAINERS - 2)) + b"]}"
    assert isinstance(parse_object(answer(body)), dict)
    one_more = body.replace(b"]}", b"," + smallest + b"]}")
    assert parse_object(answer(one_more)) == Problem(Reason.TOO_LARGE, f"more than {MAX_CONTAINERS} objects and arrays")


@pytest.mark.parametrize("status", [199, 201, 204, 301, 404, 500])
def test_takes_status_200_only(status: int) -> None:
    assert parse_object(answer(b"{}", status)) == Problem(Reason.HTTP_STATUS, f"status {status}, expected 200")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"<!doctype html>",
        b'{"a": NaN}',
        b'{"a": [-Infinity]}',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} {}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": "bücher"}'.encode("latin-1"),
        b'{"a": "\x00"}',
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_everything_else_is_no_json(body: bytes) -> None:
    """A byte order mark, other encodings and what only Python reads included; depth is bounded by the parser."""
    problem = parse_object(answer(body))
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.NOT_JSON
    assert problem.detail.isprintable()
    assert len(problem.detail) < 300


def test_says_what_is_wrong_and_where() -> None:
    """With the beginning of the body, to recognise it by."""
    expected = Problem(Reason.NOT_JSON, "Expecting value: line 1 column 1 (char 0), in '<!doctype html>'")
    assert parse_object(answer(b"<!doctype html>")) == expected


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"null", "null"),
        (b"true", "a boolean"),
        (b"1", "a number"),
        (b"1.5", "a number"),
        (b'"{}"', "a string"),
        (b"[{}]", "an array"),
    ],
)
def test_other_json_is_named(body: bytes, kind: str) -> None:
    expected = Problem(Reason.INVALID_CONTENT, f"a JSON object was expected, found {kind}")
    assert parse_object(answer(body)) == expected


def test_an_object_has_a_name_too() -> None:
    assert json_type({}) == "an object"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"errcode": "M_FORBIDDEN"}', "M_FORBIDDEN"),
        (b'{"errcode": ["M_FORBIDDEN"]}', None),
        (b'{"errcode": 7}', None),
        (b'{"error": "a sentence"}', None),
        (b"not JSON", None),
    ],
)
def test_the_code_of_an_error_is_text_or_none(body: bytes, code: str | None) -> None:
    assert errcode(answer(body, 403)) == code
