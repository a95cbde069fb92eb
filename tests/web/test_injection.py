"""What remote servers write, in every text of a report: on no way out does it become anything but text."""

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
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Any

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
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.reports import report_text
from exporter.reports.board import Board
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from exporter.scheduling import probe_log
from exporter.web import landing
from exporter.web.listeners import bind, bound_address
from exporter.web.server import Server
from tests import sample_reports
from tests.programs import program
from tests.scrapes import board_of
from tests.web.serving import ANYWHERE, client_of, served

SCRIPT = '</style></script><script>fetch("/ran")</script><img src=/ran onerror=fetch("/ran")>'
HOSTILE = (
    '"} 1\n# TYPE evil counter\nevil{a="b"} 1\r\\" \\n \x00\x1b]0;evil\x07\x1b[2J\x9b2J\u202e\u2028\ud800'
    f"{SCRIPT}[bold red]x[/] :bomb: {{{{ .Values }}}} $(evil) level=info msg=evil"
)
OUR_OWN = {"fingerprint_sha256", "document"}  # made by us: digits, and JSON


def poisoned(seen: Any) -> Any:
    """With HOSTILE for every text that a remote server may have chosen; server names are bound to their grammar."""
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
            names = [field.name for field in fields(seen) if field.name not in OUR_OWN]
            return replace(seen, **{name: poisoned(getattr(seen, name)) for name in names})
    return seen


REPORTS: dict[str, Report] = {
    make.__name__: poisoned(make())
    for make in (
        sample_reports.delegated_by_well_known,
        sample_reports.expired_certificate,
        sample_reports.looked_at_deeply,
        sample_reports.looked_deep,
        sample_reports.nothing_resolved,
        sample_reports.two_families,
    )
}
each_report = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)


def board(report: Report) -> Board:
    return board_of([sample_reports.watched(str(report.server_name))], report)


# ---------------------------------------------------------------- metrics


@each_report
def test_poison_is_in_the_report(report: Report) -> None:
    """Or the rest of these tests would prove nothing."""
    assert repr(report).count(repr(HOSTILE)[1:-1]) >= 3


@pytest.mark.system("promtool")
@each_report
async def test_metrics(report: Report) -> None:
    """The same families and labels as ever, each value on one line and printable, in both formats."""
    async with served(board(report)) as place, client_of(place) as client:
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
    assert complaints(text) == ""


def complaints(text: str) -> str:
    """Of Prometheus's own linter."""
    linter = [program("promtool"), "check", "metrics"]
    checked = subprocess.run(linter, input=text, capture_output=True, text=True, check=False)
    return checked.stdout + checked.stderr + ("" if checked.returncode == 0 else "failed")


# ---------------------------------------------------------------- pages, reports


@each_report
@pytest.mark.parametrize("path", ["/api/v1/report", "/api/report", "/api/federation-ok"])
async def test_json(report: Report, path: str) -> None:
    """Whole and in ASCII, and never taken for a page."""
    async with served(board(report)) as place, client_of(place) as client:
        answer = await client.get(path, params={"server_name": str(report.server_name)})
    assert (answer.status_code, answer.text.isascii()) == (200, True)
    assert answer.headers["x-content-type-options"] == "nosniff"
    if path != "/api/federation-ok":
        assert answer.headers["content-type"] == "application/json"
        assert any(HOSTILE in text for text in texts(json.loads(answer.text)))


def texts(found: Any) -> Iterator[str]:
    """Every text in a JSON value, keys too."""
    match found:
        case str():
            yield found
        case dict():
            yield from chain(found, *map(texts, found.values()))
        case list():
            yield from chain(*map(texts, found))


@each_report
def test_text_for_people(report: Report) -> None:
    """Neither a terminal nor rich's markup finds anything to act on, but for the colours, which are ours."""
    text = report_text.render_plain(report)
    assert all(line.isprintable() for line in text.split("\n"))
    terminal = io.StringIO()
    Console(file=terminal, force_terminal=True, width=100, _environ={}).print(report_text.build_tree(report))
    colours_left_out = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert all(line.isprintable() for line in colours_left_out.split("\n"))


