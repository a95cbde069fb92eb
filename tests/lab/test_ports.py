import asyncio
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from exporter.demo.authority import Authority
from exporter.demo.https_server import delegation
from exporter.demo.listener import ConnectionHandler
from exporter.demo.servers import PortFactory
from tests.demo.independent_clients import Client, connect, host_and_port
from tests.lab.ports import (
    demand_client_certificate,
    have_no_route,
    listen,
    listen_with_tls,
    refuse_name,
    reset,
    serve_over_plain_http,
    stall,
)
from tests.waiting import PATIENCE

NAME = "x.lab.test"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def started(make: PortFactory, authority: Authority) -> AsyncIterator[str]:
    port = make(authority)
    await port.start()
    yield port.address
    await port.stop()


@pytest.mark.parametrize(
    ("make", "outcome"),
    [
        (have_no_route, "ENETUNREACH"),
        (listen(reset), "reset"),
        (listen(refuse_name), "TLSV1_UNRECOGNIZED_NAME"),
    ],
    ids=["have_no_route", "reset", "refuse_name"],
)
async def test_clients_see_the_fault(make: PortFactory, outcome: str, authority: Authority) -> None:
    async with started(make, authority) as address:
        assert await connect(address, NAME, authority.ca_file) == outcome


def receive_byte(address: str) -> None:
    with socket.create_connection(host_and_port(address)) as client:
        client.recv(1)


async def test_a_reset_needs_no_data(authority: Authority) -> None:
    """The connection is reset before the client has sent anything."""
    async with started(listen(reset), authority) as address:
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(receive_byte, address)


async def test_a_stall_lasts_until_the_port_is_stopped(authority: Authority) -> None:
    """The connection is accepted, and nothing is sent."""
    port = listen(stall)(authority)
    await port.start()
    reader, writer = await asyncio.open_connection(*host_and_port(port.address))
    writer.write(b"anything")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.read(1)
    await port.stop()
    with pytest.raises(ConnectionResetError):  # the kernel resets a connection with data that was never read
        await reader.read(1)
    writer.close()


async def test_bytes_over_good_tls(authority: Authority) -> None:
    """The certificate is valid, and the handler speaks instead of an HTTP server."""

    async def greet(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"hello " + await reader.readline())

    def converse(address: str) -> bytes:
        client = Client(address, NAME, authority.ca_file)
        received = client.exchange(b"world\n")
        client.close()
        return received

    async with started(listen_with_tls(NAME, greet), authority) as address:
        assert await asyncio.to_thread(converse, address) == b"hello world\n"


async def test_http_without_tls(authority: Authority) -> None:
    """The response is the same for every path, over as many connections as there are requests."""

    def fetch(address: str, path: str) -> tuple[int, bytes]:
        client = HTTPConnection(*host_and_port(address), timeout=PATIENCE)
        client.request("GET", path)
        response = client.getresponse()
        with closing(client):
            return response.status, response.read()

    async with started(serve_over_plain_http(delegation("hs.test")), authority) as address:
        answers = [await asyncio.to_thread(fetch, address, path) for path in ("/", "/.well-known/matrix/server")]
    assert answers == [(200, b'{"m.server": "hs.test"}')] * 2


async def test_a_client_certificate_is_demanded_after_the_handshake(authority: Authority) -> None:
    """In TLS 1.3, the client is done when the server begins to check, so it only sees the refusal when it reads."""

    def refused(address: str) -> str:
        client = Client(address, NAME, authority.ca_file)
        with closing(client), pytest.raises(ssl.SSLError) as caught:
            client.exchange(b"GET / HTTP/1.1\r\n\r\n")
        return str(caught.value.reason)

    async with started(demand_client_certificate(NAME), authority) as address:
        assert await asyncio.to_thread(refused, address) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


@pytest.mark.parametrize("handler", [reset, refuse_name, stall])
async def test_nothing_is_left(handler: ConnectionHandler, authority: Authority) -> None:
    """After stopping, the port is closed, and no task is left."""
    async with started(listen(handler), authority) as address:
        pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*host_and_port(address))
    assert asyncio.all_tasks() == {asyncio.current_task()}
