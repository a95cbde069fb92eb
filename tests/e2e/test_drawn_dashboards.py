"""Every panel of the dashboards is drawn in a browser from live data: the lab, 45 more servers, the shipped rules."""

import re
from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from grafana.generate import DASHBOARDS_FOLDER
from tests.bench.generated_reports import generate_reports, generate_servers
from tests.e2e.browser import Screen, chromium
from tests.e2e.drawing import WIDTH, Drawing, View, drawing_page
from tests.e2e.lab_exporter import LAB, SEEN, lab_exporter
from tests.e2e.monitoring import SHIPPED_RULES, speed_up
from tests.e2e.scraping import prometheus
from tests.grafana.dashboards import ALL
from tests.scrapes import board_of
from tests.waiting import until_async
from tests.web.serving import served

pytestmark = [
    pytest.mark.system("chromium"),
    pytest.mark.system("node"),
    pytest.mark.prometheus,
    pytest.mark.asyncio(loop_scope="module"),
]

MANY = 45
NAME_OF_HOST = "exporter.example.org"  # about as long as those of users: it must not be cut
READABLE_ROW = 14  # pixels, for letters of 12
OVERVIEW, SERVER = ALL["overview.json"], "server.json"
LIGHT = Screen(WIDTH, "light")


def view(server_name: str | None = None) -> View:
    return View(seconds=120, scrape_seconds=5, variables={"server_name": server_name} if server_name else {})


def views(name: str) -> list[View]:
    """Return the views of a dashboard, of which one may show what another one has no data for."""
    return [view(server_name) for server_name in SEEN] if name == SERVER else [view()]


MAY_BE_EMPTY = {
    "Proxy failures": "the exporter of this test uses no proxy",
    "Different from place to place": "all exporters agree",
    "Skipped probes over time": "no probe of this test has to be skipped",
}
"""By title, with the reason. What the others show must exist for at least one of the servers."""
MAY_BE_CUT = re.compile(r"[0-9a-f]{64}|/.*/more\.json")
"""Fingerprints, and the path in the folder of this test: whoever needs the whole text opens the cell."""

READY = f"""
  count(count_over_time(matrix_federation_probe_success[1m]) >= 2) >= {len(LAB) + MANY}
  and on () count(ALERTS{{alertstate="firing", server_name="refused.lab.test"}})
  and on () count(up offset 30s)
"""
"""Panels show no data that is newer than their latest step, which is half a minute at most."""


EVERY_SECOND = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Drawing]:
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "rules").mkdir()
    for name, rules in SHIPPED_RULES.items():
        (folder / "rules" / name).write_text(speed_up(rules))
    watched = generate_servers(MANY)
    board = board_of(watched, *generate_reports(watched), at=datetime.now(UTC))
    (folder / "page").mkdir()
    with drawing_page(folder / "page") as url:
        async with (
            lab_exporter(folder) as app,
            served(board) as many,
            prometheus(
                folder,
                {f"{NAME_OF_HOST}:10448": app.addresses[0], f"{NAME_OF_HOST}:10449": many},
                rule_files=["rules/*.yml"],
                **EVERY_SECOND,
            ) as asked,
            chromium() as browser,
        ):
            await until_async(lambda: asked.now(READY))
            yield Drawing(browser, url, asked.client.base_url.netloc.decode())


@pytest.mark.parametrize("name", ALL)
async def test_every_panel_is_drawn(name: str, live: Drawing) -> None:
    """Without an error, with data for one of the servers, with a text where there is nothing, and with no text cut."""
    drawn: set[str] = set()
    for each in views(name):
        async with live.drawn(ALL[name], each, LIGHT) as dashboard:
            assert [outcome for outcome in dashboard.outcomes if "error" in outcome] == []
            drawn |= {outcome["title"] for outcome in dashboard.outcomes if outcome["series"]}
            assert {title: text for title, text in (await dashboard.texts()).items() if "no data" in text.lower()} == {}
            cut = {title: set(found) for title, found in (await dashboard.cut_texts()).items()}
            assert {title: found for title, found in cut.items() if not all(map(MAY_BE_CUT.fullmatch, found))} == {}
    expected = {panel["title"] for panel in ALL[name]["panels"] if panel["type"] != "row"}
    assert expected - drawn <= MAY_BE_EMPTY.keys()


