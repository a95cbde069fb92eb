"""The landing page."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from exporter import VERSION
from exporter.judging.verdict import Federation
from exporter.model import names
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing.connectivity import Outage
from exporter.web import landing
from tests.sample_reports import delegated_by_well_known, watched_server, with_deep_look
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
    page = Page(landing.render({None: servers}))
    assert page.text[:3] == ["Matrix federation exporter"] * 2 + [f"Version {VERSION}, watching {watching}."]
    assert page.links == ["./metrics", "./api/openapi.json", "./-/healthy", "./-/ready"]
    assert page.open == []


def test_the_page_counts_the_servers_in_each_state() -> None:
    """A state without a server is not shown."""
    counts = {Federation.FULL: 1200, Federation.PARTIAL: 3, Federation.NONE: 12, None: 4}
    assert Page(landing.render(counts)).text[3:7] == [
        "✓ 1,200 federate",
        "! 3 only in part: some homeservers cannot federate, or joins or messages do not get through",
        "✗ 12 do not federate: neither Synapse nor Dendrite gets through",
        "\N{EN DASH} 4 without a result yet",
    ]
    assert Page(landing.render({Federation.FULL: 2})).text[3:5] == ["✓ 2 federate", "/metrics"]


@pytest.mark.parametrize("outage", Outage)
def test_the_page_shows_that_the_exporter_is_offline(outage: Outage) -> None:
    """It says why."""
    (*_, paragraph) = Page(landing.render({Federation.FULL: 2}, outage)).text[:3]
    assert paragraph.endswith(
        f"watching 2 servers. The exporter's own network is down, so it cannot probe them: {outage}."
    )


async def test_the_site_serves_the_page_for_its_board() -> None:
    """The page loads nothing, and no other page may frame it."""
    reports = delegated_by_well_known("example.org"), with_deep_look(Problem(Reason.BODY_LIMIT, "too small"))
    partial = replace(reports[1], server_name=names.parse("example.net"))
    watched = map(watched_server, ("example.org", "example.net", "new.example.org"))
    response = await get("/", board=board_of(watched, reports[0], partial))
    assert response.text == landing.render({Federation.FULL: 1, Federation.PARTIAL: 1, None: 1})
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_page_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packager may put anything into the version."""
    monkeypatch.setattr(landing, "VERSION", "<b>&")
    assert "Version &lt;b&gt;&amp;, watching" in landing.render({None: 1})


@pytest.mark.parametrize("link", landing.LINKS)
async def test_every_link_works(link: tuple[str, str]) -> None:
    """The exporter serves every path that the page links to."""
    assert (await get(link[0])).status_code == 200
