"""Which software a homeserver reports."""

import json

import pytest

from exporter.model.findings import Software
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing.attempt import Failure
from exporter.probing.evidence import HttpResponse
from exporter.probing.stages import version


def evaluate(content: object, status: int = 200) -> Software | Failure[Software]:
    return version.evaluate(HttpResponse(status, (), json.dumps(content).encode()))


@pytest.mark.parametrize(
    ("content", "software"),
    [
        ({"server": {"name": "Synapse", "version": "1.163.2"}}, Software("Synapse", "1.163.2")),
        ({"server": {"name": "Synapse"}, "more": 1}, Software("Synapse", None)),
        ({"server": {"version": "1"}}, Software(None, "1")),
        ({"server": {}}, Software(None, None)),
        ({"server": {"name": "", "version": ""}}, Software(None, None)),
        ({}, Software(None, None)),
        ({"server": {"name": "a\nb\x1b[0m", "version": "v" * 65}}, Software("a\ufffdb\ufffd[0m", "v" * 63 + "…")),
        ({"server": {"name": "\ud800"}}, Software("\ufffd", None)),
    ],
)
def test_parses_name_and_version(content: object, software: Software) -> None:
    """Both fields are optional. They are made printable, and cut to 64 characters."""
    assert evaluate(content) == software


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ({"server": "Synapse"}, "server should be an object, found a string"),
        ({"server": None}, "server should be an object, found null"),
        ({"server": {"name": 1}}, "server.name should be a string, found a number"),
        ({"server": {"version": ["1"]}}, "server.version should be a string, found an array"),
    ],
)
def test_names_the_field_that_is_wrong(content: object, detail: str) -> None:
    """The detail says what was expected and what was found."""
    assert evaluate(content) == Failure((Problem(Reason.INVALID_CONTENT, detail),))


def test_requires_status_200() -> None:
    """Any other status is a problem, no matter what the body says."""
    found = evaluate({}, 404)
    assert isinstance(found, Failure)
    assert [problem.reason for problem in found.problems] == [Reason.HTTP_STATUS]
