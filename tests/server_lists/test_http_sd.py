"""Server names from URLs in Prometheus's http_sd format, over real sockets."""

from pathlib import Path

import pytest

from exporter import USER_AGENT
from exporter.config import ServerUrl
from exporter.demo.authority import Authority
from exporter.model import names
from exporter.server_lists import fetch
from exporter.server_lists.fetch import MAX_BYTES, ListError
from exporter.server_lists.http_sd import HttpSdList
from tests.server_lists.serving import SILENCE, answer, groups, ok, serving


async def refusal(source: HttpSdList) -> str:
    with pytest.raises(ListError) as refused:
        await source.names()
    return str(refused.value)


async def refusal_of(content: bytes) -> str:
    """What is said of this answer."""
    async with serving(lambda _: content) as server:
        return await refusal(HttpSdList(ServerUrl(server.url)))


async def test_names_are_read() -> None:
    """Of all groups, in their order; the question is a plain GET that says who asks."""
    document = [{"targets": ["example.org", "[2001:db8::1]:8448"]}, {}, {"targets": ["example.net"], "labels": {}}]
    async with serving(lambda _: ok(document)) as server:
        found = await HttpSdList(ServerUrl(f"{server.url}/servers?tag=a%20b")).names()
    assert list(map(str, found)) == ["example.org", "[2001:db8::1]:8448", "example.net"]
    (head,) = server.heads
    assert head.splitlines()[0] == "GET /servers?tag=a%20b HTTP/1.1"
    asked = {name: server.header(name) for name in ("user-agent", "accept", "accept-encoding", "authorization")}
    assert asked == {
        "user-agent": [USER_AGENT],
        "accept": ["application/json"],
        "accept-encoding": ["identity"],
        "authorization": [],
    }


async def test_headers_and_token_are_sent(tmp_path: Path) -> None:
    """The token as its file is at that moment; its own headers go before ours."""
    token = tmp_path / "token"
    headers = {"X-Key": "5 6", "user-agent": "inventory"}
    async with serving(lambda _: groups("example.org")) as server:
        source = HttpSdList(ServerUrl(server.url, token_file=token, headers=headers))
        for content in ("first\n", "second"):
            token.write_text(content)
            await source.names()
    assert server.header("authorization") == ["Bearer first", "Bearer second"]
    assert (server.header("x-key"), server.header("user-agent")) == (["5 6"] * 2, ["inventory"] * 2)


async def test_an_empty_list_is_a_list() -> None:
    """Whoever answers so means it."""
    async with serving(lambda _: ok([])) as server:
        assert await HttpSdList(ServerUrl(server.url)).names() == ()


# ---------------------------------------------------------------- TLS


async def test_certificates_are_verified(tmp_path: Path) -> None:
    """By the file that is named, or else as the system would."""
    authority = Authority(tmp_path)
    context = authority.issue(["localhost"]).server_context()
    async with serving(lambda _: groups("example.org"), context, "localhost") as server:
        assert await HttpSdList(ServerUrl(server.url, ca_file=authority.ca_file)).names() == (
            names.parse("example.org"),
        )
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal(HttpSdList(ServerUrl(server.url)))
        other = server.url.replace("localhost", "127.0.0.1")
        assert "IP address mismatch" in await refusal(HttpSdList(ServerUrl(other, ca_file=authority.ca_file)))


async def test_a_missing_ca_file_is_told(tmp_path: Path) -> None:
    """It may have gone since the configuration was read."""
    said = await refusal(HttpSdList(ServerUrl("https://127.0.0.1:1/", ca_file=tmp_path / "ca.pem")))
    assert said == "ca_file cannot be used: [Errno 2] No such file or directory"


# ---------------------------------------------------------------- answers that are none


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("401 Unauthorized", "expected status 200, found 401: check the token"),
        ("403 Forbidden", "expected status 200, found 403: check what the token allows"),
        ("404 Not Found", "expected status 200, found 404: check the path of the URL"),
        ("204 No Content", "expected status 200, found 204"),
        ("302 Found", "expected status 200, found 302"),
        ("500 Internal Server Error", "expected status 200, found 500"),
    ],
)
async def test_other_statuses_are_failures(status: str, said: str) -> None:
    """Whatever their body says."""
    assert await refusal_of(answer(b"[]", status=status)) == said


