"""Every query of the dashboards finds something in a real Prometheus that scrapes the exporter over the lab."""

import math
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pytest
import pytest_asyncio

from tests.e2e.lab_exporter import EVERY_SERVER_SCRAPED_TWICE, LAB, SEEN, lab_exporter
from tests.e2e.scraping import JOB, SCRAPE_SECONDS, Json, Prometheus, prometheus
from tests.grafana.dashboards import ALL, annotations, interpolate, label_values, targets, variables
from tests.waiting import until_async, until_equal

pytestmark = [pytest.mark.system("prometheus"), pytest.mark.asyncio(loop_scope="module"), pytest.mark.prometheus]

LABEL = re.compile(r"\{\{(\w+)\}\}")
RANGE_SECONDS, STEP_SECONDS = 30, 1

MAY_BE_EMPTY = {
    "Exporter restarts": "the exporter of this test starts once",
    "Changes": "nothing about the servers of the lab changes",
    "Firing alerts": "this Prometheus has no rules: those of deploy/ have tests of their own",
}
"""By title, with the reason why there is nothing to find; they are asked all the same."""

EMPTY_PANELS = {
    "Different from place to place": "it compares exporters, and this test has one: test_vantage_points.py has two",
    "Alerts": "this Prometheus has no rules: test_drawn_dashboards.py has them",
    "Proxy failures": "the exporter of this test uses no proxy",
    "Skipped probes over time": "no probe of this test has to be skipped",
}
"""By title, with the reason why their queries may find nothing; they are asked all the same."""


@dataclass(frozen=True, slots=True)
class Scraped:
    prometheus: Prometheus
    exporter: str
    """As `host:port`."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scraped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scraped]:
    folder = tmp_path_factory.mktemp("scraped")
    async with lab_exporter(folder) as app, prometheus(folder, app.addresses) as asked:
        await until_async(lambda: asked.now(EVERY_SERVER_SCRAPED_TWICE))
        yield Scraped(asked, str(app.addresses[0]))


# ---------------------------------------------------------------- what Grafana would ask


def values(server_name: str) -> dict[str, str]:
    """Of variables: all exporters, one server or a pattern, and what Grafana itself puts in place."""
    return {
        "job": ".+",
        "instance": ".+",
        "server_name": server_name,
        "shown": "1",
        "__range": "1m",
        "__rate_interval": f"{10 * SCRAPE_SECONDS}s",
    }


def chosen(dashboard: Json) -> Iterator[dict[str, str]]:
    """The values of its variables that are tried, one after another."""
    server_name = variables(dashboard, "query").get("server_name", {"multi": True})
    for name in [".+"] if server_name["multi"] else SEEN:
        yield values(name)


async def found(asked: Prometheus, target: Json, chosen_values: dict[str, str]) -> list[Json]:
    expression = interpolate(target["expr"], chosen_values)
    if target["instant"]:
        return await asked.now(expression)
    return await asked.over_time(expression, RANGE_SECONDS, STEP_SECONDS)


def complaint(series: list[Json], target: Json) -> str | None:
    if not any(map(has_number, series)):
        return f"no number in {series}"
    used = set(LABEL.findall(target["legendFormat"]))
    lacking = [used - each["metric"].keys() for each in series]
    return f"no labels {lacking} in {series}" if any(lacking) else None


def has_number(series: Json) -> bool:
    pairs = series.get("values") or [series["value"]]
    return any(math.isfinite(float(value)) for _, value in pairs)


async def lasting_complaint(asked: Prometheus, dashboard: Json, target: Json) -> str | None:
    """Return None as soon as the query finds something with any of the values that are tried."""
    tried: list[str | None] = []

    async def finds_something() -> bool:
        nonlocal tried
        tried = [complaint(await found(asked, target, each), target) for each in chosen(dashboard)]
        return not all(tried)

    with suppress(TimeoutError):
        await until_async(finds_something)
    return None if not all(tried) else str(tried)


# ---------------------------------------------------------------- and what it finds


@pytest.mark.parametrize("name", ALL)
async def test_every_panel_finds_what_it_asks_for(name: str, scraped: Scraped) -> None:
    """A number for each of its queries, with the labels that its legend names."""
    assert list(targets(ALL[name]))
    for title, target in targets(ALL[name]):
        if title[:-2] in EMPTY_PANELS:
            await found(scraped.prometheus, target, next(chosen(ALL[name])))
            continue
        assert (title, await lasting_complaint(scraped.prometheus, ALL[name], target)) == (title, None)


@pytest.mark.parametrize("name", ALL)
async def test_columns_of_tables_are_labels_that_are_found(name: str, scraped: Scraped) -> None:
    tables = [panel for panel in ALL[name]["panels"] if panel["type"] == "table"]
    assert tables
    for panel in (each for each in tables if each["title"] not in EMPTY_PANELS):
        fields = panel["transformations"][1]["options"]["indexByName"]
        expected = {field for field in fields if not field.startswith("Value")}
        await until_equal(expected, partial(labels_of, panel, scraped.prometheus, ALL[name]))


async def labels_of(panel: Json, asked: Prometheus, dashboard: Json) -> set[str]:
    """Of all series of its queries."""
    queries = [(target, each) for target in panel["targets"] for each in chosen(dashboard)]
    return {label for query in queries for series in await found(asked, *query) for label in series["metric"]}


@pytest.mark.parametrize("name", ALL)
async def test_variables_offer_all_that_there_is(name: str, scraped: Scraped) -> None:
    """Asked in the order in which they stand at the top of the page."""
    expected = {"job": [JOB], "instance": [scraped.exporter], "server_name": sorted(s.server_name for s in LAB)}
    assert variables(ALL[name], "query")
    for variable, stated in variables(ALL[name], "query").items():
        selector, label = label_values(stated["query"])
        offered = await scraped.prometheus.label_values(interpolate(selector, values(".+")), label)
        assert offered == expected[variable]


@pytest.mark.parametrize("name", ALL)
async def test_annotations_are_understood(name: str, scraped: Scraped) -> None:
    """What they mark does not happen here; without the condition there is something to mark."""
    assert annotations(ALL[name])
    for title, expression in annotations(ALL[name]).items():
        assert MAY_BE_EMPTY[title]
        asked = interpolate(expression, next(chosen(ALL[name])))
        assert await scraped.prometheus.over_time(asked, RANGE_SECONDS, STEP_SECONDS) == []
        unconditional = await scraped.prometheus.over_time(asked.removesuffix(" > 0"), RANGE_SECONDS, STEP_SECONDS)
        assert bool(unconditional) is (title != "Firing alerts")
