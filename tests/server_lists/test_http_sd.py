"""Server names from URLs in Prometheus's http_sd format, over real sockets."""

from pathlib import Path

import pytest

from exporter import USER_AGENT
from exporter.config import ServerUrl
from exporter.demo.authority import Authority
from exporter.model import names
from exporter.server_lists import fetch
from exporter.server_lists.fetch import ListError
from exporter.server_lists.http_sd import HttpSdList
from exporter.server_lists.source import MAX_BYTES, Listing
from tests.server_lists.serving import UNFINISHED_RESPONSE, http_response, json_response, serving, target_groups


async def failure(source: HttpSdList) -> str:
    """Return the message of the error."""
    with pytest.raises(ListError) as caught:
        await source.fetch()
    return str(caught.value)


async def failure_of(content: bytes) -> str:
    """Return the message of the error that a response causes."""
    async with serving(lambda _: content) as server:
        return await failure(HttpSdList(ServerUrl(server.url)))


async def test_the_names_of_all_groups_are_read_in_their_order() -> None:
    """The request is a GET that identifies the exporter."""
    document = [{"targets": ["example.org", "[2001:db8::1]:8448"]}, {}, {"targets": ["example.net"], "labels": {}}]
    async with serving(lambda _: json_response(document)) as server:
        found = await HttpSdList(ServerUrl(f"{server.url}/servers?tag=a%20b")).fetch()
    assert list(map(str, found.servers)) == ["example.org", "[2001:db8::1]:8448", "example.net"]
    (head,) = server.heads
    assert head.splitlines()[0] == "GET /servers?tag=a%20b HTTP/1.1"
    sent = {name: server.header(name) for name in ("user-agent", "accept", "accept-encoding", "authorization")}
    assert sent == {
        "user-agent": [USER_AGENT],
        "accept": ["application/json"],
        "accept-encoding": ["identity"],
        "authorization": [],
    }


async def test_headers_and_token_are_sent(tmp_path: Path) -> None:
    """The token is read again for each request. Configured headers override the default ones."""
    token = tmp_path / "token"
    headers = {"X-Key": "5 6", "user-agent": "inventory"}
    async with serving(lambda _: target_groups("example.org")) as server:
        source = HttpSdList(ServerUrl(server.url, token_file=token, headers=headers))
        for content in ("first\n", "second"):
            token.write_text(content)
            await source.fetch()
    assert server.header("authorization") == ["Bearer first", "Bearer second"]
    assert (server.header("x-key"), server.header("user-agent")) == (["5 6"] * 2, ["inventory"] * 2)


async def test_an_empty_list_is_valid() -> None:
    async with serving(lambda _: json_response([])) as server:
        assert await HttpSdList(ServerUrl(server.url)).fetch() == Listing()


# ---------------------------------------------------------------- TLS


async def test_certificates_are_verified(tmp_path: Path) -> None:
    """They are verified with `ca_file`, or with the trust store of the system."""
    authority = Authority(tmp_path)
    context = authority.issue(["localhost"]).server_context()
    async with serving(lambda _: target_groups("example.org"), context, "localhost") as server:
        listing = await HttpSdList(ServerUrl(server.url, ca_file=authority.ca_file)).fetch()
        assert tuple(listing.servers) == (names.parse("example.org"),)
        assert "CERTIFICATE_VERIFY_FAILED" in await failure(HttpSdList(ServerUrl(server.url)))
        other = server.url.replace("localhost", "127.0.0.1")
        assert "IP address mismatch" in await failure(HttpSdList(ServerUrl(other, ca_file=authority.ca_file)))


async def test_a_missing_ca_file_is_a_failure(tmp_path: Path) -> None:
    """It may have been removed after the configuration was loaded."""
    message = await failure(HttpSdList(ServerUrl("https://127.0.0.1:1/", ca_file=tmp_path / "ca.pem")))
    assert message == "ca_file cannot be used: [Errno 2] No such file or directory"


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("401 Unauthorized", "expected status 200, found 401: check the token"),
        ("403 Forbidden", "expected status 200, found 403: check what the token allows"),
        ("404 Not Found", "expected status 200, found 404: check the path of the URL"),
        ("204 No Content", "expected status 200, found 204"),
        ("302 Found", "expected status 200, found 302"),
        ("500 Internal Server Error", "expected status 200, found 500"),
    ],
)
async def test_other_statuses_are_failures(status: str, message: str) -> None:
    """Their body is ignored."""
    assert await failure_of(http_response(b"[]", status=status)) == message


