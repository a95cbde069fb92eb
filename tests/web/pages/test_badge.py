"""The badge of a server."""

from collections.abc import Mapping
from datetime import timedelta
from xml.etree import ElementTree as ET

import httpx
import pytest

from exporter.history.strips import Counts, Strip
from exporter.reports.summary import State
from exporter.web.pages.views.badges import Badge, state_badge, uptime_badge
from tests.sample_reports import ENDED_AT, delegated_by_well_known, expired_certificate, watched_server, with_endpoints
from tests.scrapes import board_of
from tests.web.serving import client_of, served

BOARD = board_of(
    map(watched_server, ("example.org", "expired.example.org", "new.example.org", "[2001:db8::1]:8448")),
    delegated_by_well_known("example.org"),
    expired_certificate(),
)
SVG = "{http://www.w3.org/2000/svg}"


async def get(path: str, headers: Mapping[str, str] | None = None, **parameters: str) -> httpx.Response:
    async with (
        served(BOARD, reports=[delegated_by_well_known(), with_endpoints()]) as address,
        client_of(address) as client,
    ):
        return await client.get(path, params=parameters or None, headers=headers)


def words(response: httpx.Response) -> list[str | None]:
    """Return the texts of a badge, which must be well-formed and have its title."""
    assert (response.status_code, response.headers["content-type"]) == (200, "image/svg+xml")
    root = ET.fromstring(response.text)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert root.findtext(f"{SVG}title") == root.get("aria-label") == ": ".join(filter(None, texts))
    return texts


@pytest.mark.parametrize(
    ("server_name", "text"),
    [
        ("example.org", "✓ federates"),
        ("expired.example.org", "✗ does not federate"),
        ("new.example.org", "no recent result"),
        ("%5B2001:db8::1%5D:8448", "no recent result"),
    ],
)
async def test_a_badge_shows_the_state(server_name: str, text: str) -> None:
    """In words, and not by its colour alone."""
    assert words(await get(f"/badge/{server_name}.svg")) == ["Matrix federation", text]


async def test_a_badge_shows_the_uptime() -> None:
    """One of two results was good."""
    assert words(await get("/badge/example.org.svg", show="uptime")) == ["federates, 30 days", "50.00 %"]
    assert words(await get("/badge/new.example.org.svg", show="uptime")) == ["federates, 30 days", "no result"]


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/badge/other.example.org.svg", 404, "other.example.org is not watched.\n"),
        ("/badge/a..b.svg", 400, "'a..b' is not a server name: "),
        ("/badge/example.org.svg?show=all", 400, "Expected show to be one of state, uptime, found all.\n"),
        ("/badge/example.org", 404, "There is nothing at this path."),
    ],
)
async def test_only_watched_servers_have_a_badge(path: str, status: int, sentence: str) -> None:
    """Otherwise anybody could make the exporter probe."""
    response = await get(path)
    assert (response.status_code, response.text[: len(sentence)]) == (status, sentence)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


EMBEDDED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (EMBEDDED, 200),
        ({**EMBEDDED, "Sec-Fetch-Mode": "cors", "Origin": "https://example.net"}, 403),
        ({**EMBEDDED, "Sec-Fetch-Dest": "script"}, 403),
        ({**EMBEDDED, "Sec-Fetch-Dest": "iframe"}, 403),
    ],
)
async def test_pages_of_other_sites_may_show_a_badge_and_nothing_else(headers: dict[str, str], status: int) -> None:
    """Their scripts cannot read it."""
    response = await get("/badge/example.org.svg", headers)
    assert response.status_code == status
    if status == 200:
        assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert (await get("/", headers)).status_code == 403


async def test_a_badge_may_be_kept_for_a_minute_and_runs_nothing() -> None:
    headers = (await get("/badge/example.org.svg")).headers
    assert headers["cache-control"] == "max-age=60"
    assert headers["content-security-policy"].startswith("default-src 'none'")


# ---------------------------------------------------------------- what it says


def days(*counts: Counts) -> Strip:
    """Return the strip of 90 days that ends with these."""
    return Strip(ENDED_AT, timedelta(days=1), (*(Counts() for _ in range(90 - len(counts))), *counts))


@pytest.mark.parametrize(
    ("strip", "text", "like"),
    [
        (days(), "no result", State.UNKNOWN),
        (days(Counts(full=5)), "100 %", State.FULL),
        (days(Counts(full=3, partial=2)), "100 %", State.FULL),
        (days(Counts(full=99_999, none=1)), "99.99 %", State.FULL),
        (days(Counts(full=995, none=5)), "99.50 %", State.PARTIAL),
        (days(Counts(none=5, full=5)), "50.00 %", State.NONE),
        (days(Counts(none=5)), "0.00 %", State.NONE),
        (days(Counts(full=1, offline=5)), "100 %", State.FULL),
        (days(Counts(offline=5)), "no result", State.UNKNOWN),
        (days(Counts(none=1), *[Counts(full=1)] * 30), "100 %", State.FULL),
        (days(Counts(none=1), *[Counts(full=1)] * 29), "96.66 %", State.NONE),
    ],
)
def test_uptime_is_rounded_down(strip: Strip, text: str, like: State) -> None:
    """Only the last 30 days count, and not what the exporter could not see."""
    badge = uptime_badge(strip)
    assert (badge.text, badge.color) == (text, state_badge(like).color)


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_badge(state: State) -> None:
    """Texts fit, with some space on either side."""
    badge = state_badge(state)
    assert badge.text_width > 12 + 4 * len(badge.text)
    assert Badge("", "", "").text_width == 12
