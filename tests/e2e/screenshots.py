"""Takes the screenshots of the pages for the README: `make screenshots`.

The servers are those of `demo`, probed once by the real exporter. Their past is made up: three months of results, some
of which failed.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from playwright.async_api import Browser

from exporter import wiring
from exporter.config import load
from exporter.demo.federation import SERVERS, Federation
from exporter.demo.story import STEPS, STORY_SERVER
from exporter.judging import verdict
from exporter.model import names
from exporter.model.outcomes import Passed, found
from exporter.model.report import EndpointReport, Report
from exporter.probing.prober import Prober
from tests.e2e.browser import SCHEMES, Scheme, Screen, chromium, opened
from tests.embedded_federation import write_config
from tests.sample_reports import watched_server
from tests.scrapes import board_of
from tests.web.serving import served

FOLDER: Final = Path(__file__).parents[2] / "docs" / "screenshots"
STORY, EXPIRED, HEALTHY = STORY_SERVER.server_name, "expired.lab.test", "default-port.lab.test"
WIDE, NARROW = 1200, 360
PICTURES: Final = {
    "servers": ("/", WIDE, 860),
    "server": (f"/servers/{EXPIRED}", WIDE, 1080),
    "history": (f"/servers/{STORY}#incidents", WIDE, 560),
    "servers-narrow": ("/", NARROW, 720),
    "server-narrow": (f"/servers/{EXPIRED}", NARROW, 720),
}
"""What is shown, and the width and the height of the picture in pixels."""
INTERVAL = timedelta(minutes=5)
DOWN_FOR: Final = {  # hours; the others have been broken for some days
    "refused.lab.test": 0.8,
    "bad-signature.lab.test": 3,
    EXPIRED: 24,
}
FLAKY: Final = {"dual-stack.lab.test", "ipv6-only.lab.test"}  # sometimes a probe of these fails


@asynccontextmanager
async def probed() -> AsyncIterator[tuple[Federation, Prober]]:
    with TemporaryDirectory() as folder:
        async with Federation((*SERVERS, STORY_SERVER)) as federation:
            config = load(write_config(Path(folder, "config.yaml"), federation))
            yield federation, wiring.build_prober(config)


async def probe(prober: Prober, server_name: str) -> Report:
    return await prober.run_deep_look(await prober.probe(names.parse(server_name)))


# ---------------------------------------------------------------- the past


def times(now: datetime) -> Iterator[datetime]:
    """Yield when results were made: every day, in the last day every half hour, in the last hour every five minutes."""
    yield from (now - timedelta(days=days) for days in range(89, 1, -1))
    yield from (now - timedelta(minutes=30 * number) for number in range(48, 2, -1))
    yield from (now - INTERVAL * number for number in range(11, -1, -1))


def before_it_broke(report: Report, healthy: Report) -> Report:
    """Return the report of a server when it was healthy."""
    endpoints = tuple(mended(seen, healthy.endpoints[0]) for seen in report.endpoints) or healthy.endpoints
    return replace(healthy, server_name=report.server_name, route=report.route, endpoints=endpoints, deep=None)


def mended(seen: EndpointReport, healthy: EndpointReport) -> EndpointReport:
    session = found(seen.tls)
    valid = session and replace(session, certificate=replace(session.certificate, valid=True))
    return replace(healthy, endpoint=seen.endpoint, tls=Passed(0.02, valid) if valid else healthy.tls)


def past(report: Report, healthy: Report, broken: Report, now: datetime) -> Iterator[Report]:
    rng = random.Random(report.server_name.text)
    name = report.server_name.text
    good = report if verdict.federates(report) else before_it_broke(report, healthy)
    broke_at = now - timedelta(hours=DOWN_FOR.get(name, rng.uniform(24, 1500)))
    failed = replace(broken, server_name=report.server_name)
    latest = now - timedelta(seconds=rng.uniform(1, INTERVAL.total_seconds()))
    for at in times(latest):
        flaky = name in FLAKY and at < latest and rng.random() < 0.06
        shown = failed if flaky else report if at >= broke_at else good
        yield replace(shown, ended_at=at)


async def story(federation: Federation, prober: Prober, now: datetime) -> list[Report]:
    """Return the reports of the server that breaks at 02:13, moves to another host, and recovers at 02:41."""
    good = await probe(prober, STORY)
    night = (now - timedelta(hours=3)).replace(hour=2, minute=0, second=11)
    reports = [replace(good, ended_at=at) for at in times(now) if at < night]
    for step, minutes in zip(STEPS, (13, 26, 41), strict=True):
        await step.change(federation.server(STORY), federation.authority)
        reports.append(replace(await probe(prober, STORY), ended_at=night + timedelta(minutes=minutes)))
    return reports + [replace(reports[-1], ended_at=at) for at in times(now) if at > reports[-1].ended_at]


async def made_up_reports(now: datetime) -> Sequence[Report]:
    async with probed() as (federation, prober):
        reports = await asyncio.gather(*(probe(prober, server.server_name) for server in SERVERS))
        by_name = {report.server_name.text: report for report in reports}
        healthy, broken = by_name[HEALTHY], by_name["black-hole.lab.test"]
        everything = [each for report in reports for each in past(report, healthy, broken, now)]
        everything += await story(federation, prober, now)
    return sorted(everything, key=lambda report: report.ended_at)


# ---------------------------------------------------------------- the pictures


async def take(browser: Browser, url: str, scheme: Scheme) -> None:
    for name, (path, width, height) in PICTURES.items():
        async with opened(browser, Screen(width, scheme)) as page:
            await page.set_viewport_size({"width": width, "height": height})
            await page.goto(f"{url}{path}")
            await page.screenshot(path=FOLDER / f"{name}-{scheme}.png")


async def main() -> None:
    now = datetime.now(UTC)
    reports = await made_up_reports(now)
    watched = [watched_server(server.server_name) for server in (*SERVERS, STORY_SERVER)]
    FOLDER.mkdir(exist_ok=True)
    async with served(board_of(watched, *reports, at=now), reports=reports) as address, chromium() as browser:
        for scheme in SCHEMES:
            await take(browser, f"http://{address}", scheme)


if __name__ == "__main__":
    asyncio.run(main())
