"""What each address of the exporter answers, over a real socket."""

import asyncio
from collections.abc import Iterable
from html.parser import HTMLParser

import pytest

from exporter import VERSION
from exporter.probing.connectivity import Outage
from exporter.web import landing
from exporter.web.pages import NOT_FOUND, RELOAD_DISABLED, yield_to_event_loop
from tests.sample_reports import delegated_by_well_known, expired_certificate, watched
from tests.scrapes import OPENMETRICS, board_of
from tests.web.serving import get

BOARD = board_of(
    [watched("example.org"), watched("expired.example.org")], delegated_by_well_known(), expired_certificate()
)
PLAIN = "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("ready", "status", "text"),
    [(True, 200, "The exporter is ready.\n"), (False, 503, "The exporter is not ready: it starts or stops.\n")],
)
async def test_ready(ready: bool, status: int, text: str) -> None:  # noqa: FBT001 - one of the cases
    """Only while it probes."""
    answer = await get("/-/ready", ready=ready)
    assert (answer.status_code, answer.headers["content-type"], answer.text) == (status, PLAIN, text)


async def test_healthy() -> None:
    """From the moment on in which it answers at all."""
    answer = await get("/-/healthy", ready=False)
    assert (answer.status_code, answer.text) == (200, "The exporter is healthy.\n")


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/-/", "/favicon.ico", "/%2e%2e/etc/passwd"])
async def test_nothing_elsewhere(path: str) -> None:
    """A sentence in plain text, and no redirects."""
    answer = await get(path)
    assert (answer.status_code, answer.headers["content-type"], answer.text) == (404, PLAIN, NOT_FOUND)


# ---------------------------------------------------------------- /metrics


async def test_metrics_in_text() -> None:
    """The servers, and the exporter itself."""
    answer = await get("/metrics", board=BOARD)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert 'matrix_federation_probe_success{server_name="expired.example.org"} 0.0' in lines
    assert f'matrix_federation_exporter_build_info{{version="{VERSION}"}} 1.0' in lines


@pytest.mark.parametrize(
    "accept",
    [
        [("Accept", f"{OPENMETRICS};version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5")],
        [("Accept", "text/plain;version=0.0.4;q=0.5"), ("Accept", f"{OPENMETRICS};version=1.0.0;q=0.8")],
    ],
    ids=["in one header", "in two headers"],
)
async def test_metrics_in_openmetrics(accept: list[tuple[str, str]]) -> None:
    """Several headers of a name are one list (RFC 9110, section 5.3)."""
    answer = await get("/metrics", headers=accept, board=BOARD)
    assert answer.headers["content-type"] == f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")


async def test_metrics_compressed() -> None:
    """By the client's wish."""
    answer = await get("/metrics", headers=[("Accept-Encoding", "gzip")], board=BOARD)
    assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept, Accept-Encoding")
    assert 'probe_success{server_name="example.org"} 1.0' in answer.text


async def test_metrics_uncompressed() -> None:
    """By the client's wish."""
    answer = await get("/metrics", headers=[("Accept-Encoding", "identity")], board=BOARD)
    assert "content-encoding" not in answer.headers


async def test_head_is_get_without_the_body() -> None:
    """For those who ask whether the address is right."""
    whole, head = await get("/metrics", board=BOARD), await get("/metrics", "HEAD", board=BOARD)
    for answer in (whole, head):
        del answer.headers["date"]
    assert (head.status_code, dict(head.headers), head.content) == (200, dict(whole.headers), b"")


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
async def test_nothing_can_be_posted(path: str) -> None:
    """These addresses are read only."""
    answer = await get(path, "POST")
    assert (answer.status_code, sorted(answer.headers["allow"].split(", "))) == (405, ["GET", "HEAD"])


async def test_scrape_lets_others_run() -> None:
    """Between two chunks the event loop gets round to everything else."""
    ran: list[str] = []

    async def scrape() -> None:
        async for chunk in yield_to_event_loop(iter([b"1", b"2", b"3"])):
            ran.extend(chunk.decode())

    async def probe() -> None:
        for step in "abc":
            ran.append(step)
            await asyncio.sleep(0)

    await asyncio.gather(scrape(), probe())
    assert ran == ["1", "a", "2", "b", "3", "c"]


# ---------------------------------------------------------------- /-/reload


async def no_complaints() -> Iterable[object]:
    return ()


async def two_complaints() -> Iterable[object]:
    return ("config.yaml:1: first", "config.yaml:2: second")


async def test_reload() -> None:
    """Where it is allowed."""
    answer = await get("/-/reload", "POST", reload=no_complaints)
    assert (answer.status_code, answer.text) == (200, "The configuration is reloaded.\n")


async def test_reload_of_a_broken_configuration() -> None:
    """Every complaint is told, in plain text."""
    answer = await get("/-/reload", "POST", reload=two_complaints)
    complaints = "The configuration is not put to use:\nconfig.yaml:1: first\nconfig.yaml:2: second\n"
    assert (answer.status_code, answer.headers["content-type"], answer.text) == (500, PLAIN, complaints)


async def test_reload_is_off() -> None:
    """Unless it was allowed: anyone who can scrape could reload."""
    answer = await get("/-/reload", "POST")
    assert (answer.status_code, answer.text) == (403, RELOAD_DISABLED)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_reload_is_posted(method: str) -> None:
    """A link or a crawler reloads nothing."""
    answer = await get("/-/reload", method, reload=no_complaints)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


# ---------------------------------------------------------------- /


class Page(HTMLParser):
    """The text and the links of a page, and whether all its tags are closed."""

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
def test_page_says_what_this_is(servers: int, watching: str) -> None:
    """Name, version, how much is watched, and where to go."""
    page = Page(landing.render(servers))
    assert page.text[:3] == ["Matrix federation exporter"] * 2 + [f"Version {VERSION}, watching {watching}."]
    assert page.links == ["/metrics", "/api/openapi.json", "/-/healthy", "/-/ready"]
    assert page.open == []


@pytest.mark.parametrize("lost", Outage)
def test_page_says_why_nothing_is_seen(lost: Outage) -> None:
    """It may be all that somebody looks at."""
    (*_, said) = Page(landing.render(2, lost)).text[:3]
    assert said.endswith(
        f"watching 2 servers. The exporter's own network is down, and nothing is seen of them: {lost}."
    )


async def test_page_counts_the_servers() -> None:
    """It loads nothing, and no other page may frame it."""
    answer = await get("/", board=BOARD)
    assert answer.text == landing.render(2)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_page_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a packager writes into the version."""
    monkeypatch.setattr(landing, "VERSION", "<b>&")
    assert "Version &lt;b&gt;&amp;, watching" in landing.render(1)


@pytest.mark.parametrize("link", landing.LINKS)
async def test_links_lead_somewhere(link: tuple[str, str]) -> None:
    """Each of them."""
    assert (await get(link[0])).status_code == 200
