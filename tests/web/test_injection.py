"""Text of remote servers in every field of a report: no output turns it into anything but text."""

import asyncio
import io
import json
import logging
import re
import subprocess
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
import structlog
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from exporter.config import HostPort
from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.reports import report_text
from exporter.reports.board import Board
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from exporter.scheduling import probe_log
from exporter.web.listeners import bind, bound_address
from exporter.web.pages import rendering
from exporter.web.server import Server
from tests import sample_reports
from tests.programs import program
from tests.scrapes import board_of
from tests.web.pages.parsing import Page
from tests.web.serving import ANYWHERE, client_of, served

pytestmark = pytest.mark.lab

SCRIPT = '</style></script><script>fetch("/ran")</script><img src=/shown onerror=fetch("/ran")>'
HOSTILE = (
    '"} 1\n# TYPE evil counter\nevil{a="b"} 1\r\\" \\n \x00\x1b]0;evil\x07\x1b[2J\x9b2J\u202e\u2028\ud800'
    f"{SCRIPT}[bold red]x[/] :bomb: {{{{ .Values }}}} $(evil) level=info msg=evil"
)
NOT_REMOTE = {"fingerprint_sha256", "document"}  # created by the exporter: digits, and JSON


def poisoned(seen: Any) -> Any:
    """Replace every text that a remote server may have chosen by HOSTILE. Server names have a strict grammar."""
    match seen:
        case ServerName() | Enum():
            return seen
        case str():
            return HOSTILE
        case tuple():
            return tuple(map(poisoned, seen))
        case dict():
            return {poisoned(key): poisoned(value) for key, value in seen.items()}
        case _ if is_dataclass(seen) and not isinstance(seen, type):
            names = [field.name for field in fields(seen) if field.name not in NOT_REMOTE]
            return replace(seen, **{name: poisoned(getattr(seen, name)) for name in names})
    return seen


REPORTS: dict[str, Report] = {
    make.__name__: poisoned(make())
    for make in (
        sample_reports.delegated_by_well_known,
        sample_reports.behind_expired_certificate,
        sample_reports.with_deep_look,
        sample_reports.faults_in_deep_look,
        sample_reports.nothing_resolved,
        sample_reports.two_families,
    )
}
each_report = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)


def board(report: Report) -> Board:
    return board_of([sample_reports.watched_server(str(report.server_name))], report)


# ---------------------------------------------------------------- metrics


@each_report
def test_the_report_contains_hostile_text(report: Report) -> None:
    """Otherwise the other tests would prove nothing."""
    assert repr(report).count(repr(HOSTILE)[1:-1]) >= 3


@pytest.mark.system("promtool")
@each_report
async def test_metrics_have_no_additional_series(report: Report) -> None:
    """Families and labels are the usual ones, and each value is printable, in both formats."""
    async with served(board(report)) as address, client_of(address) as client:
        text = (await client.get("/metrics")).text
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        openmetrics = (await client.get("/metrics", headers=accept)).text
    for parsed in (text_families(text), openmetrics_families(openmetrics)):  # type: ignore[no-untyped-call]
        samples = [sample for family in parsed for sample in family.samples]
        assert not [
            sample for sample in samples if sample.name == "evil" or {"a", "level", "msg"} & sample.labels.keys()
        ]
        assert all(value.isprintable() for sample in samples for value in sample.labels.values())
    assert all(line.isprintable() for line in text.split("\n"))
    assert lint(text) == ""


def lint(text: str) -> str:
    """Return the complaints of Prometheus's own linter."""
    linter = [program("promtool"), "check", "metrics"]
    checked = subprocess.run(linter, input=text, capture_output=True, text=True, check=False)
    return checked.stdout + checked.stderr + ("" if checked.returncode == 0 else "failed")


# ---------------------------------------------------------------- pages, reports


@each_report
@pytest.mark.parametrize("path", ["/api/v1/report", "/api/report", "/api/federation-ok"])
async def test_reports_over_http_are_ascii(report: Report, path: str) -> None:
    """A browser never interprets them as a page."""
    async with served(board(report)) as address, client_of(address) as client:
        response = await client.get(path, params={"server_name": str(report.server_name)})
    assert (response.status_code, response.text.isascii()) == (200, True)
    assert response.headers["x-content-type-options"] == "nosniff"
    if path != "/api/federation-ok":
        assert response.headers["content-type"] == "application/json"
        assert any(HOSTILE in text for text in texts(json.loads(response.text)))


