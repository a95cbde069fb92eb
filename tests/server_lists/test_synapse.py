"""The servers that a Synapse federates with, over real sockets, from a fake that pages as Synapse does."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from exporter.config import SynapseDestinations
from exporter.server_lists import synapse
from exporter.server_lists.fetch import ListError
from exporter.server_lists.synapse import DESTINATIONS, SynapseList
from tests.server_lists.serving import Answers, answer, ok, serving

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


def paging(destinations: Sequence[Document]) -> Answers:
    """As ListDestinationsRestServlet of Synapse does."""

    def page(target: str) -> bytes:
        parts = urlsplit(target)
        assert parts.path == DESTINATIONS
        start, limit = (int(parse_qs(parts.query)[key][0]) for key in ("from", "limit"))
        found = destinations[start : start + limit]
        more = {"next_token": str(start + len(found))} if start + limit < len(destinations) else {}
        return ok({"destinations": found, "total": len(destinations)} | more)

    return page


async def refusal(source: SynapseList) -> str:
    with pytest.raises(ListError) as refused:
        await source.names()
    return str(refused.value)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6, 7])
async def test_all_pages_are_read(count: int, token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, and however full the last one is; the token is sent with each."""
    monkeypatch.setattr(synapse, "PAGE_SIZE", 3)
    everyone = [f"s{number}.example.org" for number in range(count)]
    async with serving(paging(list(map(destination, everyone)))) as server:
        found = await SynapseList(SynapseDestinations(server.url, token)).names()
    assert list(map(str, found)) == everyone
    starts = range(0, max(1, count), 3)
    assert [head.splitlines()[0] for head in server.heads] == [
        f"GET {DESTINATIONS}?from={start}&limit=3 HTTP/1.1" for start in starts
    ]
    assert server.header("authorization") == ["Bearer syt_secret"] * len(starts)


async def test_what_is_no_server_name_is_left_out(token: Path) -> None:
    """Anybody may put such a thing into a room, and it must not cost the rest of the list."""
    names = ["example.org", "exa mple.org", "", "https://example.org", "example.org\n", "example.net:8448"]
    async with serving(paging(list(map(destination, names)))) as server:
        with capture_logs() as logged:
            found = await SynapseList(SynapseDestinations(server.url, token)).names()
    assert list(map(str, found)) == ["example.org", "example.net:8448"]
    assert [(entry["log_level"], entry["destination"]) for entry in logged] == [("debug", name) for name in names[1:5]]


async def test_those_that_fail_for_long_may_be_left_out(token: Path) -> None:
    """But not unless it is asked for."""
    destinations = [destination("healthy.example"), destination("late.example", 6), destination("gone.example", 8)]
    async with serving(paging(destinations)) as server:
        everyone = await SynapseList(SynapseDestinations(server.url, token)).names()
        alive = await SynapseList(SynapseDestinations(server.url, token, failing_at_most=7.0 * DAY)).names()
    assert list(map(str, everyone)) == ["healthy.example", "late.example", "gone.example"]
    assert list(map(str, alive)) == ["healthy.example", "late.example"]


async def test_a_time_beyond_all_clocks_is_in_the_future(token: Path) -> None:
    """Integers in JSON have no end."""
    far = destination("odd.example") | {"failure_ts": 10**400}
    async with serving(paging([far])) as server:
        alive = await SynapseList(SynapseDestinations(server.url, token, failing_at_most=7.0 * DAY)).names()
    assert list(map(str, alive)) == ["odd.example"]


async def test_half_a_list_is_none(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that fails spoils those before it, else the servers of the others would be dropped."""
    monkeypatch.setattr(synapse, "PAGE_SIZE", 1)
    pages = paging([destination("a.example"), destination("b.example")])
    async with serving(lambda to: answer(b"", status="502 Bad Gateway") if "from=1" in to else pages(to)) as server:
        said = await refusal(SynapseList(SynapseDestinations(server.url, token)))
    assert said == "expected status 200, found 502"


async def test_pages_must_come_to_an_end(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that leads back, and ever new ones."""
    monkeypatch.setattr(synapse, "MAX_PAGES", 3)
    endless = "expected the pages to come to an end, found one after {} of them"
    async with serving(lambda _: ok({"destinations": [], "next_token": "0"})) as server:
        assert await refusal(SynapseList(SynapseDestinations(server.url, token))) == endless.format(1)

    def another(target: str) -> bytes:
        return ok({"destinations": [], "next_token": int(parse_qs(urlsplit(target).query)["from"][0]) + 1})

    async with serving(another) as server:
        assert await refusal(SynapseList(SynapseDestinations(server.url, token))) == endless.format(3)


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
async def test_what_is_no_page_is_told(body: bytes, found: str, token: Path) -> None:
    """With its place."""
    async with serving(lambda _: answer(body)) as server:
        said = await refusal(SynapseList(SynapseDestinations(server.url, token)))
    assert said == f"expected a page of destinations, found something else: {found}"


async def test_a_wrong_token_is_told(token: Path) -> None:
    """As Synapse answers it, and without the token."""
    unknown = answer(b'{"errcode":"M_UNKNOWN_TOKEN","error":"syt_secret"}', status="401 Unauthorized")
    async with serving(lambda _: unknown) as server:
        said = await refusal(SynapseList(SynapseDestinations(server.url, token)))
    assert said == "expected status 200, found 401: check the token"
