"""The page of all servers."""

import re
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote, urlencode

import httpx
import pytest

from exporter.config import Config, Group
from exporter.config.settings import WebSettings
from exporter.model import names
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing.connectivity import Outage
from exporter.reports.board import Board
from exporter.web.api.queries import ReportQueries
from exporter.web.pages.overview import ROWS
from tests.sample_reports import (
    ENDED_AT,
    delegated_by_well_known,
    expired_certificate,
    watched_server,
    with_deep_look,
)
from tests.scrapes import board_of
from tests.web.pages.parsing import Page
from tests.web.serving import NO_RUNNER, get

BOARD = board_of(
    map(watched_server, ("example.org", "example.net", "expired.example.org", "new.example.org")),
    delegated_by_well_known("example.org"),
    replace(with_deep_look(Problem(Reason.BODY_LIMIT, "too small")), server_name=names.parse("example.net")),
    expired_certificate(),
    at=ENDED_AT + timedelta(minutes=2),
)


async def requested(path: str = "/", **parts: object) -> httpx.Response:
    return await get(path, **{"board": BOARD, **parts})  # type: ignore[arg-type] # as `served` takes them


async def page(path: str = "/", **parts: object) -> Page:
    response = await requested(path, **parts)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return Page(response.text)


async def listed(path: str, board: Board = BOARD) -> list[str]:
    """Return the names of the servers in the list, in its order."""
    text = (await requested(path, board=board)).text
    return re.findall(r'<a class="name" href="\./servers/([^"]*)"', text)


def large_board(servers: int) -> Board:
    return board_of(map(watched_server, (f"server-{number:05}.example.org" for number in range(servers))))


async def test_the_title_and_the_icon_tell_the_state() -> None:
    """A browser's tab shows them."""
    seen = await page()
    assert seen.title == "1 of 4 fail · Matrix federation"
    assert seen.icon.startswith("./static/none.svg?")
    assert "1 of 4 servers does not federate" in seen.text


@pytest.mark.parametrize(
    ("board", "title", "heading"),
    [
        (board_of(()), "0 servers · Matrix federation", "No server is watched yet"),
        (large_board(1), "1 server · Matrix federation", "Watching 1 server"),
        (
            board_of([watched_server("example.org")], delegated_by_well_known()),
            "1 server federates · Matrix federation",
            "The server federates",
        ),
    ],
    ids=["none", "without a result", "all federate"],
)
async def test_the_heading_is_a_sentence(board: Board, title: str, heading: str) -> None:
    """Whatever there is to say."""
    seen = await page(board=board)
    assert (seen.title, heading in seen.text) == (title, True)


async def test_a_row_tells_what_is_wrong_since_when_and_when_certificates_expire() -> None:
    """The result is two minutes old."""
    seen = await page("/?q=expired")
    assert "✗ fails expired.example.org tls certificate_expired 18:00 2 min expired 24 h ago 2 min ago" in seen.text


async def test_the_page_counts_the_servers_in_each_state() -> None:
    """A state without a server is not shown."""
    text = (await page()).text
    for words in ("✗ 1 do not federate", "! 1 federate in part", "✓ 1 federate", "\N{EN DASH} 1 have no result yet"):
        assert words in text
    assert "no result yet" not in (await page(board=board_of(()))).text


# ---------------------------------------------------------------- the filter


async def test_servers_that_fail_come_first() -> None:
    """Then those that federate in part, those without a result, and the rest."""
    assert await listed("/") == ["expired.example.org", "example.net", "new.example.org", "example.org"]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ("q=EXAMPLE.net", ["example.net"]),
        ("q=certificate_expired", ["expired.example.org"]),
        ("q=body_limit%20example.net", ["example.net"]),
        ("q=synapse", ["example.net", "example.org"]),
        ("q=nothing", []),
        ("state=full", ["example.org"]),
        ("state=unknown&q=new", ["new.example.org"]),
        ("sort=name", ["example.net", "example.org", "expired.example.org", "new.example.org"]),
        ("sort=expiry&q=example", ["expired.example.org", "example.net", "example.org", "new.example.org"]),
        ("q=&state=&sort=&page=&refresh=", ["expired.example.org", "example.net", "new.example.org", "example.org"]),
    ],
)
async def test_the_list_is_filtered_and_sorted(parameters: str, found: list[str]) -> None:
    """Every word must be part of the name, a stage, a reason, a warning or the software."""
    assert await listed(f"/?{parameters}") == found


HOSTILE = "<script>alert(1)</script>&\"'"
GROUPS = Config((Group(), Group("ours"), Group("others")))
LABELLED = board_of(
    [
        watched_server("a.example", labels=(("env", "prod"), ("team", "chat")), group="ours"),
        watched_server("b.example", labels=(("team", HOSTILE),), group="others"),
        watched_server("c.example"),
    ]
)


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ("group=ours", ["a.example"]),
        ("group=default", ["c.example"]),
        ("label=team%3Dchat", ["a.example"]),
        ("label=team%3Dchat&label=env%3Dprod", ["a.example"]),
        ("label=team%3Dchat&label=env%3Dtest", []),
        (f"label=team%3D{quote(HOSTILE)}", ["b.example"]),
        ("label=&group=", ["a.example", "b.example", "c.example"]),
    ],
)
async def test_servers_are_filtered_by_group_and_label(parameters: str, found: list[str]) -> None:
    """By the whole value."""
    assert await listed(f"/?{parameters}", LABELLED) == found


