"""One connection serves several requests, and is replaced where the server has closed it."""

import asyncio
import gc
import socket
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress

import h11
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.demo.authority import Authority, IssuedCertificate
from exporter.demo.listener import streams
from exporter.internet.connection import InternetConnection
from exporter.internet.known_chains import KnownChains
from exporter.internet.tls_contexts import TlsContexts
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.evidence import Handshake
from exporter.probing.network import ClosedEarlyError, OtherCertificateError
from exporter.probing.problems import Step
from tests.addresses import ip_endpoint
from tests.certificates import check_nothing
from tests.internet.raw_https import NAME, RawHttps, listening, live_tls_streams, tcp_connection, tls_connection
from tests.lab.ports import reset

pytestmark = pytest.mark.lab


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
        [[page(b"one") + page(b"a response without a request")], [page(b"two")]],
    ],
    ids=["kept alive", "closed", "Connection: close", "HTTP/1.0", "no length", "longer body", "surplus response"],
)
async def test_a_second_request_gets_its_response(
    authority: Authority, issued: IssuedCertificate, scripts: Sequence[Sequence[bytes]]
) -> None:
    """The request is sent over the same connection if the server keeps it, and over a new one if it does not."""
    server = RawHttps(scripts, [issued])
    async with tls_connection(server.play, authority) as connection:
        assert await bodies(connection, 2) == [b"one", b"two"]
    assert [head.split()[1] for head in server.heads] == [b"/0", b"/1"]


async def test_the_time_to_reconnect_is_not_charged_to_a_request(
    authority: Authority, issued: IssuedCertificate
) -> None:
    slow = asyncio.Event()
    server = RawHttps([[page(b"one")], [page(b"two")]], [issued])

    async def slow_second_time(accepted: socket.socket) -> None:
        if slow.is_set():
            await asyncio.sleep(0.1)
        slow.set()
        await server.play(accepted)

    async with tls_connection(slow_second_time, authority) as connection:
        before, began = connection.peer_wait(), time.monotonic()
        assert await bodies(connection, 2) == [b"one", b"two"]
        elapsed = time.monotonic() - began
    assert connection.peer_wait() - before < elapsed - 0.09


async def test_another_certificate_of_a_new_connection_is_checked(
    authority: Authority, issued: IssuedCertificate
) -> None:
    """Each machine behind an address may have one of its own. Each is checked when it comes, and not again."""
    another, checked = authority.issue([NAME]), list[bytes]()

    def check(handshake: Handshake) -> None:
        checked.append(handshake.chain[0])

    server = RawHttps([[page(b"one")], [page(b"two")], [page(b"three")]], [issued, another, another])
    async with listening(server.play) as address, tcp_connection(address, authority) as connection:
        await connection.start_tls(NAME, check)
        assert await bodies(connection, 3) == [b"one", b"two", b"three"]
    assert checked == [another.chain[0].public_bytes(Encoding.DER)]


async def test_nothing_is_sent_over_a_new_connection_with_a_bad_certificate(
    authority: Authority, issued: IssuedCertificate
) -> None:
    """The problem with it is that of the request."""
    server = RawHttps([[page(b"one")], [page(b"two")]], [issued, authority.issue([NAME])])
    expired = Problem(Reason.CERTIFICATE_EXPIRED, "a sentence")
    async with listening(server.play) as address, tcp_connection(address, authority) as connection:
        await connection.start_tls(NAME, lambda _: expired)
        with pytest.raises(OtherCertificateError) as caught:
            await bodies(connection, 2)
    assert problems.classify(caught.value, Step.HTTP) == expired
    assert len(server.heads) == 1


async def test_the_memory_of_a_connection_is_freed_before_the_next_one_is_opened(
    authority: Authority, issued: IssuedCertificate
) -> None:
    """A server may present large certificates over each connection."""
    server = RawHttps([[page(b"one")], [page(b"two")]], [issued])
    live_streams: list[int] = []

    async def count(accepted: socket.socket) -> None:
        live_streams.append(live_tls_streams())
        await server.play(accepted)

    gc.collect()  # the garbage of earlier tests
    before = live_tls_streams()
    async with tls_connection(count, authority) as connection:
        assert await bodies(connection, 2) == [b"one", b"two"]
    assert live_streams == [before, before]


async def test_a_closed_connection_needs_no_garbage_collection(authority: Authority, issued: IssuedCertificate) -> None:
    """It is freed at once, as a full collection hardly ever happens."""
    server = RawHttps([[page(b"one")], [page(b"two")]], [issued])
    gc.disable()
    try:
        async with tls_connection(server.play, authority) as connection:
            await bodies(connection, 2)
            gone = weakref.ref(connection)
        del connection
        assert gone() is None
    finally:
        gc.enable()


async def test_the_first_request_is_not_repeated(authority: Authority, issued: IssuedCertificate) -> None:
    """A server that closes a connection without a response to its first request is broken."""
    server = RawHttps([[b""], [page(b"two")]], [issued])
    async with tls_connection(server.play, authority) as connection:
        with pytest.raises(ClosedEarlyError) as caught:
            await bodies(connection, 1)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL
    assert len(server.heads) == 1


