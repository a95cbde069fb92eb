"""The support document: whom to contact about a server."""

import asyncio
import json
from typing import Any

import pytest

from exporter.demo.https_server import NOT_FOUND, Response, json_response
from exporter.demo.https_server import support as support_page
from exporter.model import names
from exporter.model.findings import Contact, Support
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import HttpResponse
from exporter.probing.stages.support import (
    MAX_BYTES,
    MAX_CHARACTERS,
    MAX_CONTACTS,
    MAX_PAGE_CHARACTERS,
    PATH,
    evaluate,
    run,
)
from tests.certificates import handshake
from tests.fake_world import SILENCE, FakeNetwork, Reaction, Server, http_response
from tests.probing.stages.websites import EXAMPLE, WWW, redirect_to, requests

ADMIN = Contact("m.role.admin", "@admin:example.test", "admin@example.test")
DOCUMENT = http_response(support_page("example.test"))
SUPPORT = Support((ADMIN,), "https://example.test/support")


def websites(response: Reaction[HttpResponse], www: Reaction[HttpResponse] = DOCUMENT) -> FakeNetwork:
    """Return a network with the web servers of example.test and www.example.test."""
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1",), "www.example.test": ("192.0.2.2",)},
        servers={
            EXAMPLE: Server(handshake("example.test"), {PATH: response}),
            WWW: Server(handshake("www.example.test"), {"/support.json": www}),
        },
    )


async def fetch(network: FakeNetwork, name: str = "example.test", seconds: float = 5.0) -> Support | None:
    return await run(network, names.parse(name), asyncio.Semaphore(1), Deadline.for_probe(seconds))


def seen(document: Any) -> Support | None:
    return evaluate(http_response(json_response(document)))


def contacts(*listed: object) -> tuple[Contact, ...]:
    found = seen({"contacts": list(listed), "support_page": "https://example.test"})
    assert found
    return found.contacts


def page(url: object) -> str | None:
    found = seen({"contacts": [{"email_address": "a@example.test"}], "support_page": url})
    assert found
    return found.page


# ---------------------------------------------------------------- the request


@pytest.mark.parametrize("name", ["example.test", "example.test:8448"])
async def test_the_host_of_the_server_name_says_whom_to_contact(name: str) -> None:
    """A port in the server name does not matter."""
    network = websites(DOCUMENT)
    assert await fetch(network, name) == SUPPORT
    assert requests(network) == [f"example.test{PATH}"]


async def test_a_redirect_is_followed() -> None:
    """It may lead to another host."""
    network = websites(redirect_to("https://www.example.test/support.json"))
    assert await fetch(network) == SUPPORT
    assert requests(network) == [f"example.test{PATH}", "www.example.test/support.json"]


@pytest.mark.parametrize(
    ("response", "www"),
    [
        (http_response(NOT_FOUND), DOCUMENT),
        (ConnectionResetError(104, "reset"), DOCUMENT),
        (redirect_to("http://www.example.test/support.json"), DOCUMENT),
        (redirect_to(PATH), DOCUMENT),
        (redirect_to("javascript:alert(1)"), DOCUMENT),
        (redirect_to("https://www.example.test/support.json"), redirect_to("https://nowhere.test/")),
    ],
)
async def test_what_cannot_be_fetched_counts_as_absent(
    response: Reaction[HttpResponse], www: Reaction[HttpResponse]
) -> None:
    """Plain http and loops are not followed."""
    assert await fetch(websites(response, www)) is None


async def test_a_chain_of_redirects_ends() -> None:
    """A web server can redirect each request to another path."""
    network = websites(redirect_to("/1"))
    network.servers[EXAMPLE] = Server(
        handshake("example.test"),
        {PATH: redirect_to("/1"), **{f"/{number}": redirect_to(f"/{number + 1}") for number in range(1, 30)}},
    )
    assert (await fetch(network), len(requests(network))) == (None, 6)


@pytest.mark.silence
async def test_silence_ends_at_the_deadline() -> None:
    assert await fetch(websites(SILENCE), seconds=0.2) is None


# ---------------------------------------------------------------- what counts


