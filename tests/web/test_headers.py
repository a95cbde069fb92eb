"""The headers of every response."""

from pathlib import Path

import pytest
from starlette.types import Message

from exporter.web.headers import SECURITY_HEADERS, with_headers
from exporter.web.pages import rendering
from tests.web.serving import get
from tests.web.settings.exporter_with_curl import PASSWORD, USERS, running_exporter

BODY: Message = {"type": "http.response.body", "body": b"text"}


async def sent(*messages: Message, headers: dict[str, str]) -> list[Message]:
    """Send the messages of a response, and return those that reach the server."""
    received: list[Message] = []

    async def send(message: Message) -> None:
        received.append(message)

    wrapped = with_headers(headers, send)
    for message in messages:
        await wrapped(message)
    return received


async def test_headers_are_added_to_the_start_of_a_response() -> None:
    """Other messages are unchanged."""
    start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]}
    first, second = await sent(start, BODY, headers={"X-Frame-Options": "DENY"})
    assert (first["headers"], second) == ([(b"x-own", b"1"), (b"x-frame-options", b"DENY")], BODY)


async def test_headers_of_the_response_itself_remain() -> None:
    """Names are compared without regard to case."""
    start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=1")]}
    (first,) = await sent(start, headers={"Cache-Control": "no-store"})
    assert first["headers"] == [(b"cache-control", b"max-age=1")]


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/-/reload", "/nothing", "/api/openapi.json"])
async def test_every_response_has_the_security_headers(path: str) -> None:
    """A browser makes no page of it."""
    headers = (await get(path)).headers
    assert {header: headers[header] for header in SECURITY_HEADERS} == SECURITY_HEADERS


async def test_a_page_may_only_load_its_style_and_icons_and_send_forms_to_its_own_site() -> None:
    """The other headers are those of every response."""
    headers = (await get("/")).headers
    expected = {**SECURITY_HEADERS, **rendering.HEADERS}
    assert {header: headers[header] for header in expected} == expected
    policy = dict(directive.split(" ", 1) for directive in headers["content-security-policy"].split("; "))
    assert {directive: value for directive, value in policy.items() if value != "'none'"} == {
        "style-src": "'self'",
        "img-src": "'self'",
        "form-action": "'self'",
    }


async def test_configured_headers_are_in_every_response(tmp_path: Path) -> None:
    """They are in every response, including refusals. A header that a page sets itself remains."""
    headers = "http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: default-src x}}\n"
    async with running_exporter(tmp_path, USERS + headers) as exporter:
        for options in ((), ("--user", f"alice:{PASSWORD}")):
            response = await exporter.curl("/metrics", *options, scheme="http")
            assert "x-frame-options: deny\n" in response.head.replace("\r", "")
            assert response.head.count("content-security-policy: default-src x") == 1
        response = await exporter.curl("/", "--user", f"alice:{PASSWORD}", scheme="http")
        assert response.head.count("content-security-policy") == 1
        assert "default-src 'none'" in response.head
