"""What a resolver may do to us over TCP, where a message need not come in one piece, nor at all."""

import asyncio
import socket

import dns.message
import pytest
from dns.rdatatype import RdataType

from exporter.demo.listener import ConnectionHandler
from exporter.internet.dns_message import Answer, Query, wire_name
from exporter.internet.dns_transport import PendingQuery, over_tcp
from tests.addresses import ip_endpoint
from tests.fake_world import srv_record
from tests.internet.raw_https import listening
from tests.internet.scripted_resolver import answer

PAUSE = 0.02  # seconds, in which what was sent arrives by itself
QUERY = Query(wire_name("x.test"), RdataType.SRV)
WIRE = answer(dns.message.from_wire(QUERY.wire), "10 5 8450 hs.test.").to_wire()
MESSAGE = len(WIRE).to_bytes(2, "big") + WIRE
FOUND = Answer(0, canonical_name=QUERY.name, records=(srv_record(10, 5, 8450, "hs.test"),))


async def test_what_comes_after_the_answer_is_left_alone() -> None:
    """Whoever waits for the answer may not have run yet when another message is there."""
    resolver, client = socket.socketpair(type=socket.SOCK_DGRAM)
    with resolver, client:
        mailbox = PendingQuery(client, QUERY, asyncio.get_running_loop().create_future())
        for _ in range(2):
            resolver.send(WIRE)
            mailbox.receive()
        assert await mailbox.answer == FOUND


def saying(*pieces: bytes) -> ConnectionHandler:
    """One after the other; then nothing, until the client goes."""

    async def speak(accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for piece in pieces:
            await loop.sock_sendall(accepted, piece)
            await asyncio.sleep(PAUSE)
        while await loop.sock_recv(accepted, 1024):
            pass

    return speak


async def asked(resolver: ConnectionHandler, seconds: float) -> Answer:
    async with listening(resolver) as address:
        return await over_tcp(ip_endpoint(address), QUERY, asyncio.get_running_loop().time() + seconds)


async def test_an_answer_may_come_in_pieces() -> None:
    """What follows it is not read."""
    assert await asked(saying(MESSAGE[:1], MESSAGE[1:5], MESSAGE[5:20], MESSAGE[20:] + b"more"), 5) == FOUND


@pytest.mark.parametrize("pieces", [(), (MESSAGE[:1],), (MESSAGE[:-1],)])
async def test_silence_ends_in_time(pieces: tuple[bytes, ...]) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await asked(saying(*pieces), 0.1)
    assert loop.time() - begin < 2
