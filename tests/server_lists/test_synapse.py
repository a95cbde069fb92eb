"""The servers that a Synapse federates with, from a fake that paginates as Synapse does, over real sockets."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

import pytest

from exporter.config import SynapseDestinations
from exporter.server_lists import synapse
from exporter.server_lists.fetch import ListError
from exporter.server_lists.synapse import DESTINATIONS, MAX_PAGE_BYTES, SynapseList
from tests.server_lists.serving import Respond, http_response, json_response, serving

Document: TypeAlias = dict[str, object]

DAY = 86400


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("syt_secret\n")
    return file


def destination(name: str, failing_days: float | None = None) -> Document:
    since = None if failing_days is None else int((time.time() - failing_days * DAY) * 1000)
    return {
        "destination": name,
        "retry_last_ts": 0,
        "retry_interval": 0,
        "failure_ts": since,
        "last_successful_stream_ordering": 17,
    }


def synapse_responses(destinations: Sequence[Document]) -> Respond:
    """Respond as Synapse's ListDestinationsRestServlet does."""

    def page(target: str) -> bytes:
        parts = urlsplit(target)
        assert parts.path == DESTINATIONS
        start, limit = (int(parse_qs(parts.query)[key][0]) for key in ("from", "limit"))
        found = destinations[start : start + limit]
        more = {"next_token": str(start + len(found))} if start + limit < len(destinations) else {}
        return json_response({"destinations": found, "total": len(destinations)} | more)

    return page


async def failure(source: SynapseList) -> str:
    with pytest.raises(ListError) as caught:
        await source.fetch()
    return str(caught.value)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6, 7])
async def test_all_pages_are_read(count: int, token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last page may be full, or empty. The token is sent with each request."""
    monkeypatch.setattr(synapse, "PAGE_SIZE", 3)
    everything = [f"s{number}.example.org" for number in range(count)]
    async with serving(synapse_responses(list(map(destination, everything)))) as server:
        found = await SynapseList(SynapseDestinations(server.url, token)).fetch()
    assert list(map(str, found.servers)) == everything
    starts = range(0, max(1, count), 3)
    assert [head.splitlines()[0] for head in server.heads] == [
        f"GET {DESTINATIONS}?from={start}&limit=3 HTTP/1.1" for start in starts
    ]
    assert server.header("authorization") == ["Bearer syt_secret"] * len(starts)


async def test_invalid_server_names_are_left_out(token: Path) -> None:
    """Any user can bring one into a room: it must not make the list invalid."""
    found = ["example.org", "exa mple.org", "", "https://example.org", "example.org\n", "example.net:8448"]
    async with serving(synapse_responses(list(map(destination, found)))) as server:
        listing = await SynapseList(SynapseDestinations(server.url, token)).fetch()
    assert (list(map(str, listing.servers)), listing.rejected) == (["example.org", "example.net:8448"], 4)
    assert str(listing.complaints[2]) == (
        "the response: expected a server name, found `https://example.org`: this is a URL: drop the scheme and the path"
    )


async def test_destinations_that_have_failed_for_long_are_ignored_if_configured(token: Path) -> None:
    destinations = [destination("healthy.example"), destination("late.example", 6), destination("gone.example", 8)]
    async with serving(synapse_responses(destinations)) as server:
        everything = await SynapseList(SynapseDestinations(server.url, token)).fetch()
        alive = await SynapseList(SynapseDestinations(server.url, token, failing_at_most=7.0 * DAY)).fetch()
    assert list(map(str, everything.servers)) == ["healthy.example", "late.example", "gone.example"]
    assert list(map(str, alive.servers)) == ["healthy.example", "late.example"]


async def test_a_very_large_failure_time_is_in_the_future(token: Path) -> None:
    """Integers in JSON have no limit."""
    far = destination("odd.example") | {"failure_ts": 10**400}
    async with serving(synapse_responses([far])) as server:
        alive = await SynapseList(SynapseDestinations(server.url, token, failing_at_most=7.0 * DAY)).fetch()
    assert list(map(str, alive.servers)) == ["odd.example"]


async def test_a_page_that_fails_makes_the_whole_list_fail(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the servers on the other pages would be dropped."""
    monkeypatch.setattr(synapse, "PAGE_SIZE", 1)
    pages = synapse_responses([destination("a.example"), destination("b.example")])
    async with serving(lambda to: http_response(b"", status="502 No") if "from=1" in to else pages(to)) as server:
        message = await failure(SynapseList(SynapseDestinations(server.url, token)))
    assert message == "expected status 200, found 502"


async def test_an_endless_list_is_a_failure(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may refer to itself, or there may be more and more pages."""
    monkeypatch.setattr(synapse, "MAX_PAGES", 3)
    endless = "expected a last page, found another page after {}"
    async with serving(lambda _: json_response({"destinations": [], "next_token": "0"})) as server:
        assert await failure(SynapseList(SynapseDestinations(server.url, token))) == endless.format(1)

    def another(target: str) -> bytes:
        return json_response({"destinations": [], "next_token": int(parse_qs(urlsplit(target).query)["from"][0]) + 1})

    async with serving(another) as server:
        assert await failure(SynapseList(SynapseDestinations(server.url, token))) == endless.format(3)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"<!doctype html>", "Invalid JSON: expected value at line 1 column 1"),
        (b"[]", "Input should be an object"),
        (b"{}", "destinations: Field required"),
        (b'{"destinations": [{"destination": 5}]}', "destinations.0.destination: Input should be a valid string"),
        (b"[" * 100_000, "Invalid JSON: recursion limit exceeded at line 1 column 202"),
    ],
)
async def test_a_body_that_is_not_a_page_is_a_failure(body: bytes, found: str, token: Path) -> None:
    """The message says where it is wrong."""
    async with serving(lambda _: http_response(body)) as server:
        message = await failure(SynapseList(SynapseDestinations(server.url, token)))
    assert message == f"expected a page of destinations, found something else: {found}"


async def test_the_size_of_a_page_is_limited(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has as many destinations as requested, and at most 1 MiB."""
    monkeypatch.setattr(synapse, "PAGE_SIZE", 3)
    page = {"destinations": [destination("example.org")] * 4}
    async with serving(lambda _: json_response(page)) as server:
        message = await failure(SynapseList(SynapseDestinations(server.url, token)))
    assert message == "expected at most 3 destinations on a page, found 4"
    async with serving(lambda _: http_response(b" " * (MAX_PAGE_BYTES + 1))) as server:
        message = await failure(SynapseList(SynapseDestinations(server.url, token)))
    assert message == "expected at most 1 MiB, found more"


async def test_the_number_of_servers_is_limited(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those on all pages are counted."""
    monkeypatch.setattr(synapse, "PAGE_SIZE", 2)
    everything = [f"s{number}.example.org" for number in range(7)]
    async with serving(synapse_responses(list(map(destination, everything)))) as server:
        listing = await SynapseList(SynapseDestinations(server.url, token), max_servers=3).fetch()
    assert (list(map(str, listing.servers)), listing.rejected) == (everything[:3], 4)


async def test_a_wrong_token_is_a_failure(token: Path) -> None:
    """The message does not contain the token."""
    unknown = http_response(b'{"errcode":"M_UNKNOWN_TOKEN","error":"syt_secret"}', status="401 Unauthorized")
    async with serving(lambda _: unknown) as server:
        message = await failure(SynapseList(SynapseDestinations(server.url, token)))
    assert message == "expected status 200, found 401: check the token"
