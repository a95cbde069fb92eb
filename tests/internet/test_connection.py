"""One connection serves several requests, and is made anew where the server did not keep it."""

import asyncio
import gc
import socket
from collections.abc import Sequence
from contextlib import suppress

import h11
import pytest

from exporter.demo.authority import Authority, IssuedCertificate
from exporter.demo.listener import streams
from exporter.internet.connection import InternetConnection
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.network import ClosedEarlyError
from exporter.probing.problems import Step
from tests.internet.raw_https import NAME, RawHttps, listening, secured, streams_there_are
from tests.lab.ports import reset


def page(content: bytes, *headers: bytes) -> bytes:
    lines = (b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(content), *headers, b"", content)
    return b"\r\n".join(lines)


async def bodies(connection: InternetConnection, count: int) -> list[bytes]:
    return [(await connection.get(f"/{number}", NAME, 100)).body for number in range(count)]


@pytest.mark.parametrize(
    "scripts",
    [
        [[page(b"one"), page(b"two")]],
        [[page(b"one")], [page(b"two")]],
        [[page(b"one", b"Connection: close")], [page(b"two")]],
        [[b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none"], [page(b"two")]],
        [[b"HTTP/1.1 200 OK\r\n\r\none"], [page(b"two")]],
        [[page(b"one") + b"more than was announced"], [page(b"two")]],
        [[page(b"one") + page(b"an answer to nothing")], [page(b"two")]],
    ],
    ids=["kept", "closed", "announced", "1.0", "to the end", "leftovers", "surplus"],
)
async def test_the_second_request_is_answered(
    authority: Authority, issued: IssuedCertificate, scripts: Sequence[Sequence[bytes]]
) -> None:
    """Over the same connection where the server keeps it, and over a new one where it does not."""
    server = RawHttps(scripts, [issued])
    async with secured(server.play, authority) as connection:
        assert await bodies(connection, 2) == [b"one", b"two"]
    assert [head.split()[1] for head in server.heads] == [b"/0", b"/1"]


async def test_the_time_to_connect_again_belongs_to_no_request(authority: Authority, issued: IssuedCertificate) -> None:
    slow = asyncio.Event()
    server = RawHttps([[page(b"one")], [page(b"two")]], [issued])

    async def reluctant(accepted: socket.socket) -> None:
        if slow.is_set():
            await asyncio.sleep(0.4)
        slow.set()
        await server.play(accepted)

    async with secured(reluctant, authority) as connection:
        before = connection.peer_wait()
        assert await bodies(connection, 2) == [b"one", b"two"]
    assert connection.peer_wait() - before < 0.3


async def test_another_certificate_is_not_trusted_unseen(authority: Authority, issued: IssuedCertificate) -> None:
    """The first one was judged: what comes over the second connection was not."""
    server = RawHttps([[page(b"one")], [page(b"two")]], [issued, authority.issue([NAME])])
    async with secured(server.play, authority) as connection:
        with pytest.raises(ClosedEarlyError, match="presented another certificate"):
            await bodies(connection, 2)
    assert len(server.heads) == 1


async def test_what_a_connection_took_is_given_back_before_there_is_another_one(
    authority: Authority, issued: IssuedCertificate
) -> None:
    """A server may present large certificates over each of them."""
    server = RawHttps([[page(b"one")], [page(b"two")]], [issued])
    streams_there_were: list[int] = []

    async def count(accepted: socket.socket) -> None:
        streams_there_were.append(streams_there_are())
        await server.play(accepted)

    gc.collect()  # what earlier tests left
    before = streams_there_are()
    async with secured(count, authority) as connection:
        assert await bodies(connection, 2) == [b"one", b"two"]
    assert streams_there_were == [before, before]


async def test_a_first_request_is_not_repeated(authority: Authority, issued: IssuedCertificate) -> None:
    """A server that closes without an answer to it is broken."""
    server = RawHttps([[b""], [page(b"two")]], [issued])
    async with secured(server.play, authority) as connection:
        with pytest.raises(ClosedEarlyError) as caught:
            await bodies(connection, 1)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL
    assert len(server.heads) == 1


async def test_a_request_is_repeated_once(authority: Authority, issued: IssuedCertificate) -> None:
    server = RawHttps([[page(b"one")], [b""], [page(b"three")]], [issued])
    async with secured(server.play, authority) as connection:
        with pytest.raises(ClosedEarlyError) as caught:
            await bodies(connection, 2)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL
    assert len(server.heads) == 2


async def test_half_an_answer_is_not_asked_for_again(authority: Authority, issued: IssuedCertificate) -> None:
    server = RawHttps([[page(b"one"), page(b"two")[:-1]], [page(b"three")]], [issued])
    async with secured(server.play, authority) as connection:
        with pytest.raises(h11.RemoteProtocolError) as caught:
            await bodies(connection, 2)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL
    assert len(server.heads) == 2


async def test_a_server_that_is_gone_is_no_answer(authority: Authority, issued: IssuedCertificate) -> None:
    server = RawHttps([[page(b"one", b"Connection: close")]], [issued])
    async with listening(server.play) as address:
        pass
    async with secured(server.play, authority) as connection:
        assert await bodies(connection, 1) == [b"one"]
        connection._place = (connection._place[0], int(address.rpartition(":")[2]))
        with pytest.raises(ConnectionRefusedError) as caught:
            await bodies(connection, 1)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL


async def test_a_connection_that_is_reset_under_a_request(authority: Authority, issued: IssuedCertificate) -> None:
    context = issued.server_context()

    async def cut(accepted: socket.socket) -> None:
        with suppress(ConnectionResetError):
            async with streams(accepted, context) as (reader, writer):
                await reader.readuntil(b"\r\n\r\n")
                await reset(writer.get_extra_info("socket"))
                raise ConnectionResetError

    async with secured(cut, authority) as connection:
        with pytest.raises(ConnectionResetError) as caught:
            await bodies(connection, 1)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL


async def test_a_request_can_be_cancelled(authority: Authority, issued: IssuedCertificate) -> None:
    """And the connection closed afterwards."""
    received = asyncio.Event()
    context = issued.server_context()

    async def silent(accepted: socket.socket) -> None:
        async with streams(accepted, context) as (reader, _):
            await reader.readuntil(b"\r\n\r\n")
            received.set()
            await reader.read()

    async with secured(silent, authority) as connection:
        asking = asyncio.create_task(connection.get("/", NAME, 100))
        await received.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
