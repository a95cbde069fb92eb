"""Queries to a single DNS server: over TCP, an answer may come in pieces, or not at all."""

import asyncio
import socket

import dns.message
import pytest
from dns.rdatatype import RdataType

from exporter.demo.listener import ConnectionHandler
from exporter.internet.dns_message import Answer, Query, name_to_wire
from exporter.internet.dns_transport import PendingQuery, query_over_tcp
from tests.addresses import ip_endpoint
from tests.fake_world import srv_record
from tests.internet.raw_https import listening
from tests.internet.scripted_resolver import answer

PAUSE = 0.02  # seconds between two pieces, so that each arrives alone
QUERY = Query(name_to_wire("x.test"), RdataType.SRV)
WIRE = answer(dns.message.from_wire(QUERY.wire), "10 5 8450 hs.test.").to_wire()
TCP_MESSAGE = len(WIRE).to_bytes(2, "big") + WIRE
FOUND = Answer(0, canonical_name=QUERY.name, records=(srv_record(10, 5, 8450, "hs.test"),))


async def test_a_datagram_after_the_answer_is_ignored() -> None:
    """It may arrive before the task that waits for the answer runs."""
    resolver, client = socket.socketpair(type=socket.SOCK_DGRAM)
    with resolver, client:
        pending = PendingQuery(client, QUERY, asyncio.get_running_loop().create_future())
        for _ in range(2):
            resolver.send(WIRE)
            pending.on_readable()
        assert await pending.answer == FOUND


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
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await query_server(sends(*pieces), 0.1)
    assert loop.time() - begin < 2