@pytest.mark.parametrize(
    "response",
    [
        Response(200, (), b"[]"),
        json_response({}),
        json_response({"contacts": [], "support_page": None}),
        json_response({"contacts": {"role": "m.role.admin"}}),
        json_response({"contacts": "admin@example.test"}),
        json_response({"contacts": [None, 1, "a", [], {}, {"role": "m.role.admin"}]}),
        Response(200, (), b"<!doctype html>"),
        Response(200, (), b"[" * 10_000),
        Response(200, (), json.dumps({"support_page": "https://example.test"}).encode().ljust(MAX_BYTES + 1)),
        Response(500, (), json.dumps({"support_page": "https://example.test"}).encode()),
    ],
)
def test_a_document_without_anything_valid_counts_as_absent(response: Response) -> None:
    """It is no fault of the federation."""
    assert evaluate(http_response(response)) is None


@pytest.mark.parametrize(
    "address", ["@admin:example.test", "@a.b_c=d-e/f+g:example.test:8448", "@a:[2001:db8::1]", "@x:192.0.2.1"]
)
def test_a_matrix_id_is_kept(address: str) -> None:
    assert contacts({"matrix_id": address}) == (Contact(None, address, None),)


@pytest.mark.parametrize(
    "address",
    [
        *(None, 1, [], {}, "", "admin", "@admin", "@:example.test", "@a b:example.test", "@a:ex\u202eample.test"),
        "@a\n:example.test",
        "@a:" + "b" * MAX_CHARACTERS,
        "@é:example.test",
        "@a:b\ud800",
    ],
)
def test_what_is_no_matrix_id_is_left_out(address: object) -> None:
    assert contacts({"matrix_id": address}) == ()


@pytest.mark.parametrize("address", ["admin@example.test", "a+b.c@mail.example.test", "日本@例え.test"])
def test_an_email_address_is_kept(address: str) -> None:
    assert contacts({"email_address": address}) == (Contact(None, None, address),)


@pytest.mark.parametrize(
    "address",
    [
        *(None, 1, "", "admin", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\r\nBcc: c@d", "a@b,c@d", "<a@b>"),
        '"><script>alert(1)</script>@example.test',
        "a@" + "b" * MAX_CHARACTERS,
    ],
)
def test_what_is_no_email_address_is_left_out(address: object) -> None:
    """A page makes a link of it."""
    assert contacts({"email_address": address}) == ()


@pytest.mark.parametrize(
    ("role", "kept"),
    [
        ("m.role.security", "m.role.security"),
        ("org.example.janitor", "org.example.janitor"),
        (None, None),
        (1, None),
        ("", None),
        ("a\n\x1b[31m", "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[31m"),
        ("x" * 100, "x" * 63 + "…"),
    ],
)
def test_a_role_is_any_text(role: object, kept: str | None) -> None:
    """The specification lets servers name their own."""
    assert contacts({"role": role, "email_address": "a@example.test"}) == (Contact(kept, None, "a@example.test"),)


def test_only_the_first_contacts_are_kept() -> None:
    """There may be thousands."""
    listed = [{"email_address": f"{number}@b"} for number in range(500)]
    assert [contact.email_address for contact in contacts(*listed)] == [f"{number}@b" for number in range(MAX_CONTACTS)]


@pytest.mark.parametrize(
    "url", ["https://example.test/support", "http://example.test", "https://[2001:db8::1]:8443/?a=b#c"]
)
def test_a_support_page_is_kept(url: str) -> None:
    assert page(url) == url


@pytest.mark.parametrize(
    "url",
    [
        *(None, 1, "", "example.test", "//example.test", "/support", "javascript:alert(1)", "data:text/html,x"),
        *("ftp://example.test", "https://", "https://user:secret@example.test/", "https://a b/", "https://a\n.test/"),
        " javascript:alert(1)",
        "https://[::1",
        "https://example.test/" + "a" * MAX_PAGE_CHARACTERS,
    ],
)
def test_what_a_page_must_not_link_to_is_left_out(url: object) -> None:
    """Nothing that runs, no user information, and nothing that is relative to the exporter's own pages."""
    assert page(url) is None
