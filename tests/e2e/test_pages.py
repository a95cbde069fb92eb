"""People use the pages in a real browser, over the embedded federation: without JavaScript, on every screen."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from exporter.app import App
from exporter.demo.federation import Federation
from tests.e2e.browser import SCREENS, Screen, chromium, opened, overflow, recorded, violations
from tests.embedded_federation import lab_servers, write_config
from tests.waiting import until

pytestmark = [pytest.mark.system("chromium"), pytest.mark.asyncio(loop_scope="module"), pytest.mark.subprocess]

BROKEN, REASON = "expired.lab.test", "certificate_expired"
LAB = lab_servers(
    BROKEN,
    "dual-stack.lab.test",
    "srv-priorities.lab.test",
    "well-known-srv-legacy.lab.test",
    "well-known-html.lab.test",
    "srv-servfail.lab.test",
    "refused.lab.test",
)

each_screen = pytest.mark.parametrize("screen", SCREENS, ids=str)


@dataclass(frozen=True, slots=True)
class Site:
    url: str
    app: App

    def probes(self, server_name: str) -> int:
        states = (each.state for each in self.app.board.snapshot().states)
        return sum(state.probes for state in states if state.watched.server_name.text == server_name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Run the exporter. It has probed every server once, and only probes again when it is told to."""
    web = {"listen": ["127.0.0.1:0"], "probe_any": True}
    async with Federation(LAB) as federation:
        file = write_config(
            tmp_path_factory.mktemp("pages") / "config.yaml",
            federation,
            probe={"interval": "1y", "timeout": "2m"},
            web=web,
        )
        async with App(file, first_round=1.0) as app:
            site = Site(f"http://{app.addresses[0]}", app)
            await until(lambda: all(site.probes(server.server_name) for server in LAB))
            yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@each_screen
async def test_a_person_finds_what_is_wrong_and_what_to_do(site: Site, browser: Browser, screen: Screen) -> None:
    """From the list by the filter to a broken server, its remedy, a new probe, the reasons and the runbooks."""
    async with opened(browser, screen) as page:
        with recorded(page) as seen:
            await page.goto(site.url)
            assert await page.title() == "3 of 7 fail · Matrix federation"
            await page.get_by_label("Filter").fill(REASON)
            await page.get_by_role("button", name="Show").click()
            await page.wait_for_url(f"**/?q={REASON}&sort=state")
            await page.get_by_role("link", name=BROKEN).click()
            await page.wait_for_url(f"**/servers/{BROKEN}")
            assert await page.get_by_role("heading", level=1).inner_text() == f"✗ {BROKEN} does not federate"
            assert await page.get_by_text("Renew the certificate, and reload the reverse proxy").is_visible()
            before = site.probes(BROKEN)
            await page.get_by_role("button", name="Probe now").click()
            await until(lambda: site.probes(BROKEN) == before + 1)
            await page.wait_for_url(f"**/servers/{BROKEN}")
            assert await page.get_by_text("Renew the certificate, and reload the reverse proxy").is_visible()
            await page.get_by_role("link", name=REASON).first.click()
            await page.wait_for_url(f"**/reasons#{REASON}")
            assert await page.locator(f"#{REASON}").is_visible()
            await page.get_by_role("link", name="Runbooks").click()
            await page.get_by_role("link", name="MatrixFederationServerDown", exact=True).click()
            await page.wait_for_url("**/runbooks/MatrixFederationServerDown")
    assert {urlsplit(url)._replace(path="", query="", fragment="").geturl() for url in seen} == {site.url}


@each_screen
async def test_any_server_can_be_probed(site: Site, browser: Browser, screen: Screen) -> None:
    """The page of a server that is not watched is the same."""
    async with opened(browser, screen) as page:
        await page.goto(site.url)
        await page.get_by_label("Server name").fill("nxdomain.example")
        await page.get_by_role("button", name="Probe").click()
        await page.wait_for_url("**/servers/nxdomain.example")
        assert await page.get_by_text("Not watched, so that its result is not kept").is_visible()
        assert await page.get_by_role("link", name="nxdomain").first.is_visible()


PAGES = {
    "/": 200,
    "/?q=nothing": 200,
    "/?state=partial&sort=expiry": 200,
    "/?sort=broken": 400,
    f"/servers/{BROKEN}": 200,
    "/servers/dual-stack.lab.test": 200,
    "/servers/srv-priorities.lab.test": 200,
    "/servers/well-known-srv-legacy.lab.test": 200,
    "/servers/well-known-html.lab.test": 200,
    "/servers/srv-servfail.lab.test": 200,
    "/servers/%3Cb%3E": 400,
    "/reasons": 200,
    "/warnings": 200,
    "/runbooks": 200,
    "/runbooks/MatrixFederationServerDown": 200,
}


@each_screen
@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_accessible_and_fit_the_screen(site: Site, browser: Browser, screen: Screen, path: str) -> None:
    """axe-core finds nothing, no part is wider than the screen, and the console is empty."""
    async with opened(browser, screen, for_axe=True) as page:
        with recorded(page) as seen:
            response = await page.goto(f"{site.url}{path}")
        assert response
        errors = [each for each in seen if not each.startswith("http") and "400 (Bad Request)" not in each]
        assert (response.status, await violations(page), await overflow(page), errors) == (PAGES[path], [], 0, [])


@each_screen
async def test_an_incident_is_accessible_and_fits_the_screen(site: Site, browser: Browser, screen: Screen) -> None:
    """It has the whole report of its first failure."""
    async with opened(browser, screen, for_axe=True) as page:
        await page.goto(f"{site.url}/servers/{BROKEN}")
        await page.locator(".incidents a").first.click()
        await page.wait_for_url("**/incidents/*")
        assert f'"server_name": "{BROKEN}"' in await page.inner_text("pre")
        assert (await violations(page), await overflow(page)) == ([], 0)
