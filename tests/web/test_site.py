"""The pages of the site, over a real socket."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import Iterable
from dataclasses import replace

import pytest

from exporter import VERSION
from exporter.config import Config
from exporter.web.api.queries import ReportQueries
from exporter.web.settings.location import Location
from exporter.web.site import NOT_FOUND, RELOAD_DISABLED, yield_to_event_loop
from tests.programs import program
from tests.sample_reports import delegated_by_well_known, expired_certificate, watched_server
from tests.scrapes import OPENMETRICS, board_of
from tests.waiting import PATIENCE, until
from tests.web.clients import client, open_descriptors
from tests.web.pages.parsing import Page
from tests.web.serving import NO_RUNNER, client_of, get, served

BOARD = board_of(
    [watched_server("example.org"), watched_server("expired.example.org")],
    delegated_by_well_known(),
    expired_certificate(),
)
PLAIN = "text/plain; charset=utf-8"
NAMES = [f"s{number}.example.org" for number in range(600)]
"""More servers than are compressed together."""


@pytest.mark.parametrize(
    ("ready", "status", "text"),
    [(True, 200, "The exporter is ready.\n"), (False, 503, "The exporter is not ready: it is starting or stopping.\n")],
)
async def test_ready(ready: bool, status: int, text: str) -> None:  # noqa: FBT001 - a case
    """It is ready while it probes servers."""
    response = await get("/-/ready", ready=ready)
    assert (response.status_code, response.headers["content-type"], response.text) == (status, PLAIN, text)


async def test_healthy() -> None:
    """It is healthy whenever it responds, even if it is not ready."""
    response = await get("/-/healthy", ready=False)
    assert (response.status_code, response.text) == (200, "The exporter is healthy.\n")


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/-/", "/favicon.ico", "/%2e%2e/etc/passwd"])
async def test_other_paths_do_not_exist(path: str) -> None:
    """The response is a sentence in plain text, and never a redirect."""
    response = await get(path)
    assert (response.status_code, response.headers["content-type"], response.text) == (404, PLAIN, NOT_FOUND)


async def test_people_get_a_page_where_there_is_nothing() -> None:
    """It leads back to the list, from any depth."""
    response = await get("/some/where", headers=[("Accept", "text/html,*/*;q=0.8")])
    assert (response.status_code, response.headers["content-type"]) == (404, "text/html; charset=utf-8")
    seen = Page(response.text)
    assert "There is nothing at this path." in seen.text
    assert "../" in seen.links


# ---------------------------------------------------------------- location

BEHIND_PROXY = Location("https://example.org/matrix/", "/matrix")


@pytest.mark.parametrize("path", ["/matrix/metrics", "/matrix/-/healthy", "/matrix/servers/example.org"])
async def test_everything_is_below_the_route_prefix(path: str) -> None:
    response = await get(path, board=BOARD, location=BEHIND_PROXY)
    assert response.status_code == 200


async def test_pages_below_the_route_prefix_link_to_each_other() -> None:
    """From any depth."""
    response = await get("/matrix/some/where", headers=[("Accept", "text/html")], location=BEHIND_PROXY)
    assert "../metrics" in Page(response.text).links


@pytest.mark.parametrize("path", ["/", "/matrix"])
async def test_the_way_to_the_route_prefix_is_shown(path: str) -> None:
    response = await get(path, location=BEHIND_PROXY)
    assert (response.status_code, response.headers["location"]) == (307, "/matrix/")


@pytest.mark.parametrize("path", ["/metrics", "/matrixes", "/-/ready", "/%6datrix/metrics"])
async def test_nothing_is_outside_of_the_route_prefix(path: str) -> None:
    response = await get(path, location=BEHIND_PROXY)
    assert (response.status_code, response.text) == (404, "There is nothing at this path: see --web.route-prefix.\n")


# ---------------------------------------------------------------- /config


async def test_the_configuration_in_effect_is_shown() -> None:
    """As text: a browser does not take it for a page."""
    response = await get("/config", queries=ReportQueries(BOARD, NO_RUNNER, Config))
    assert (response.status_code, response.headers["content-type"]) == (200, PLAIN)
    assert "listen:\n  - 127.0.0.1:10448\n" in response.text


# ---------------------------------------------------------------- /metrics


async def test_metrics_as_text() -> None:
    """They contain the servers and the exporter itself."""
    response = await get("/metrics", board=BOARD)
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.text.splitlines()
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
async def test_metrics_as_openmetrics(accept: list[tuple[str, str]]) -> None:
    """Several headers with the same name are one list (RFC 9110, section 5.3)."""
    response = await get("/metrics", headers=accept, board=BOARD)
    assert response.headers["content-type"] == f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
    assert response.text.endswith("# EOF\n")


@pytest.mark.parametrize("names", ["name[]={0}&name[]={1}", "name%5B%5D={0}&name%5B%5D={1}"], ids=["plain", "encoded"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_scrape_may_name_the_metrics_it_wants(names: str, encoding: str) -> None:
    """Of the servers and of the exporter itself."""
    query = names.format("matrix_federation_probe_success", "matrix_federation_exporter_probes_in_flight")
    response = await get(f"/metrics?{query}", headers=[("Accept-Encoding", encoding)], board=BOARD)
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    assert lines == [
        'matrix_federation_probe_success{server_name="example.org"} 1.0',
        'matrix_federation_probe_success{server_name="expired.example.org"} 0.0',
        "matrix_federation_exporter_probes_in_flight 0.0",
    ]


async def test_a_metric_that_does_not_exist_is_no_error() -> None:
    """The response is empty, as with prometheus-client."""
    response = await get("/metrics?name[]=nothing&name[]=", board=BOARD)
    assert (response.status_code, response.text) == (200, "")


async def test_metrics_are_compressed_on_request() -> None:
    """The client accepts gzip."""
    response = await get("/metrics", headers=[("Accept-Encoding", "gzip")], board=BOARD)
    assert (response.headers["content-encoding"], response.headers["vary"]) == ("gzip", "Accept, Accept-Encoding")
    assert 'probe_success{server_name="example.org"} 1.0' in response.text


@pytest.mark.system("curl")
@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
async def test_clients_read_what_is_compressed_as_what_is_not(accept: str) -> None:
    """Also of a later scrape, in which one result is new. curl reads a stream to the end of its first member only."""
    board = board_of(map(watched_server, NAMES), *map(delegated_by_well_known, NAMES))
    async with served(board) as address, client_of(address) as session:
        for seconds in (1.0, 2.0):
            board.put(replace(delegated_by_well_known(NAMES[0]), seconds=seconds))
            plain = (await session.get("/metrics", headers={"Accept": accept, "Accept-Encoding": "identity"})).content
            by_httpx = (await session.get("/metrics", headers={"Accept": accept})).content
            by_curl = await curl("--compressed", "--header", f"Accept: {accept}", f"http://{address}/metrics")
            of_servers = [line for line in plain.splitlines() if b"server_name=" in line]
            for body in (by_httpx, by_curl):
                assert [line for line in body.splitlines() if b"server_name=" in line] == of_servers
                assert body.endswith(b"# EOF\n") is (accept == OPENMETRICS)
            assert f'probe_duration_seconds{{server_name="{NAMES[0]}"}} {seconds}'.encode() in by_curl


async def curl(*arguments: str) -> bytes:
    """Return the body of a response. Raises AssertionError with the complaint of curl."""
    process = await asyncio.create_subprocess_exec(
        program("curl"), "--silent", "--show-error", "--fail", *arguments, stdout=PIPE, stderr=PIPE
    )
    body, complaint = await process.communicate()
    assert (process.returncode, complaint) == (0, b"")
    return body


async def test_metrics_are_not_compressed_otherwise() -> None:
    """The client accepts only the identity encoding."""
    response = await get("/metrics", headers=[("Accept-Encoding", "identity")], board=BOARD)
    assert "content-encoding" not in response.headers


async def test_head_is_get_without_the_body() -> None:
    """The headers are the same, apart from the date."""
    whole, head = await get("/metrics", board=BOARD), await get("/metrics", "HEAD", board=BOARD)
    for response in (whole, head):
        del response.headers["date"]
    assert (head.status_code, dict(head.headers), head.content) == (200, dict(whole.headers), b"")


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
async def test_pages_are_read_only(path: str) -> None:
    """A POST request gets status 405."""
    response = await get(path, "POST")
    assert (response.status_code, sorted(response.headers["allow"].split(", "))) == (405, ["GET", "HEAD"])


async def test_a_scrape_does_not_block_the_event_loop() -> None:
    """Other tasks run between two chunks."""
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


async def reload_successfully() -> Iterable[object]:
    return ()


async def reload_with_complaints() -> Iterable[object]:
    return ("config.yaml:1: first", "config.yaml:2: second")


async def test_reload() -> None:
    """The response says that the configuration was reloaded."""
    response = await get("/-/reload", "POST", reload=reload_successfully)
    assert (response.status_code, response.text) == (200, "The configuration was reloaded.\n")


async def test_reload_of_an_invalid_configuration() -> None:
    """The response has all complaints in plain text."""
    response = await get("/-/reload", "POST", reload=reload_with_complaints)
    complaints = "The configuration was not applied:\nconfig.yaml:1: first\nconfig.yaml:2: second\n"
    assert (response.status_code, response.headers["content-type"], response.text) == (500, PLAIN, complaints)


async def test_reload_is_disabled_by_default() -> None:
    """Otherwise anyone who can scrape the exporter could reload it."""
    response = await get("/-/reload", "POST")
    assert (response.status_code, response.text) == (403, RELOAD_DISABLED)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_reload_requires_post(method: str) -> None:
    """A link or a crawler must not trigger a reload."""
    response = await get("/-/reload", method, reload=reload_successfully)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_reload_completes_even_if_its_client_disconnects() -> None:
    """A configuration must not be applied partially."""
    started, may_finish, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def reload() -> Iterable[object]:
        started.set()
        await may_finish.wait()
        ended.set()
        return ()

    async with served(reload=reload) as address:
        before = open_descriptors()
        async with client(address) as (_, writer):
            writer.write(b"POST /-/reload HTTP/1.1\r\nHost: exporter\r\n\r\n")
            await started.wait()
        await until(lambda: open_descriptors() == before)
        assert not ended.is_set()
        may_finish.set()
        async with asyncio.timeout(PATIENCE):
            assert await ended.wait()