async def test_a_later_request_is_repeated_once(authority: Authority, issued: IssuedCertificate) -> None:
    server = RawHttps([[page(b"one")], [b""], [page(b"three")]], [issued])
    async with tls_connection(server.play, authority) as connection:
        with pytest.raises(ClosedEarlyError) as caught:
            await bodies(connection, 2)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL
    assert len(server.heads) == 2


async def test_a_request_with_half_a_response_is_not_repeated(authority: Authority, issued: IssuedCertificate) -> None:
    server = RawHttps([[page(b"one"), page(b"two")[:-1]], [page(b"three")]], [issued])
    async with tls_connection(server.play, authority) as connection:
        with pytest.raises(h11.RemoteProtocolError) as caught:
            await bodies(connection, 2)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL
    assert len(server.heads) == 2


async def test_a_server_that_no_longer_listens_is_a_protocol_error(
    authority: Authority, issued: IssuedCertificate
) -> None:
    server = RawHttps([[page(b"one", b"Connection: close")]], [issued])
    async with listening(server.play) as address:
        pass
    async with tls_connection(server.play, authority) as connection:
        assert await bodies(connection, 1) == [b"one"]
        connection._endpoint = ip_endpoint(address)
        with pytest.raises(ConnectionRefusedError) as caught:
            await bodies(connection, 1)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL


async def test_a_connection_that_is_reset_during_a_request(authority: Authority, issued: IssuedCertificate) -> None:
    context = issued.server_context()

    async def cut(accepted: socket.socket) -> None:
        with suppress(ConnectionResetError):
            async with streams(accepted, context) as (reader, writer):
                await reader.readuntil(b"\r\n\r\n")
                await reset(writer.get_extra_info("socket"))
                raise ConnectionResetError

    async with tls_connection(cut, authority) as connection:
        with pytest.raises(ConnectionResetError) as caught:
            await bodies(connection, 1)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL


async def test_a_request_can_be_cancelled(authority: Authority, issued: IssuedCertificate) -> None:
    """The connection can be closed afterwards."""
    received = asyncio.Event()
    context = issued.server_context()

    async def silent(accepted: socket.socket) -> None:
        async with streams(accepted, context) as (reader, _):
            await reader.readuntil(b"\r\n\r\n")
            received.set()
            await reader.read()

    async with tls_connection(silent, authority) as connection:
        request = asyncio.create_task(connection.get("/", NAME, 100))
        await received.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request


async def test_repr_shows_the_endpoint_and_the_state(authority: Authority, issued: IssuedCertificate) -> None:
    server = RawHttps([[page(b"one")]], [issued])
    async with listening(server.play) as address, tcp_connection(address, authority) as connection:
        assert repr(connection) == f"<InternetConnection: {address}, TCP>"
        await connection.start_tls(NAME, check_nothing)
        assert repr(connection) == f"<InternetConnection: {address}, TLS>"
        connection.close()
        assert repr(connection) == f"<InternetConnection: {address}, closed>"
        blocked = InternetConnection(ip_endpoint(address), TlsContexts(authority.ca_file, KnownChains()), "not public")
        assert repr(blocked) == f"<InternetConnection: {address}, blocked>"


# ---------------------------------------------------------------- what second looks and redirects need

SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("protocols", "reply", "spoken"),
    [
        (["h2"], SETTINGS, True),
        (["h2"], b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        (["h2"], b"", False),
        (["http/1.1"], b"", None),
        ([], b"", None),
    ],
)
async def test_a_server_that_chooses_http2_must_speak_it(
    authority: Authority, issued: IssuedCertificate, protocols: list[str], reply: bytes, *, spoken: bool | None
) -> None:
    """Its preface is a SETTINGS frame."""
    context = issued.server_context()
    context.set_alpn_protocols(protocols)

    async def send_reply(accepted: socket.socket) -> None:
        async with streams(accepted, context) as (reader, writer):
            with suppress(asyncio.IncompleteReadError):
                await reader.readuntil(b"SM\r\n\r\n")
            writer.write(reply)

    async with listening(send_reply) as address, tcp_connection(address, authority) as connection:
        assert await connection.speaks_http2(NAME) is spoken
        connection.close()


async def test_plain_http_and_other_methods_and_user_agents(authority: Authority) -> None:
    """A redirect may lead to plain http."""
    heads: list[bytes] = []

    async def play(accepted: socket.socket) -> None:
        async with streams(accepted) as (reader, writer):
            for content in (b"one", b"two"):
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(page(content))

    async with listening(play) as address, tcp_connection(address, authority) as connection:
        connection.use_plain_http()
        assert (await connection.get("/", NAME, 100, "Synapse/1.0")).body == b"one"
        assert (await connection.put("/", NAME, b"", 100)).body == b"two"
    assert b"User-Agent: Synapse/1.0\r\n" in heads[0]
    assert heads[1].startswith(b"PUT / HTTP/1.1\r\n")