ALLOWED_TAGS = {
    *("html", "head", "meta", "title", "link", "body", "header", "nav", "main", "footer", "section", "article"),
    *(
        "h1",
        "h2",
        "h3",
        "p",
        "a",
        "b",
        "br",
        "span",
        "strong",
        "code",
        "pre",
        "time",
        "del",
        "ins",
        "figure",
        "figcaption",
    ),
    *("ul", "ol", "li", "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td", "div"),
    *("form", "label", "input", "select", "option", "button", "svg", "g", "rect", "img"),
}


@each_report
async def test_pages_contain_only_their_own_markup(report: Report) -> None:
    """Every text of a remote server stays a text, is printable, and is where nothing interprets it."""
    name = str(report.server_name)
    later = replace(report, ended_at=report.ended_at + timedelta(minutes=5), endpoints=poisoned(report.endpoints[:0]))
    async with served(board(report), reports=(report, later)) as address, client_of(address) as client:
        paths = ["/", f"/servers/{name}"]
        pages = {path: Page((await client.get(path)).text) for path in paths}
        incidents = [link for link in pages[paths[1]].links if "/incidents/" in link]
        pages |= {link: Page((await client.get(f"/servers/{link}")).text) for link in incidents}
    for path, page in pages.items():
        assert page.tags <= ALLOWED_TAGS, path
        assert not [attribute for attribute, _ in page.attributes if attribute.startswith("on") or attribute == "style"]
        assert all(link.startswith((".", name, "mailto:")) for link in page.links), path
        assert page.text.isprintable(), path
        assert page.title.isprintable(), path
    assert any(SCRIPT in page.text for page in pages.values())


def texts(found: Any) -> Iterator[str]:
    """Yield every string in a JSON value, including keys."""
    match found:
        case str():
            yield found
        case dict():
            yield from chain(found, *map(texts, found.values()))
        case list():
            yield from chain(*map(texts, found))


# ---------------------------------------------------------------- feeds, badges, lists

HAPPENED = (
    sample_reports.delegated_by_well_known(),
    replace(REPORTS["delegated_by_well_known"], ended_at=sample_reports.ENDED_AT + timedelta(minutes=1)),
    replace(REPORTS["nothing_resolved"], server_name=names.parse("example.org")),
)
"""A change from usual texts to hostile ones, and an incident for hostile reasons."""
NAMES = {"example.org", "gone.example.org", "expired.example.org"}


@pytest.mark.parametrize("path", ["/feed.atom", "/servers/example.org/feed.atom"])
async def test_feeds_contain_only_their_own_markup(path: str) -> None:
    """Every element is one of Atom's, each text is printable, and no link leads elsewhere."""
    async with served(board(HAPPENED[0]), reports=HAPPENED) as address, client_of(address) as client:
        response = await client.get(path)
    root = ET.fromstring(response.text)
    elements = {element.tag.partition("}")[2] for element in root.iter()}
    assert elements <= {"feed", "entry", "author", "name", "generator", *ATOM_TEXTS, "link"}
    assert all(line.isprintable() for text in root.itertext() for line in text.split("\n"))
    assert not [link for element in root.iter() if (link := element.get("href")) and ("//" in link or ":" in link)]
    assert "<script>" in "".join(root.itertext())  # as text


ATOM_TEXTS = {"id", "title", "updated", "published", "content"}


@each_report
@pytest.mark.parametrize("show", ["state", "uptime"])
async def test_badges_contain_no_text_of_a_server(report: Report, show: str) -> None:
    """Only the exporter's own words, whatever the server says."""
    async with served(board(report), reports=[report]) as address, client_of(address) as client:
        response = await client.get(f"/badge/{report.server_name}.svg", params={"show": show})
    assert {element.tag.partition("}")[2] for element in ET.fromstring(response.text).iter()} == {
        *("svg", "title", "rect", "path", "g", "text")
    }
    assert "evil" not in response.text


@pytest.mark.parametrize("path", ["servers", "incidents", "changes"])
async def test_lists_are_ascii(path: str) -> None:
    """A browser never interprets them as a page. Texts are printable."""
    async with served(board(HAPPENED[1]), reports=HAPPENED) as address, client_of(address) as client:
        response = await client.get(f"/api/v1/{path}")
    assert (response.status_code, response.text.isascii()) == (200, True)
    assert response.headers["content-type"] == "application/json"
    found = list(texts(response.json()))
    assert all(text.isprintable() for text in found)
    assert any("<script>" in text for text in found) is (path == "changes")


