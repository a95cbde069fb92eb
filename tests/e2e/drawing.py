"""Draws dashboards in a real browser, from the data of a real Prometheus, by those parts of Grafana that are under the
Apache License 2.0. They come from npm; `tests/grafana/browser` puts them together.
"""

import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import run
from threading import Thread
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, ElementHandle, Page, Route

from exporter.demo.listener import LOOPBACK
from grafana.value_mappings import Json
from tests.e2e.browser import Screen, opened, recorded
from tests.programs import program

WIDTH: Final = 1400
_CELL_HEIGHT, _HEADING_HEIGHT = 38, 100  # pixels, as Grafana places panels; and of what is above them
_NO_ICON: Final = '<svg xmlns="http://www.w3.org/2000/svg"/>'  # Grafana's icons are not among the parts
_ROOT: Final = Path(__file__).parents[2]
_BROWSER: Final = _ROOT / "tests" / "grafana" / "browser"
_PARTS: Final = _ROOT / ".npm-drawing" / "node_modules"
_BUNDLE: Final = ("src/main.jsx", "--bundle", "--format=esm", "--jsx=automatic", "--loader:.ttf=empty", "--minify")
_PRODUCTION: Final = '--define:process.env.NODE_ENV="production"'
_FONTS: Final = {"Inter-Regular.woff2": 400, "Inter-Medium.woff2": 500}
_POLL_SECONDS = 0.05
_CUT_TEXTS: Final = """
panel => [...panel.querySelectorAll("*")]
  .filter(each => !each.childElementCount && each.textContent && !each.closest(".box"))
  .filter(each => getComputedStyle(each).overflowX !== "visible" && each.scrollWidth > each.clientWidth + 1)
  .map(each => each.textContent)
"""


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at: the last `seconds`, and the variables at the top."""

    seconds: float
    scrape_seconds: float
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DrawnDashboard:
    page: Page
    outcomes: Sequence[Json]
    """Of each panel: its `title`, and `error`, or how many `series` it drew."""

    async def texts(self) -> dict[str, str]:
        """Return the text of every panel, by title."""
        return {title: await panel.inner_text() for title, panel in await self._panels()}

    async def cut_texts(self) -> dict[str, list[str]]:
        """Return the texts that do not fit into their place, by the title of the panel."""
        return {title: await panel.evaluate(_CUT_TEXTS) for title, panel in await self._panels()}

    async def panel(self, title: str) -> ElementHandle:
        return dict(await self._panels())[title]

    async def _panels(self) -> list[tuple[str, ElementHandle]]:
        found = await self.page.query_selector_all("[data-panel]")
        return [(await each.get_attribute("data-panel") or "", each) for each in found]


@dataclass(frozen=True, slots=True)
class Drawing:
    """Draws dashboards from the data of one Prometheus."""

    browser: Browser
    page_url: str
    prometheus: str
    """As `host:port`."""

    @asynccontextmanager
    async def drawn(self, dashboard: Json, view: View, screen: Screen) -> AsyncIterator[DrawnDashboard]:
        """Draw a dashboard. Raises AssertionError if the console complains."""
        async with opened(self.browser, screen, for_axe=True) as page:
            await page.set_viewport_size({"width": screen.width, "height": _height_of(dashboard)})
            await page.route("**/dashboard.json", partial(_fulfill, json=dashboard))
            await page.route("**/img/icons/**", partial(_fulfill, body=_NO_ICON, content_type="image/svg+xml"))
            with recorded(page) as seen:
                await page.goto(f"{self.page_url}?{self._query(view, screen)}")
                await page.wait_for_function("window.drawn")
            complaints = [each for each in seen if each.startswith(("error: ", "warning: "))]
            assert complaints == [], complaints
            yield DrawnDashboard(page, await page.evaluate("window.drawn"))

    def _query(self, view: View, screen: Screen) -> str:
        now = time.time()
        parameters = {
            "prometheus": f"http://{self.prometheus}",
            "from": now - view.seconds,
            "to": now,
            "scrape": view.scrape_seconds,
            "theme": screen.scheme,
            "width": screen.width,
            **{f"var-{name}": value for name, value in view.variables.items()},
        }
        return urlencode(parameters)


def _height_of(dashboard: Json) -> int:
    """Return the height of a screen on which the whole dashboard is visible: tables draw only what is."""
    positions = [panel["gridPos"] for panel in dashboard["panels"]]
    cells: int = max(position["y"] + position["h"] for position in positions)
    return _HEADING_HEIGHT + _CELL_HEIGHT * cells


async def _fulfill(route: Route, **response: Any) -> None:
    await route.fulfill(**response)


# ---------------------------------------------------------------- the page


@contextmanager
def drawing_page(folder: Path) -> Iterator[str]:
    """Yield the URL of the page that draws a dashboard. Its files are in `folder`."""
    _bundle(folder)
    with ThreadingHTTPServer((LOOPBACK, 0), partial(_Files, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS})
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _bundle(folder: Path) -> None:
    """Where the parts are missing, CI fails, and elsewhere the test is skipped with a reason."""
    program("node")
    esbuild = _PARTS / ".bin" / "esbuild"
    if not esbuild.exists():
        complaint = "the parts that draw dashboards are not installed: `make test` installs them by npm"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(complaint)
    command = [str(esbuild), *_BUNDLE, _PRODUCTION, f"--outdir={folder}"]
    run(command, cwd=_BROWSER, check=True, capture_output=True, env=os.environ | {"NODE_PATH": str(_PARTS)})
    shutil.copy(_BROWSER / "index.html", folder)
    fonts = folder / "public" / "fonts" / "inter"
    fonts.mkdir(parents=True)
    for name, weight in _FONTS.items():
        shutil.copy(_PARTS / f"@fontsource/inter/files/inter-latin-{weight}-normal.woff2", fonts / name)
