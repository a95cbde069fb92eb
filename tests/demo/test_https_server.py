import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from exporter.demo.authority import Authority
from exporter.demo.https_server import WELL_KNOWN, HttpsServer, Request, Response, Site, delegation, redirect
from tests.demo.independent_clients import Client, HttpReply, connect, get, host_and_port, strict_context

NAME = "x.lab.test"
OTHER = "other.lab.test"
GREETING = Response(200, (("Content-Type", "text/plain"),), b"hello")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest_asyncio.fixture
async def server(authority: Authority) -> AsyncIterator[HttpsServer]:
    server = HttpsServer()
    server.certificates = {name: authority.issue([name]).server_context() for name in (NAME, OTHER, "2001:db8::1")}
    server.sites[NAME] = Site({"/": GREETING})
    await server.start()
    yield server
    await server.stop()


async def test_a_resource(server: HttpsServer, authority: Authority) -> None:
    """The response has the status, headers and body of the table, and a length."""
    reply = await get(server.address, NAME, authority.ca_file, "/")
    assert reply == HttpReply(200, {"content-type": "text/plain", "content-length": "5"}, b"hello")


@pytest.mark.parametrize(
    ("host", "target", "status"),
    [
        (NAME, "/", 200),
        (f"{NAME}:8448", "/", 200),
        (NAME, "/?a=b", 200),
        (NAME, "/nothing", 404),
        (OTHER, "/", 404),
        ("not a host", "/", 404),
    ],
)
async def test_resources_are_found_by_host_and_path(
    server: HttpsServer, authority: Authority, host: str, target: str, status: int
) -> None:
    """The site is chosen by `Host` without its port, and the resource by the path without its query."""
    assert (await get(server.address, NAME, authority.ca_file, target, host)).status == status


@pytest.mark.parametrize("name", [NAME, OTHER])
async def test_certificates_are_chosen_by_sni(server: HttpsServer, authority: Authority, name: str) -> None:
    """A client gets the certificate of the name that it sends."""
    assert await connect(server.address, name, authority.ca_file) == "verified"


async def test_the_first_certificate_is_for_all_other_names(server: HttpsServer, authority: Authority) -> None:
    """A client that sends no name, as for an IP address, or an unknown one, gets the first certificate."""
    assert await connect(server.address, "2001:db8::1", authority.ca_file) == f"verify error {64}"
    assert await connect(server.address, "unknown.lab.test", authority.ca_file) == f"verify error {62}"
    del server.certificates[NAME], server.certificates[OTHER]
    assert await connect(server.address, "2001:db8::1", authority.ca_file) == "verified"


async def test_requests_are_recorded(server: HttpsServer, authority: Authority) -> None:
    """Each with its SNI, method, target, `Host` and `User-Agent`."""
    await get(
        server.address, NAME, authority.ca_file, "/a?b=%20", f"{OTHER}:443", method="PUT", **{"User-Agent": "test"}
    )
    server.certificates = {"2001:db8::1": server.certificates["2001:db8::1"]}
    await get(server.address, "2001:db8::1", authority.ca_file, "/", "[2001:db8::1]:8448")
    assert list(server.requests) == [
        Request(NAME, "PUT", "/a?b=%20", f"{OTHER}:443", "test"),
        Request(None, "GET", "/", "[2001:db8::1]:8448", ""),
    ]
    assert [request.site for request in server.requests] == [OTHER, "2001:db8::1"]