async def test_labels_lead_to_the_servers_that_have_them() -> None:
    """They are text, whatever a list elsewhere contains. The rest of the filter is kept."""
    queries = ReportQueries(LABELLED, NO_RUNNER, lambda: GROUPS)
    response = await requested("/?sort=name&group=others", board=LABELLED, queries=queries)
    seen = Page(response.text)
    assert f"b.example team={HOSTILE}" in seen.text
    assert "<script" not in response.text
    (link,) = [link for link in seen.links if "label=" in link]
    assert link == f"./?{urlencode({'group': 'others', 'label': f'team={HOSTILE}', 'sort': 'name'})}"
    assert await listed(link.removeprefix("."), LABELLED) == ["b.example"]
    assert '<option value="others" selected>' in response.text
    assert 'name="group"' not in (await requested(board=LABELLED)).text


async def test_the_form_keeps_what_was_entered() -> None:
    """It is escaped."""
    text = (await requested("/?q=%22%3E%3Cscript%3E&state=none&sort=name&refresh=60")).text
    assert 'value="&#34;&gt;&lt;script&gt;"' in text
    assert '<input type="hidden" name="state" value="none">' in text
    assert '<option value="name" selected>' in text
    assert '<input type="hidden" name="refresh" value="60">' in text


async def test_a_page_has_a_hundred_servers() -> None:
    """The others are on the next pages, and all pages keep the filter."""
    board = large_board(ROWS + 1)
    assert len(await listed("/?q=server", board)) == ROWS
    assert await listed("/?q=server&page=2", board) == [f"server-{ROWS:05}.example.org"]
    first, second = [await page(f"/?q=server&page={number}", board=board) for number in (1, 2)]
    assert "./?q=server&page=2" in first.links
    assert "./?q=server" in second.links
    assert "Page 2 of 2" in second.text


@pytest.mark.parametrize(
    ("parameters", "status", "sentence"),
    [
        ("state=broken", 400, "Expected state to be one of none, partial, unknown, full, found broken."),
        ("sort=<b>", 400, "Expected sort to be one of state, name, since, expiry, checked, found <b>."),
        ("page=0", 400, "Expected page to be a whole number from 1 to 1000000, found 0."),
        ("page=²", 400, "Expected page to be a whole number from 1 to 1000000, found ²."),
        ("page=7", 404, "There is no page 7: the list has 1."),
        ("refresh=1", 400, "Expected refresh to be a whole number from 5 to 3600, found 1."),
        ("label=team", 400, "Expected a label such as label=team=chat, found team."),
        ("&".join(["label=a=b"] * 17), 400, "Expected at most 16 parameters label, found 17."),
        ("q=a&q=b", 400, "Expected one parameter q, found 2."),
        (f"q={'a' * 301}", 400, "Expected at most 300 characters in q, found 301."),
    ],
)
async def test_wrong_parameters_are_explained(parameters: str, status: int, sentence: str) -> None:
    """By a page, with the status of the error."""
    response = await requested(f"/?{parameters}")
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert sentence in Page(response.text).text


# ---------------------------------------------------------------- refreshing, the own network


async def test_the_page_refreshes_only_on_request() -> None:
    """It can be paused, and keeps the filter."""
    quiet, refreshing = await page("/?q=example"), await page("/?q=example&refresh=30")
    assert ("http-equiv", "refresh") not in quiet.attributes
    assert "./?q=example&refresh=30" in quiet.links
    assert [each for each in refreshing.attributes if each in (("http-equiv", "refresh"), ("content", "30"))] == [
        ("http-equiv", "refresh"),
        ("content", "30"),
    ]
    assert "Refreshes every 30 s: pause" in refreshing.text
    assert "./?q=example" in refreshing.links


@pytest.mark.parametrize("outage", Outage)
async def test_the_page_shows_that_the_exporter_is_offline(outage: Outage) -> None:
    """It says why."""
    assert "Own network: ✓ up" in (await page()).text
    seen = await page(outage=lambda: outage)
    assert f"The exporter's own network is down, so it cannot probe servers: {outage}." in seen.text


async def test_old_results_are_marked() -> None:
    """The server should have been probed several times since."""
    board = board_of([watched_server("example.org")], delegated_by_well_known(), at=ENDED_AT + timedelta(hours=3))
    assert "3 h ago (stale)" in (await page(board=board)).text


# ---------------------------------------------------------------- links


async def test_every_link_works() -> None:
    """The exporter serves everything that the page links to or loads."""
    seen = await page("/?q=example")
    assert len(seen.links) > 10
    for link in seen.links:
        assert (await requested(link.removeprefix("."))).status_code == 200, link


@pytest.mark.parametrize("probe_any", [True, False])
async def test_any_server_can_be_probed_where_that_is_allowed(probe_any: bool) -> None:  # noqa: FBT001 - a case
    """The form leads to the page of the server."""
    config = Config(web=WebSettings(probe_any=probe_any))
    queries = ReportQueries(BOARD, NO_RUNNER, lambda: config)
    assert ("Any server" in (await page(queries=queries)).text) == probe_any
    response = await requested("/servers?server_name=[2001:db8::1]:8448", queries=queries)
    assert (response.status_code, response.headers["location"]) == (303, "servers/%5B2001%3Adb8%3A%3A1%5D%3A8448")