# ---------------------------------------------------------------- log


@pytest.mark.parametrize("form", LogFormat)
@each_report
def test_log(report: Report, form: LogFormat) -> None:
    """One line for each event, of printable characters; what stands in a value begins no field."""
    lines = logged(lambda: probe_log.log_probe(None, report), form)
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 1 + len(list(probe_log.failures(report)))
    if form is LogFormat.JSON:
        assert {json.loads(line)["msg"] for line in lines} <= {"stage failed", "probe failed", "probe succeeded"}


def logged(say: Callable[[], None], form: LogFormat) -> list[str]:
    stream, handlers = io.StringIO(), logging.root.handlers[:]
    logging.root.handlers.clear()  # `configure` closes those that it finds
    try:
        logs.configure(LogLevel.DEBUG, form, stream)
        say()
    finally:
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
        logging.root.handlers[:] = handlers
    return stream.getvalue().removesuffix("\n").split("\n")


# ---------------------------------------------------------------- a real browser

QUIET = (  # no traffic but to the exporter
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


async def shown(url: str, folder: Path) -> str:
    """The page as it stands in Chromium once its scripts have run, if there are any."""
    options = ("--headless", "--no-sandbox", "--disable-gpu", *QUIET, f"--user-data-dir={folder}")
    arguments = (*options, "--virtual-time-budget=2000", "--dump-dom", url)
    browser = await asyncio.create_subprocess_exec(program("chromium"), *arguments, stdout=PIPE, stderr=DEVNULL)
    out, _ = await browser.communicate()
    return out.decode()


@asynccontextmanager
async def serving(page: Response) -> AsyncIterator[tuple[HostPort, list[str]]]:
    """A page with the headers of every answer, and the paths that were asked for."""
    asked: list[str] = []

    async def site(request: Request) -> Response:
        asked.append(request.url.path)
        return page

    doors = bind([ANYWHERE])
    async with Server(Starlette(routes=[Route("/{path:path}", site)]), doors):
        yield bound_address(doors[0]), asked


PAGE_OF_A_FOOL = (
    f"<!doctype html><title>x</title><style>{landing.STYLE}</style><p>{SCRIPT}<script>document.title = 'ran'</script>"
)


@pytest.mark.system("chromium")
@pytest.mark.parametrize(
    ("headers", "runs"),
    [({"Content-Security-Policy": "img-src 'self'"}, True), (landing.HEADERS, False), ({}, False)],
    ids=["without our policy", "front page", "every answer"],
)
async def test_no_script_runs(headers: dict[str, str], runs: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """Not even where a page of ours forgot to escape something."""
    async with serving(HTMLResponse(PAGE_OF_A_FOOL, headers=headers)) as (place, asked):
        dom = await shown(f"http://{place}/", tmp_path)
    assert ("/ran" in asked, "<title>ran</title>" in dom) == (runs, runs)


@pytest.mark.system("chromium")
@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
async def test_text_is_no_page(kind: str, tmp_path: Path) -> None:
    """Though it holds one, in the words of a remote server."""
    async with serving(Response(PAGE_OF_A_FOOL, media_type=kind)) as (place, asked):
        dom = await shown(f"http://{place}/", tmp_path)
    assert "/ran" not in asked
    assert "&lt;script&gt;" in dom


@pytest.mark.system("chromium")
async def test_front_page_keeps_its_style(tmp_path: Path) -> None:
    """The policy knows it: what a script measures is what the style says."""
    measure = "<script>document.title = getComputedStyle(document.querySelector('dl')).display</script>"
    policy = f"{landing.HEADERS['Content-Security-Policy']}; script-src 'unsafe-inline'"
    page = HTMLResponse(
        landing.render(1).replace("</body>", f"{measure}</body>"), headers={"Content-Security-Policy": policy}
    )
    async with serving(page) as (place, _):
        assert "<title>grid</title>" in await shown(f"http://{place}/", tmp_path)
