"""Requests that a page of another site makes a browser send."""

from collections.abc import Iterable

import pytest
from starlette.datastructures import Headers

from exporter.web.fetch_metadata import is_cross_site
from tests.web.serving import get

CROSS_SITE = ("Sec-Fetch-Site", "cross-site")
NAVIGATION = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        pytest.param([], False, id="a program"),
        pytest.param([("Sec-Fetch-Site", "none"), *NAVIGATION], False, id="an address entered by the user"),
        pytest.param([("Sec-Fetch-Site", "same-origin")], False, id="the exporter's own page"),
        pytest.param([CROSS_SITE, *NAVIGATION], False, id="a link"),
        pytest.param([CROSS_SITE], True, id="another site"),
        pytest.param([("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "cors")], True, id="fetch by a subdomain"),
        pytest.param([CROSS_SITE, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")], True, id="a frame"),
        pytest.param([CROSS_SITE, ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")], True, id="an image"),
        pytest.param([("Origin", "https://evil.example")], True, id="another origin"),
        pytest.param([("Origin", "null")], True, id="a sandboxed frame"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_only_links_of_other_sites_work(method: str, headers: list[tuple[str, str]], refused: bool) -> None:  # noqa: FBT001 - a case
    """A page of another site reads nothing and frames nothing. Programs send none of these headers."""
    assert is_cross_site(method, Headers(dict(headers))) is refused
    assert (await get("/metrics", method, headers)).status_code == (403 if refused else 200)


@pytest.mark.parametrize(
    "headers", [[("Origin", "http://exporter")], [("Sec-Fetch-Site", "same-origin")], [CROSS_SITE]]
)
async def test_no_browser_can_trigger_a_reload(headers: list[tuple[str, str]]) -> None:
    """A page that seems to be the exporter's own may belong to another site (DNS rebinding)."""
    reloads: list[str] = []

    async def reload() -> Iterable[object]:
        reloads.append("reload")
        return ()

    assert (await get("/-/reload", "POST", headers, reload=reload)).status_code == 403
    assert reloads == []
    assert (await get("/-/reload", "POST", reload=reload)).status_code == 200
