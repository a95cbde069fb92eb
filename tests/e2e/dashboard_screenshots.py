"""Takes the screenshots of the dashboards for the documentation: `make screenshots`.

A real Prometheus scrapes the exporter, which probes the servers of `demo`. Their past is made up, as that of the pages:
promtool writes it into the database of Prometheus before it starts.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Final

from exporter.app import App
from exporter.demo.both_ways.joining import join
from exporter.demo.federation import SERVERS, Federation
from exporter.demo.story import STORY_SERVER
from exporter.metrics.exposition import render_lines
from exporter.model.report import Report
from exporter.reports.board import Board
from tests.e2e.browser import SCHEMES, Screen, chromium
from tests.e2e.drawing import WIDTH, Drawing, DrawnDashboard, View, drawing_page
from tests.e2e.lab_exporter import running
from tests.e2e.monitoring import SHIPPED_RULES
from tests.e2e.scraping import JOB, Prometheus, prometheus
from tests.e2e.screenshots import FOLDER, STORY, made_up_reports
from tests.embedded_federation import write_config
from tests.grafana.dashboards import ALL
from tests.programs import program
from tests.sample_reports import watched_server
from tests.scrapes import samples_of, text_of
from tests.waiting import until_async

DAY, STEP = timedelta(days=1), timedelta(minutes=5)
INSTANCE = "exporter.example.org:10448"
LIVE_SECONDS, SCRAPE_SECONDS = 60, 5
PROBE = {"interval": "15s", "timeout": "10s", "deep_interval": "30s"}
WATCHED = (*SERVERS, STORY_SERVER)

LAST_DAY = View(DAY.total_seconds(), STEP.total_seconds())
STORY_OF_LAST_DAY = replace(LAST_DAY, variables={"server_name": STORY})
LIVE = View(LIVE_SECONDS, SCRAPE_SECONDS)


@dataclass(frozen=True, slots=True)
class Picture:
    """A dashboard from one row to another one, which is not shown."""

    name: str
    dashboard: str
    view: View
    rows: tuple[str, str | None]


PICTURES: Final = (
    Picture("dashboard-overview", "overview.json", LAST_DAY, ("Status", "Vantage points")),
    Picture("dashboard-history", "overview.json", LAST_DAY, ("History", None)),
    Picture("dashboard-server", "server.json", STORY_OF_LAST_DAY, ("Status", "Delegation")),
    Picture("dashboard-certificates", "certificates.json", LAST_DAY, ("Status", "Signing keys")),
    Picture("dashboard-exporter", "exporter.json", LIVE, ("Status", "Resources")),
)

# ---------------------------------------------------------------- the past


def past_samples(reports: Sequence[Report], now: datetime) -> Iterator[str]:
    """Yield the samples of the last day in the OpenMetrics format, with what was known of each server at the time."""
    at = now - DAY
    board = Board(render_lines, lambda: at)
    board.watch(watched_server(server.server_name) for server in WATCHED)
    waiting, latest = list(reversed(reports)), dict[str, Report]()
    while at < now:
        while waiting and waiting[-1].ended_at <= at:
            report = waiting.pop()
            latest[report.server_name.text] = report
        for report in latest.values():
            board.put(replace(report, ended_at=at))
        yield from (with_target(line, at) for line in samples_of(text_of(board)))
        at += STEP
    yield "# EOF"


def with_target(sample: str, at: datetime) -> str:
    """Return the sample with the labels that Prometheus adds, and with its time."""
    name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", sample).groups(default="")  # type: ignore[union-attr]
    more = f'job="{JOB}",instance="{INSTANCE}"'
    return f"{name}{{{','.join(filter(None, (more, labels)))}}} {value} {at.timestamp():.3f}"


def write_past(folder: Path, reports: Sequence[Report], now: datetime) -> None:
    file = folder / "past.txt"
    file.write_text("\n".join(past_samples(reports, now)) + "\n")
    command = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(file), str(folder / "data")]
    run(command, check=True, capture_output=True)


# ---------------------------------------------------------------- the present


@asynccontextmanager
async def scraped(folder: Path) -> AsyncIterator[Prometheus]:
    """Yield a Prometheus that has scraped the exporter for some minutes, and in which alerts fire at once."""
    (folder / "rules").mkdir()
    for name, rules in SHIPPED_RULES.items():
        (folder / "rules" / name).write_text(re.sub(r"\bfor: \w+", "for: 1s", rules))
    seconds = f"{SCRAPE_SECONDS}s"
    async with Federation(WATCHED) as federation:
        outbound = join(federation, folder, PROBE["interval"])
        file = write_config(folder / "config.yaml", federation, probe=PROBE, outbound=outbound)
        async with App(file, first_round=1) as app, running(app):
            changed = {
                "global": {"scrape_interval": seconds, "scrape_timeout": seconds, "evaluation_interval": seconds},
                "rule_files": ["rules/*.yml"],
            }
            async with prometheus(folder, {INSTANCE: app.addresses[0]}, **changed) as asked:
                often = LIVE_SECONDS // SCRAPE_SECONDS
                await until_async(lambda: asked.now(f"sum_over_time(up[10m]) >= {often} and on () count(ALERTS)"))
                yield asked


# ---------------------------------------------------------------- the pictures


async def take(dashboard: DrawnDashboard, rows: tuple[str, str | None], file: Path) -> None:
    tops = {await row.inner_text(): await row.bounding_box() for row in await dashboard.page.query_selector_all("h2")}
    first, last = (tops[title] if title else None for title in rows)
    assert first
    top = 0 if rows[0] == "Status" else first["y"]
    bottom = last["y"] if last else await dashboard.page.evaluate("document.body.scrollHeight")
    clip = {"x": 0, "y": top, "width": WIDTH, "height": bottom - top}
    await dashboard.page.screenshot(path=file, clip=clip)  # type: ignore[arg-type]


async def main() -> None:
    now = datetime.now(UTC)
    reports = await made_up_reports(now)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_past(folder, reports, now)
        (folder / "page").mkdir()
        with drawing_page(folder / "page") as url:
            async with scraped(folder) as asked, chromium() as browser:
                drawing = Drawing(browser, url, asked.client.base_url.netloc.decode())
                for picture in PICTURES:
                    for scheme in SCHEMES:
                        screen = Screen(WIDTH, scheme)
                        async with drawing.drawn(ALL[picture.dashboard], picture.view, screen) as dashboard:
                            await take(dashboard, picture.rows, FOLDER / f"{picture.name}-{scheme}.png")


if __name__ == "__main__":
    asyncio.run(main())
