"""Queries to a single DNS server, over UDP and over TCP."""

import asyncio
import socket
import time

import dns.message
import pytest
from dns.rdatatype import RdataType

from exporter.demo.listener import ConnectionHandler
from exporter.internet import dns_transport
from exporter.internet.dns_message import Answer, Query, name_to_wire
from exporter.internet.dns_transport import PendingQuery, exchange, query_over_tcp
from exporter.internet.tcp import IPEndpoint
from tests.addresses import ip_endpoint
from tests.fake_world import srv_record
from tests.internet.raw_https import listening
from tests.internet.scripted_resolver import answer
from tests.waiting import PATIENCE

PAUSE = 0.02  # seconds between two pieces, so that each arrives alone
QUERY = Query(name_to_wire("x.test"), RdataType.SRV)
WIRE = answer(dns.message.from_wire(QUERY.wire), "10 5 8450 hs.test.").to_wire()
TCP_MESSAGE = len(WIRE).to_bytes(2, "big") + WIRE
FOUND = Answer(0, canonical_name=QUERY.name, records=(srv_record(10, 5, 8450, "hs.test"),))


async def test_a_datagram_after_the_answer_is_ignored() -> None:
    """It may arrive before the task that waits for the answer runs."""
    resolver, client = socket.socketpair(type=socket.SOCK_DGRAM)
    with resolver, client:
        pending = pending_query(client)
        for _ in range(2):
            resolver.send(WIRE)
            pending.on_readable()
        assert await pending.answer == FOUND


async def test_an_answer_that_arrives_during_a_stall_is_read() -> None:
    """The deadline passes before the event loop has polled the socket."""
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.1", 0))
        lookup = asyncio.create_task(exchange(endpoint_of(resolver), QUERY.name, RdataType.SRV, loop.time() + PAUSE))
        await asyncio.sleep(0)
        wire, client = resolver.recvfrom(1024)
        resolver.sendto(b"a mismatched message", client)
        resolver.sendto(answer(dns.message.from_wire(wire), "10 5 8450 hs.test.").to_wire(), client)
        time.sleep(2 * PAUSE)  # noqa: ASYNC251 - the stall
        assert await lookup == FOUND


async def test_a_flood_does_not_delay_the_end_of_a_lookup() -> None:
    """The number of datagrams that are read at the deadline is limited."""
    resolver, client = socket.socketpair(type=socket.SOCK_DGRAM)
    with resolver, client:
        client.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
        pending = pending_query(client)
        for _ in range(dns_transport._MAX_UNREAD):
            resolver.send(b"a mismatched message")
        resolver.send(WIRE)
        pending.on_deadline()
        with pytest.raises(TimeoutError):
            await pending.answer


def pending_query(client: socket.socket) -> PendingQuery:
    loop = asyncio.get_running_loop()
    return PendingQuery(client, QUERY, loop.create_future(), loop.time() + PATIENCE)


def endpoint_of(resolver: socket.socket) -> IPEndpoint:
    address, port = resolver.getsockname()
    return ip_endpoint(f"{address}:{port}")


def sends(*pieces: bytes) -> ConnectionHandler:
    """Send the pieces one after the other, then nothing more until the client closes the connection."""

    async def send(accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for piece in pieces:
            await loop.sock_sendall(accepted, piece)
            await asyncio.sleep(PAUSE)
        while await loop.sock_recv(accepted, 1024):
            pass

    return send


async def query_server(server: ConnectionHandler, seconds: float) -> Answer:
    async with listening(server) as address:
        return await query_over_tcp(ip_endpoint(address), QUERY, asyncio.get_running_loop().time() + seconds)


async def test_an_answer_may_come_in_pieces() -> None:
    """Bytes that follow it are not read."""
    assert (
        await query_server(sends(TCP_MESSAGE[:1], TCP_MESSAGE[1:5], TCP_MESSAGE[5:20], TCP_MESSAGE[20:] + b"more"), 5)
        == FOUND
    )


@pytest.mark.parametrize("pieces", [(), (TCP_MESSAGE[:1],), (TCP_MESSAGE[:-1],)])
async def test_a_query_without_a_complete_answer_times_out(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(TimeoutError):
        await query_server(sends(*pieces), 0.1)
