"""The lists of servers, incidents and changes as JSON."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from starlette.responses import Response

from exporter.model import names
from exporter.model.findings import Software
from exporter.model.outcomes import Passed
from exporter.model.report import Report
from exporter.reports.board import Board
from exporter.web.api import lists, openapi
from exporter.web.api.lists import MAX_LIMIT
from exporter.web.api.responses import json_response
from tests.sample_reports import (
    delegated_by_well_known,
    expired_certificate,
    watched_server,
    with_deep_look,
    with_endpoints,
)
from tests.scrapes import board_of
from tests.web.api.test_openapi import closed
from tests.web.serving import client_of, served

DOCUMENT = openapi.document()
MINUTE = timedelta(minutes=1)


def renamed(report: Report, server_name: str, minutes: float = 0) -> Report:
    """Return the report of another server, of some minutes later."""
    return replace(report, server_name=names.parse(server_name), ended_at=report.ended_at + minutes * MINUTE)


def with_software(report: Report, version: str) -> Report:
    software = Passed(0.03, Software("Synapse", version))
    return replace(report, endpoints=tuple(replace(endpoint, version=software) for endpoint in report.endpoints))


BOARD = board_of(
    [
        watched_server("d.test"),
        watched_server("b.test", labels=(("env", "prod"), ("team", "chat")), group="ours"),
        watched_server("c.test", labels=(("team", "chat"),)),
        watched_server("a.test", group="ours"),
        watched_server("e.test"),
    ],
    renamed(delegated_by_well_known(), "a.test"),
    renamed(expired_certificate(), "b.test"),
    renamed(delegated_by_well_known(), "c.test"),
    renamed(with_deep_look(), "e.test"),
)
GOOD, BAD = delegated_by_well_known(), replace(expired_certificate(), server_name=names.parse("example.org"))
HAPPENED = (
    GOOD,
    renamed(BAD, "example.org", 1),
    renamed(with_endpoints(), "example.org", 2),
    renamed(with_software(GOOD, "2.0"), "example.org", 3),
    renamed(GOOD, "other.test", 4),
    renamed(BAD, "other.test", 5),
)


async def get(
    path: str, reports: Iterable[Report] = HAPPENED, board: Board = BOARD, **parameters: object
) -> httpx.Response:
    async with served(board, reports=reports) as address, client_of(address) as client:
        given = {name: value if isinstance(value, list) else str(value) for name, value in parameters.items()}
        return await client.get(path, params=given)


async def read(path: str, **parameters: Any) -> Any:
    """Return the JSON of a list, which must match its schema."""
    response = await get(path, **parameters)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    content = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    whole = {**closed(content), "components": closed(DOCUMENT["components"])}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(response.json())
    return response.json()


async def listed(**parameters: Any) -> list[str]:
    return [server["server_name"] for server in (await read("/api/v1/servers", **parameters))["servers"]]


# ---------------------------------------------------------------- servers


async def test_servers_are_listed_by_name() -> None:
    """Those without a result are part of the list."""
    found = await read("/api/v1/servers")
    assert [(server["server_name"], server["state"]) for server in found["servers"]] == [
        ("a.test", "full"),
        ("b.test", "none"),
        ("c.test", "full"),
        ("d.test", "unknown"),
        ("e.test", "full"),
    ]
    assert (found["count"], found["following_after"]) == (5, None)


async def test_a_server_has_what_a_list_needs() -> None:
    """Causes come with their stage, and dates are in UTC."""
    _, failing, *_ = (await read("/api/v1/servers"))["servers"]
    assert failing == {
        "server_name": "b.test",
        "group": "ours",
        "labels": {"env": "prod", "team": "chat"},
        "state": "none",
        "since": "2026-11-22T18:00:00Z",
        "checked_at": "2026-11-22T18:00:00Z",
        "stale": False,
        "exporter_offline": False,
        "causes": [{"stage": "tls", "reason": "certificate_expired"}],
        "warnings": [],
        "first_expiry": "2026-11-21T18:00:00Z",
    }


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"state": "none"}, ["b.test"]),
        ({"state": "unknown"}, ["d.test"]),
        ({"q": "certificate_expired"}, ["b.test"]),
        ({"q": "synapse", "state": "full"}, ["a.test", "c.test", "e.test"]),
        ({"q": "A.TEST"}, ["a.test"]),
        ({"group": "ours"}, ["a.test", "b.test"]),
        ({"group": "our"}, []),
        ({"label": "team=chat"}, ["b.test", "c.test"]),
        ({"label": ["team=chat", "env=prod"]}, ["b.test"]),
        ({"label": "team=chat", "group": "ours", "state": "none"}, ["b.test"]),
        ({"label": "team=cha"}, []),
        ({"label": ""}, ["a.test", "b.test", "c.test", "d.test", "e.test"]),
        ({"q": "nothing"}, []),
        ({"limit": 2}, ["a.test", "b.test"]),
        ({"after": "c.test"}, ["d.test", "e.test"]),
        ({"after": "b", "limit": 1}, ["b.test"]),
        ({"after": "zzz"}, []),
    ],
)
async def test_a_list_is_filtered(parameters: dict[str, object], names: list[str]) -> None:
    assert await listed(**parameters) == names


async def test_pages_follow_each_other_whatever_changes_in_between() -> None:
    """No server is missing or listed twice, although one is removed and another one changes its state."""
    first = await read("/api/v1/servers", limit=2)
    assert (first["following_after"], first["count"]) == ("b.test", 5)
    later = board_of(map(watched_server, ("d.test", "c.test", "a.test", "e.test")), renamed(BAD, "a.test"))
    second = await read("/api/v1/servers", board=later, limit=2, after=first["following_after"])
    assert [server["server_name"] for server in second["servers"]] == ["c.test", "d.test"]
    third = await read("/api/v1/servers", board=later, limit=2, after=second["following_after"])
    assert ([server["server_name"] for server in third["servers"]], third["following_after"]) == (["e.test"], None)


# ---------------------------------------------------------------- incidents and changes


async def test_incidents_are_listed_with_their_phases() -> None:
    """The newest is the first; its end is null while it lasts."""
    found = await read("/api/v1/incidents")
    assert [(each["server_name"], each["began"], each["ended"]) for each in found["incidents"]] == [
        ("other.test", "2026-11-22T18:05:00Z", None),
        ("example.org", "2026-11-22T18:01:00Z", "2026-11-22T18:03:00Z"),
    ]
    (first, *_) = found["incidents"][1]["phases"]
    assert first == {
        "since": "2026-11-22T18:01:00Z",
        "federation": "none",
        "problems": [
            {"stage": "tls", "reason": "certificate_expired", "broken_endpoints": 1, "endpoints": 1},
        ],
    }
    assert found["more"] is False


async def test_changes_are_listed_with_before_and_after() -> None:
    found = await read("/api/v1/changes", server_name="example.org")
    software = next(change for change in found["changes"] if change["subject"] == "software")
    assert software == {
        "server_name": "example.org",
        "at": "2026-11-22T18:03:00Z",
        "subject": "software",
        "before": "Synapse 1.163.2",
        "after": "Synapse 2.0",
    }


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"server_name": "example.org"}, ["example.org"]),
        ({"server_name": "unknown.test"}, []),
        ({"limit": 1}, ["other.test"]),
        ({"since": "2026-11-22T18:04:00Z"}, ["other.test"]),
        ({"since": "2026-11-22T18:03:00Z"}, ["other.test", "example.org"]),
        ({"since": "2026-11-22T20:03:00+02:00"}, ["other.test", "example.org"]),
        ({"since": "0001-01-01T00:00:00+00:00"}, ["other.test", "example.org"]),
    ],
)
async def test_incidents_are_filtered(parameters: dict[str, object], names: list[str]) -> None:
    """Those that lasted at `since` are among them."""
    found = await read("/api/v1/incidents", **parameters)
    assert [each["server_name"] for each in found["incidents"]] == names
    assert found["more"] is ("limit" in parameters)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("path", "parameters", "sentence"),
    [
        ("servers", {"limit": 0}, f"Expected limit to be a whole number from 1 to {MAX_LIMIT}, found 0."),
        ("servers", {"limit": MAX_LIMIT + 1}, f"from 1 to {MAX_LIMIT}, found {MAX_LIMIT + 1}."),
        ("servers", {"limit": "\u0663"}, "found \u0663."),
        ("servers", {"state": "broken"}, "Expected state to be one of none, partial, unknown, full, found broken."),
        ("servers", {"q": "x" * 301}, "Expected at most 300 characters in q, found 301."),
        ("incidents", {"server_name": "https://a"}, "'https://a' is not a server name: this is a URL"),
        ("incidents", {"limit": "all"}, "found all."),
        (
            "incidents",
            {"since": "yesterday"},
            "Expected since to be a time such as 2026-11-28T02:13:00Z, found yesterday.",
        ),
        ("changes", {"since": "2026-11-28T02:13:00"}, "Expected since to be a time such as"),
        ("changes", {"since": "0001-01-01T00:00:00+23:59"}, "Expected since to be a time such as"),
        ("changes", {"since": "<script>\x00"}, "found <script>\N{REPLACEMENT CHARACTER}."),
    ],
)
async def test_a_bad_parameter_gets_a_sentence(path: str, parameters: dict[str, Any], sentence: str) -> None:
    """It says what was expected, and what was found."""
    response = await get(f"/api/v1/{path}", **parameters)
    assert response.status_code == 400
    assert sentence in response.json()["error"]


async def test_a_parameter_must_not_be_given_twice() -> None:
    async with served(BOARD) as address, client_of(address) as client:
        response = await client.get("/api/v1/servers?limit=1&limit=2")
    assert (response.status_code, response.json()["error"]) == (400, "Expected one parameter limit, found 2.")


# ---------------------------------------------------------------- many servers


@pytest.mark.parametrize("path", ["servers", "incidents", "changes"])
async def test_a_list_is_written_by_a_thread(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have a thousand entries of 20,000 servers: the event loop goes on meanwhile."""
    threads = []

    def write(content: Mapping[str, Any], **options: Any) -> Response:
        threads.append(threading.current_thread())
        return json_response(content, **options)

    monkeypatch.setattr(lists, "json_response", write)
    assert (await get(f"/api/v1/{path}")).status_code == 200
    assert len(threads) == 1
    assert threads != [threading.main_thread()]