async def test_dark_theme_draws_every_panel_too(live: Drawing) -> None:
    async with live.drawn(ALL[SERVER], view(SEEN[0]), Screen(WIDTH, "dark")) as dashboard:
        assert [outcome for outcome in dashboard.outcomes if "error" in outcome] == []


async def test_more_than_thirty_servers_are_readable(live: Drawing) -> None:
    """The history has pages, whose rows are high enough for their names."""
    async with live.drawn(OVERVIEW, view(), LIGHT) as dashboard:
        history = await dashboard.panel("Status history")
        heights = [
            float(await row.get_attribute("data-height") or 0) for row in await history.query_selector_all(".lane")
        ]
        assert len(heights) == 25
        assert min(heights) >= READABLE_ROW
        assert f"1 to 25 of {len(LAB) + MANY}" in await history.inner_text()


async def test_what_never_happened_is_called_never(live: Drawing) -> None:
    async with live.drawn(ALL[SERVER], view("refused.lab.test"), LIGHT) as dashboard:
        texts = await dashboard.texts()
    assert texts["Last success"].split() == ["Last", "success", "never"]
    assert texts["Reaches others"].split() == ["Reaches", "others", "never"]


async def test_alerts_of_a_server_are_listed_and_lead_to_their_runbooks(live: Drawing) -> None:
    async with live.drawn(ALL[SERVER], view("expired.lab.test"), LIGHT) as dashboard:
        alerts = await dashboard.panel("Alerts")
        assert "✗ critical" in await alerts.inner_text()
        links = [
            await link.get_attribute("href") or "" for link in await alerts.query_selector_all("a[href*=runbooks]")
        ]
        runbooks = {link.partition("/blob/main/")[2] for link in links}
        assert "docs/runbooks/MatrixFederationServerDown.md" in runbooks
        assert [page for page in runbooks if not (DASHBOARDS_FOLDER.parents[1] / page).is_file()] == []


async def test_server_leads_to_its_dashboard_and_to_its_page_of_the_exporter(live: Drawing) -> None:
    """Wherever the exporter is: its URL is typed in at the top."""
    variables = {"exporter_url": "https://exporter.example.org/matrix"}
    async with live.drawn(OVERVIEW, View(120, 5, variables), LIGHT) as dashboard:
        servers = await dashboard.panel("Current failures")
        server = await servers.wait_for_selector("text=expired.lab.test")
        assert server
        await server.click()
        menu = [await link.get_attribute("href") or "" for link in await dashboard.page.query_selector_all("a[href]")]
    assert "https://exporter.example.org/matrix/servers/expired.lab.test" in menu
    assert any(link.startswith("/d/mxfed-server?var-server_name=expired.lab.test&") for link in menu)


async def test_panel_that_cannot_be_drawn_says_so(live: Drawing) -> None:
    """Instead of staying empty, so that no panel is taken for drawn that is not."""
    strange = deepcopy(OVERVIEW)
    first, second = [panel for panel in strange["panels"] if panel["type"] != "row"][:2]
    first["type"] = "geomap"
    second["transformations"] = [{"id": "unheardOf", "options": {}}]
    async with live.drawn(strange, view(), LIGHT) as dashboard:
        outcomes = {outcome["title"]: outcome.get("error") for outcome in dashboard.outcomes}
        texts = await dashboard.texts()
    assert outcomes[first["title"]] == "no part draws the kind geomap"
    assert outcomes[second["title"]] == "nothing transforms by unheardOf"
    assert "no part draws the kind geomap" in texts[first["title"]]