async def test_a_resource_may_be_a_function(server: HttpsServer, authority: Authority) -> None:
    """It decides, from the request, what to respond and when."""

    async def echo(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(418, body=request.target.encode())

    server.sites[NAME].resources["/echo"] = echo
    reply = await get(server.address, NAME, authority.ca_file, "/echo?x")
    assert (reply.status, reply.body) == (418, b"/echo?x")


async def test_a_body_is_read_and_ignored(server: HttpsServer, authority: Authority) -> None:
    """A request with a body gets its response, and so does the next one."""

    def converse() -> list[int]:
        client = Client(server.address, NAME, authority.ca_file)
        statuses = [client.get(target, "PUT", body=bytes(100_000), Host=NAME).status for target in ("/", "/nothing")]
        client.close()
        return statuses

    assert await asyncio.to_thread(converse) == [200, 404]


def head_of_put(body_bytes: int) -> bytes:
    head = f"PUT / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {body_bytes}\r\nExpect: 100-continue\r\n\r\n"
    return head.encode()


async def test_a_client_that_waits_for_permission_gets_it(server: HttpsServer, authority: Authority) -> None:
    """It gets 100 Continue before it sends the body, and the response afterwards."""

    def converse() -> tuple[bytes, bytes]:
        client = Client(server.address, NAME, authority.ca_file)
        client.tls.sendall(head_of_put(5))
        interim = client.tls.recv(65536)
        responses = client.exchange(b"12345GET / HTTP/1.1\r\nHost: x.lab.test\r\nConnection: close\r\n\r\n")
        client.close()
        return interim, responses

    interim, responses = await asyncio.to_thread(converse)
    assert [request.body for request in server.requests] == [b"12345", b""]
    assert interim == b"HTTP/1.1 100 \r\n\r\n"
    assert responses.count(b"HTTP/1.1 200 OK\r\n") == 2


@pytest.mark.parametrize(("body_bytes", "status"), [(100, b"HTTP/1.1 100 \r\n\r\n"), (101, b"HTTP/1.1 413 ")])
async def test_a_site_may_refuse_a_request_before_its_body(
    server: HttpsServer, authority: Authority, body_bytes: int, status: bytes
) -> None:
    """The client gets the refusal instead of 100 Continue, and the connection is closed."""
    server.sites[NAME].refuse = lambda _, body_bytes: Response(413) if body_bytes > 100 else None

    def converse() -> bytes:
        client = Client(server.address, NAME, authority.ca_file)
        client.tls.sendall(head_of_put(body_bytes))
        received = client.tls.recv(65536)
        client.close()
        return received

    assert (await asyncio.to_thread(converse)).startswith(status)
    assert list(server.requests) == [Request(NAME, "PUT", "/", NAME, "")]


async def test_a_site_may_refuse_a_request_by_what_it_asks_for(server: HttpsServer, authority: Authority) -> None:
    server.sites[NAME].refuse = lambda request, _: None if request.method == "GET" else Response(403)

    def converse() -> bytes:
        client = Client(server.address, NAME, authority.ca_file)
        received = client.exchange(head_of_put(5))
        client.close()
        return received

    assert (await asyncio.to_thread(converse)).startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert (await get(server.address, NAME, authority.ca_file, "/")).status == 200


async def test_what_is_not_http_ends_the_connection(server: HttpsServer, authority: Authority) -> None:
    """The server does not respond."""

    def converse() -> bytes:
        client = Client(server.address, NAME, authority.ca_file)
        received = client.exchange(b"\x00\r\n\r\n")
        client.close()
        return received

    assert await asyncio.to_thread(converse) == b""


async def test_without_a_certificate_there_is_no_handshake(server: HttpsServer, authority: Authority) -> None:
    """With an empty table, every handshake fails."""
    server.certificates.clear()
    assert await connect(server.address, NAME, authority.ca_file) == "UNEXPECTED_EOF_WHILE_READING"


async def test_resources_can_be_changed_while_the_server_runs(server: HttpsServer, authority: Authority) -> None:
    """The tables are read for every request."""
    server.sites[NAME].resources["/"] = Response(503)
    assert (await get(server.address, NAME, authority.ca_file, "/")).status == 503
    del server.sites[NAME].resources["/"]
    assert (await get(server.address, NAME, authority.ca_file, "/")).status == 404
    server.sites[NAME].fallback = Response(410)
    assert (await get(server.address, NAME, authority.ca_file, "/")).status == 410


REQUESTS = [("/", "GET"), ("/nothing", "GET"), ("/", "HEAD"), ("/", "GET")]


async def test_a_connection_serves_several_requests(server: HttpsServer, authority: Authority) -> None:
    """It stays open until a request asks to close it."""

    def converse() -> tuple[list[int], bytes]:
        client = Client(server.address, NAME, authority.ca_file)
        statuses = [client.get(target, method, Host=NAME).status for target, method in REQUESTS]
        last = client.exchange(b"GET / HTTP/1.1\r\nHost: x.lab.test\r\nConnection: close\r\n\r\n")
        client.close()
        return statuses, last

    assert await asyncio.to_thread(converse) == (
        [200, 404, 200, 200],
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    )


def test_responses_of_a_well_known() -> None:
    """A delegation is JSON that may be cached for a day, and a redirect has a location."""
    assert delegation("hs.test:443") == Response(
        200, (("Content-Type", "application/json"), ("Cache-Control", "max-age=86400")), b'{"m.server": "hs.test:443"}'
    )
    assert redirect(f"https://www.test{WELL_KNOWN}", 308) == Response(
        308, (("Location", f"https://www.test{WELL_KNOWN}"),)
    )


# ---------------------------------------------------------------- clients that misbehave, and stopping

RST = struct.pack("ii", 1, 0)


def abort(address: str) -> None:
    """Connect, and leave before the handshake."""
    with socket.create_connection(host_and_port(address)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)


def speak_plain_http(address: str) -> None:
    with socket.create_connection(host_and_port(address)) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while client.recv(4096):
            pass


def abort_after_the_handshake(address: str, ca_file: Path, sent: bytes) -> None:
    plain = socket.create_connection(host_and_port(address))
    with strict_context(ca_file).wrap_socket(plain, server_hostname=NAME) as client:
        client.sendall(sent)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)


async def test_clients_that_leave_are_not_logged(
    server: HttpsServer, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """A client may leave at any time and in any way, and the server goes on."""
    caplog.set_level(logging.DEBUG, "asyncio")
    server.sites[NAME].resources["/long"] = Response(200, body=bytes(1 << 22))
    await asyncio.to_thread(abort, server.address)
    await asyncio.to_thread(speak_plain_http, server.address)
    for sent in (b"", b"GET", b"\x00\r\n\r\n", b"GET /long HTTP/1.1\r\nHost: x.lab.test\r\n\r\n"):
        await asyncio.to_thread(abort_after_the_handshake, server.address, authority.ca_file, sent)
    assert (await get(server.address, NAME, authority.ca_file, "/")).body == b"hello"
    await server.stop()
    assert caplog.record_tuples == []


async def test_stopping_cuts_connections_in_every_state(server: HttpsServer, authority: Authority) -> None:
    """Before and after the handshake, and during a response; nothing listens until the server starts again."""
    requested = asyncio.Event()

    async def never(_: Request) -> Response:
        requested.set()
        await asyncio.Event().wait()
        return GREETING

    server.sites[NAME].resources["/never"] = never
    silent = await asyncio.to_thread(socket.create_connection, host_and_port(server.address))
    waiting = asyncio.create_task(get(server.address, NAME, authority.ca_file, "/never"))
    await requested.wait()
    tasks_before = asyncio.all_tasks()
    await server.stop()
    with pytest.raises((OSError, EOFError)):
        await waiting
    assert await asyncio.to_thread(silent.recv, 1) == b""
    silent.close()
    assert asyncio.all_tasks() < tasks_before
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert await connect(server.address, NAME, authority.ca_file) == "refused"
    await server.start()
    assert await connect(server.address, NAME, authority.ca_file) == "verified"
