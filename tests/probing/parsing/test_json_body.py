"""JSON from remote servers."""

import pytest

from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing.parsing.json_body import (
    MAX_CONTAINERS,
    MAX_VALUES,
    MAX_WIDE_BYTES,
    json_type,
    load_object,
)


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"{}", {}),
        (b' \r\n\t{"a": [1, {"b": null}]} ', {"a": [1, {"b": None}]}),
        ('{"name": "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher"}'.encode(), {"name": "bücher"}),
        (rb'{"half": "\ud800"}', {"half": "\ud800"}),
    ],
)
def test_parses_an_object(body: bytes, content: dict[str, object]) -> None:
    """Content-Type does not matter. Half of a surrogate pair is valid JSON, which callers have to expect."""
    assert load_object(body) == content


@pytest.mark.parametrize("smallest", [b"{}", b"[]"])
def test_the_number_of_objects_and_arrays_is_bounded(smallest: bytes) -> None:
    """In memory they are far larger than in the body."""
    body = b'{"a": [' + b",".join([smallest] * (MAX_CONTAINERS - 2)) + b"]}"
    assert isinstance(load_object(body), dict)
    one_more = body.replace(b"]}", b"," + smallest + b"]}")
    assert load_object(one_more) == Problem(Reason.TOO_LARGE, f"more than {MAX_CONTAINERS} objects and arrays")


def test_the_number_of_values_is_bounded() -> None:
    """Each may take two hundred bytes in memory."""
    body = b'{"a": [' + b",".join([b"0"] * (MAX_VALUES + 1)) + b"]}"
    assert isinstance(load_object(body), dict)
    one_more = body.replace(b"]}", b",0]}")
    assert load_object(one_more) == Problem(Reason.TOO_LARGE, f"more than {MAX_VALUES} values")


@pytest.mark.parametrize("character", ["\N{GRINNING FACE}", r"\ud83d\ude00"])
def test_large_bodies_must_be_ascii(character: str) -> None:
    """A single character beyond it may make Python use four bytes for each."""
    start = f'{{"a": "{character}'.encode()
    bodies = [start + b"x" * (length - len(start) - 2) + b'"}' for length in (MAX_WIDE_BYTES, MAX_WIDE_BYTES + 1)]
    assert isinstance(load_object(bodies[0]), dict)
    problem = Problem(Reason.TOO_LARGE, f"more than {MAX_WIDE_BYTES} bytes with characters beyond ASCII")
    assert load_object(bodies[1]) == problem


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
def test_rejects_everything_else(body: bytes) -> None:
    """A byte order mark, other encodings and what only Python accepts are not JSON. The parser bounds the depth."""
    problem = load_object(body)
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.NOT_JSON
    assert problem.detail.isprintable()
    assert len(problem.detail) < 300


@pytest.mark.parametrize(
    ("body", "json_type"),
    [
        (b"null", "null"),
        (b"true", "a boolean"),
        (b"1", "a number"),
        (b"1.5", "a number"),
        (b'"{}"', "a string"),
        (b"[{}]", "an array"),
    ],
)
def test_rejects_other_json(body: bytes, json_type: str) -> None:
    """The detail says what was found."""
    expected = Problem(Reason.INVALID_CONTENT, f"expected a JSON object, found {json_type}")
    assert load_object(body) == expected


def test_an_object_is_a_json_type_too() -> None:
    """Callers may expect something else than an object."""
    assert json_type({}) == "an object"