@pytest.mark.parametrize("path", ["/badge/{}.svg", "/servers/{}/feed.atom", "/runbooks/{}", "/api/v1/servers?state={}"])
async def test_what_a_request_says_is_text(path: str) -> None:
    """A link to the exporter may contain anything."""
    async with served(board(HAPPENED[0])) as address, client_of(address) as client:
        response = await client.get(path.format(quote(SCRIPT.replace("/", ""), safe="")))
    assert response.status_code in (400, 404)
    if "html" in response.headers["content-type"]:
        assert "<script" not in response.text
    else:
        assert response.headers["content-type"] in ("text/plain; charset=utf-8", "application/json")


@each_report
def test_text_for_people_is_printable(report: Report) -> None:
    """It contains no escape sequences except for the exporter's own colours, and no markup of rich."""
    text = report_text.render_plain(report)
    assert all(line.isprintable() for line in text.split("\n"))
    terminal = io.StringIO()
    Console(file=terminal, force_terminal=True, width=100, _environ={}).print(report_text.build_tree(report))
    without_colours = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert all(line.isprintable() for line in without_colours.split("\n"))


# ---------------------------------------------------------------- log


@pytest.mark.parametrize("form", LogFormat)
@each_report
def test_the_log_has_one_printable_line_per_event(report: Report, form: LogFormat) -> None:
    """A value cannot start another field."""
    lines = logged(lambda: probe_log.log_probe(None, report), form)
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 1 + len(list(probe_log.failures(report)))
    if form is LogFormat.JSON:
        assert {json.loads(line)["msg"] for line in lines} <= {"stage failed", "probe failed", "probe succeeded"}


def logged(log_events: Callable[[], None], form: LogFormat) -> list[str]:
    stream, handlers = io.StringIO(), logging.root.handlers[:]
    logging.root.handlers.clear()  # `configure` closes those that it finds
    try:
        logs.configure(LogLevel.DEBUG, form, stream)
        log_events()
    finally:
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
        logging.root.handlers[:] = handlers
    return stream.getvalue().removesuffix("\n").split("\n")


# ---------------------------------------------------------------- a real browser

QUIET = (  # no traffic except to the exporter
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


async def dom_of(url: str, folder: Path) -> str:
    """Return the page in Chromium after its scripts have run, if there are any."""
    options = ("--headless", "--no-sandbox", "--disable-gpu", *QUIET, f"--user-data-dir={folder}")
    arguments = (*options, "--virtual-time-budget=2000", "--dump-dom", url)
    browser = await asyncio.create_subprocess_exec(program("chromium"), *arguments, stdout=PIPE, stderr=DEVNULL)
    out, _ = await browser.communicate()
    return out.decode()


@asynccontextmanager
async def serving(page: Response) -> AsyncIterator[tuple[HostPort, list[str]]]:
    """Serve a page with the security headers; yield the address, and the list of requested paths."""
    requested: list[str] = []

    async def site(request: Request) -> Response:
        requested.append(request.url.path)
        return page

    sockets = bind([ANYWHERE])
    async with Server(Starlette(routes=[Route("/{path:path}", site)]), sockets):
        yield bound_address(sockets[0]), requested


UNESCAPED_PAGE = f"<!doctype html><title>x</title><p>{SCRIPT}<script>document.title = 'ran'</script>"


@pytest.mark.system("chromium")
@pytest.mark.parametrize(
    ("headers", "runs"),
    [({"Content-Security-Policy": "img-src 'self'"}, True), (rendering.HEADERS, False), ({}, False)],
    ids=["without the security headers", "page", "every response"],
)
async def test_no_script_runs(headers: dict[str, str], runs: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """The security headers prevent it even if a page is not escaped. A page may show the exporter's own images."""
    async with serving(HTMLResponse(UNESCAPED_PAGE, headers=headers)) as (address, requested):
        dom = await dom_of(f"http://{address}/", tmp_path)
    assert ("/ran" in requested, "<title>ran</title>" in dom) == (runs, runs)


@pytest.mark.system("chromium")
@pytest.mark.parametrize("media_type", ["text/plain", "application/json"])
async def test_text_is_not_interpreted_as_a_page(media_type: str, tmp_path: Path) -> None:
    """The text of a remote server looks like a page."""
    async with serving(Response(UNESCAPED_PAGE, media_type=media_type)) as (address, requested):
        dom = await dom_of(f"http://{address}/", tmp_path)
    assert "/ran" not in requested
    assert "&lt;script&gt;" in dom
