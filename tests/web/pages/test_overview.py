"""The page of all servers."""

from dataclasses import replace

import httpx
import pytest

from exporter.model import names
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing.connectivity import Outage
from tests.sample_reports import delegated_by_well_known, expired_certificate, watched_server, with_deep_look
from tests.scrapes import board_of
from tests.web.pages.parsing import Page
from tests.web.serving import get

BOARD = board_of(
    map(watched_server, ("example.org", "example.net", "expired.example.org", "new.example.org")),
    delegated_by_well_known("example.org"),
    replace(with_deep_look(Problem(Reason.BODY_LIMIT, "too small")), server_name=names.parse("example.net")),
    expired_certificate(),
)


async def page(path: str = "/", **parts: object) -> Page:
    response: httpx.Response = await get(path, **{"board": BOARD, **parts})  # type: ignore[arg-type] # as `served` takes them
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return Page(response.text)


async def test_the_title_and_the_icon_tell_the_state() -> None:
    """A browser's tab shows them."""
    seen = await page()
    assert seen.title == "1 of 4 fail · Matrix federation"
    assert seen.icon.startswith("./static/none.svg?")


async def test_the_page_counts_the_servers_in_each_state() -> None:
    """A state without a server is not shown."""
    seen = await page()
    for words in (
        "✗ 1 do not federate",
        "! 1 federate only in part",
        "✓ 1 federate",
        "\N{EN DASH} 1 have no result yet",
    ):
        assert words in seen.text


@pytest.mark.parametrize("outage", Outage)
async def test_the_page_shows_that_the_exporter_is_offline(outage: Outage) -> None:
    """It says why."""
    seen = await page(outage=lambda: outage)
    assert f"The exporter's own network is down, so it cannot probe servers: {outage}." in seen.text


async def test_every_link_works() -> None:
    """The exporter serves everything that the page links to or loads."""
    seen = await page()
    assert len(seen.links) > 3
    for link in seen.links:
        assert (await get(link.removeprefix("."), board=BOARD)).status_code == 200, link