async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    """They could send the token to another server. The message contains neither the password nor the query."""
    (tmp_path / "token").write_text("hunter2")
    async with serving(lambda _: target_groups("example.org")) as other:
        location = other.url.replace("//", "//admin:hunter3@")
        redirect = http_response(b"", f"Location: {location}/list?key=hunter2", status="301 Moved Permanently")
        async with serving(lambda _: redirect) as server:
            message = await failure(HttpSdList(ServerUrl(server.url, token_file=tmp_path / "token")))
    assert message == f"expected status 200, found 301, a redirect to {other.url}/list: configure the final URL"
    assert other.heads == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the response:1: invalid JSON: Expecting value"),
        (b"<!doctype html>", "the response:1: invalid JSON: Expecting value"),
        (b"{}", "the response:1: expected a list, found a mapping: begin each item with `- `"),
        (b"\xff", "the response:1: expected UTF-8, found the byte 0xff: save the file as UTF-8"),
        (
            b"[" * 100_000,
            "the response: cannot parse this JSON: it is nested too deeply, or contains a number that is too long",
        ),
    ],
)
async def test_a_body_that_is_not_a_list_is_a_failure(body: bytes, message: str) -> None:
    """The complaints are those about files."""
    assert await failure_of(http_response(body)) == message


async def test_invalid_entries_are_left_out() -> None:
    """The complaints are those about files."""
    document = ["example.net", {"targets": ["example.org", "example org"]}]
    async with serving(lambda _: json_response(document)) as server:
        listing = await HttpSdList(ServerUrl(server.url)).fetch()
    assert (tuple(listing.servers), listing.rejected) == ((names.parse("example.org"),), 2)
    name = "expected a server name such as example.org or example.org:8448, found `example org`"
    assert list(map(str, listing.complaints)) == [
        "the response:1: [0]: expected a mapping with any of the keys targets, labels, found `example.net`",
        f"the response:1: [1].targets[1]: {name}: a server name has no blanks: remove them",
    ]


# ---------------------------------------------------------------- bounds


async def test_the_size_of_a_body_is_limited() -> None:
    """The limit holds without a Content-Length too."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    huge = head + b" " * (MAX_BYTES + 1)
    assert await failure_of(huge) == "expected at most 8 MiB, found more"


async def test_the_number_of_servers_is_limited() -> None:
    async with serving(lambda _: target_groups("a.example", "b.example", "c.example")) as server:
        listing = await HttpSdList(ServerUrl(server.url), max_servers=2).fetch()
    assert (list(map(str, listing.servers)), listing.rejected) == (["a.example", "b.example"], 1)


async def test_compressed_responses_are_refused() -> None:
    """A few compressed bytes may expand to any number."""
    message = await failure_of(http_response(b"", "Content-Encoding: gzip"))
    assert message == "expected a response without compression, as requested, found a compressed one"


async def test_failed_connections_are_failures() -> None:
    """They are refused, closed early, or not HTTP."""
    async with serving(lambda _: b"") as server:
        closed_early = await failure(HttpSdList(ServerUrl(server.url)))
    refused = await failure(HttpSdList(ServerUrl(server.url)))
    assert closed_early == "expected a response, found an error: Server disconnected without sending a response."
    assert refused == "expected a response, found an error: All connection attempts failed"
    assert await failure_of(b"220 smtp\r\n\r\n") == (
        "expected a response, found an error: illegal status line: 220 smtp"
    )
    assert (await failure_of(http_response(b"[]").replace(b"2\r\n", b"9\r\n"))).startswith(
        "expected a response, found an error"
    )


async def test_a_host_name_that_dns_cannot_represent_is_a_failure() -> None:
    """A label has at most 63 characters."""
    message = await failure(HttpSdList(ServerUrl(f"http://{'a' * 64}.example/")))
    assert message.startswith("expected a response, found an error: ")


async def test_a_response_that_does_not_end_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RESPONSE_SECONDS", 0.05)
    assert await failure_of(UNFINISHED_RESPONSE) == "expected a response within 0 s, found none"


@pytest.mark.parametrize("content", [None, "", "hunter2\nhunter3", "h\N{LATIN SMALL LETTER U WITH DIAERESIS}nter2"])
async def test_an_invalid_token_file_is_a_failure_without_the_token(content: str | None, tmp_path: Path) -> None:
    """No request is sent without it."""
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    async with serving(lambda _: target_groups("example.org")) as server:
        message = await failure(HttpSdList(ServerUrl(server.url, token_file=token)))
    assert message.startswith("token_file cannot be used: expected ")
    assert ("nter" in message, server.heads) == (False, [])
