"""The button of a server's page that probes it, over the embedded federation."""

from dataclasses import replace
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from exporter.web.fetch_metadata import is_own_form
from tests.web.lab_site import BROKEN, HEALTHY, LabSite, lab_site, open_to_all
from tests.web.pages.parsing import Page

pytestmark = pytest.mark.lab

EXPORTER = "exporter.example.org:10448"


async def press(site: LabSite, server_name: str, **headers: str) -> tuple[int, str]:
    """Send the form as a browser does. Return the status, and the page or where it is."""
    response = await site.client.post(f"/servers/{server_name}", headers=headers)
    return response.status_code, response.headers.get("location") or Page(response.text).text


async def test_a_watched_server_is_probed_and_its_page_shown(tmp_path: Path) -> None:
    """The browser requests the page anew, so that it can be loaded again without another probe."""
    async with lab_site(tmp_path, BROKEN) as site:
        before = Page((await site.client.get(f"/servers/{BROKEN.server_name}")).text)
        pressed = await press(site, BROKEN.server_name)
        after = Page((await site.client.get(f"/servers/{pressed[1]}")).text)
    assert pressed == (303, f"./{BROKEN.server_name}")
    assert "has no result yet" in before.title
    assert "does not federate" in after.title
    assert "Renew the certificate" in after.text


async def test_any_server_is_probed_where_that_is_allowed(tmp_path: Path) -> None:
    """The page is the same, and nothing is kept."""
    async with lab_site(tmp_path, BROKEN, HEALTHY, web=open_to_all()) as site:
        site.app.board.watch(())
        site.app._active = replace(site.app._active, groups={})
        page = Page((await site.client.get(f"/servers/{HEALTHY.server_name}")).text)
        status, again = await press(site, HEALTHY.server_name)
    assert page.title == f"✓ {HEALTHY.server_name} federates"
    assert (status, "Not watched, so that its result is not kept" in again) == (200, True)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        pytest.param({"Sec-Fetch-Site": "same-origin"}, True, id="the page itself"),
        pytest.param({"Origin": f"http://{EXPORTER}"}, True, id="the page itself, over http"),
        pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": f"http://{EXPORTER}"}, False, id="another site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, False, id="a subdomain"),
        pytest.param({"Sec-Fetch-Site": "none"}, False, id="no page"),
        pytest.param({"Origin": "http://evil.example"}, False, id="another site, over http"),
        pytest.param({"Origin": "http://exporter.example.org"}, False, id="another port"),
        pytest.param({"Origin": "http://["}, False, id="no origin at all"),
        pytest.param({"Origin": "null"}, False, id="a sandboxed frame"),
    ],
)
async def test_only_the_exporters_own_page_can_send_the_form(
    headers: dict[str, str],
    allowed: bool,  # noqa: FBT001 - a case
    tmp_path: Path,
) -> None:
    """No other path accepts a form of a browser."""
    assert is_own_form("POST", Headers({**headers, "Host": EXPORTER})) is allowed
    async with lab_site(tmp_path, BROKEN) as site:
        sent = {**headers, "Host": EXPORTER}
        statuses = [
            (await site.client.post(path, headers=sent)).status_code
            for path in (f"/servers/{BROKEN.server_name}", "/-/reload", "/servers")
        ]
    assert statuses == [303 if allowed else 403, 403, 403]
    assert site.probes(BROKEN) == 0


def test_a_program_sends_no_form() -> None:
    """So it needs no exception: it is allowed by the other rule."""
    assert not is_own_form("POST", Headers({"Host": EXPORTER}))
    assert not is_own_form("GET", Headers({"Sec-Fetch-Site": "same-origin"}))


async def test_the_limits_are_those_of_the_api(tmp_path: Path) -> None:
    """A refusal is a page, with the status and headers of the API."""
    async with lab_site(tmp_path, HEALTHY) as site:
        unwatched = await site.client.post("/servers/other.example.org")
        site.app.queries.pending = 10_000
        crowded = await site.client.post(f"/servers/{HEALTHY.server_name}")
        site.app.queries.pending = 0
    assert (unwatched.status_code, "is not watched" in Page(unwatched.text).text) == (404, True)
    assert (crowded.status_code, crowded.headers["retry-after"]) == (503, "1")
    assert "requests are already waiting for probes" in Page(crowded.text).text