async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    """They could lead a token to anybody; a password and what the query bears are not shown."""
    (tmp_path / "token").write_text("hunter2")
    async with serving(lambda _: groups("example.org")) as elsewhere:
        location = elsewhere.url.replace("//", "//admin:hunter3@")
        redirect = answer(b"", f"Location: {location}/list?key=hunter2", status="301 Moved Permanently")
        async with serving(lambda _: redirect) as server:
            said = await refusal(HttpSdList(ServerUrl(server.url, token_file=tmp_path / "token")))
    assert said == f"expected status 200, found 301, a redirect to {elsewhere.url}/list: write the final URL"
    assert elsewhere.heads == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the answer:1: invalid JSON: Expecting value"),
        (b"<!doctype html>", "the answer:1: invalid JSON: Expecting value"),
        (b"{}", "the answer:1: expected a list, found a mapping: begin each item with `- `"),
        (
            b'["example.org"]',
            "the answer:1: [0]: expected a mapping with any of the keys targets, labels, found `example.org`",
        ),
        (b"\xff", "the answer:1: expected UTF-8, found the byte 0xff: save the file as UTF-8"),
        (
            b"[" * 100_000,
            "the answer: cannot parse this JSON: it is nested too deeply, or contains a number that is too long",
        ),
    ],
)
async def test_what_is_no_list_is_told(body: bytes, said: str) -> None:
    """In the words for files."""
    assert await refusal_of(answer(body)) == said


async def test_one_wrong_name_spoils_the_list_as_in_a_file() -> None:
    """Only the first complaint is told in full: there may be thousands."""
    said = await refusal_of(groups("example.org", "example org", "x y"))
    expected = "expected a server name such as example.org or example.org:8448, found `example org`"
    assert said.startswith(f"the answer:1: [0].targets[1]: {expected}")
    assert said.endswith(", and 1 more complaints")


async def test_bodies_are_bounded() -> None:
    """Also where no length was announced, and where it was a lie."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    huge = head + b" " * (MAX_BYTES + 1)
    assert await refusal_of(huge) == "expected at most 32 MiB, found more"


async def test_compressed_answers_are_refused() -> None:
    """A few bytes of them may stand for any number."""
    said = await refusal_of(answer(b"", "Content-Encoding: gzip"))
    assert said == "expected an answer that is not compressed, as was asked for, found one that is"


async def test_connections_that_fail_are_told() -> None:
    """Refused, closed early, or no http at all."""
    async with serving(lambda _: b"") as server:
        early = await refusal(HttpSdList(ServerUrl(server.url)))
    gone = await refusal(HttpSdList(ServerUrl(server.url)))
    assert early == "expected an answer, found an error: Server disconnected without sending a response."
    assert gone == "expected an answer, found an error: All connection attempts failed"
    assert (await refusal_of(b"220 smtp\r\n\r\n")).startswith("expected an answer, found an error: illegal status line")
    assert (await refusal_of(answer(b"[]").replace(b"2\r\n", b"9\r\n"))).startswith(
        "expected an answer, found an error"
    )


async def test_a_host_that_dns_cannot_even_ask_for_is_told() -> None:
    """A label has 63 characters at most."""
    said = await refusal(HttpSdList(ServerUrl(f"http://{'a' * 64}.example/")))
    assert said.startswith("expected an answer, found an error: ")


async def test_silence_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even after a good beginning."""
    monkeypatch.setattr(fetch, "ANSWER_SECONDS", 0.05)
    assert await refusal_of(SILENCE) == "expected an answer within 0 s, found none"


@pytest.mark.parametrize("content", [None, "", "hunter2\nhunter3", "h\N{LATIN SMALL LETTER U WITH DIAERESIS}nter2"])
async def test_a_token_file_that_went_bad_is_told_without_the_token(content: str | None, tmp_path: Path) -> None:
    """And nothing is asked without it."""
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    async with serving(lambda _: groups("example.org")) as server:
        said = await refusal(HttpSdList(ServerUrl(server.url, token_file=token)))
    assert said.startswith("token_file cannot be used: expected ")
    assert ("nter" in said, server.heads) == (False, [])
