"""Debian's Chromium, as a person uses it: without JavaScript, on a screen of some width, light or dark."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias

from playwright.async_api import Browser, Page, async_playwright

from tests.programs import program
from tests.waiting import PATIENCE

_AXE: Final = files("axe_playwright_python").joinpath("axe.min.js")  # axe-core itself
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_HEIGHT = 900

Scheme: TypeAlias = Literal["light", "dark"]
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Screen:
    """What a page is looked at with."""

    width: int
    scheme: Scheme

    def __str__(self) -> str:
        return f"{self.width} px, {self.scheme}"


SCREENS: Final = tuple(Screen(width, scheme) for width in (1280, 320) for scheme in SCHEMES)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start the browser, which reaches nothing but this machine."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(browser: Browser, screen: Screen, *, for_axe: bool = False) -> AsyncIterator[Page]:
    """Yield a page of a browser that runs no JavaScript, unless it is axe-core that has to run."""
    context = await browser.new_context(
        java_script_enabled=for_axe,
        viewport={"width": screen.width, "height": _HEIGHT},
        color_scheme=screen.scheme,
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE * 1000)
    try:
        yield await context.new_page()
    finally:
        await context.close()


@contextmanager
def recorded(page: Page) -> Iterator[list[str]]:
    """Yield a list to which the URLs of all requests are added, and everything that the console complains about."""
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: seen.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    yield seen


async def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the screen."""
    wider: int = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider


async def violations(page: Page) -> list[str]:
    """Return what axe-core complains about, with the elements."""
    await page.evaluate(_AXE.read_text("utf-8"))
    found: dict[str, Any] = await page.evaluate(f"axe.run({{runOnly: {_RULES}}})")
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'][:200] for node in rule['nodes'][:3]]}"
        for rule in found["violations"]
    ]
