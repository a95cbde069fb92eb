"""The landing page."""

from html.parser import HTMLParser

import pytest

from exporter import VERSION
from exporter.probing.connectivity import Outage
from exporter.web import landing
from tests.sample_reports import watched_server
from tests.scrapes import board_of
from tests.web.serving import get


class Page(HTMLParser):
    """The text and the links of a page, and the tags that are not closed."""

    VOID = ("meta",)

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str | None] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name == "href"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"] and data.strip():
            self.text.append(data.strip())


@pytest.mark.parametrize(("servers", "watching"), [(0, "0 servers"), (1, "1 server"), (20_000, "20,000 servers")])
def test_the_page_shows_the_version_and_the_number_of_servers(servers: int, watching: str) -> None:
    """Links lead to the other pages, and all tags are closed."""
    page = Page(landing.render(servers))
    assert page.text[:3] == ["Matrix federation exporter"] * 2 + [f"Version {VERSION}, watching {watching}."]
    assert page.links == ["./metrics", "./api/openapi.json", "./-/healthy", "./-/ready"]
    assert page.open == []


@pytest.mark.parametrize("outage", Outage)
def test_the_page_shows_that_the_exporter_is_offline(outage: Outage) -> None:
    """It says why."""
    (*_, paragraph) = Page(landing.render(2, outage)).text[:3]
    assert paragraph.endswith(
        f"watching 2 servers. The exporter's own network is down, so it cannot probe them: {outage}."
    )


async def test_the_site_serves_the_page_for_its_board() -> None:
    """The page loads nothing, and no other page may frame it."""
    response = await get("/", board=board_of([watched_server("example.org"), watched_server("example.net")]))
    assert response.text == landing.render(2)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_page_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packager may put anything into the version."""
    monkeypatch.setattr(landing, "VERSION", "<b>&")
    assert "Version &lt;b&gt;&amp;, watching" in landing.render(1)


@pytest.mark.parametrize("link", landing.LINKS)
async def test_every_link_works(link: tuple[str, str]) -> None:
    """The exporter serves every path that the page links to."""
    assert (await get(link[0])).status_code == 200
