"""What a resolver may do to us over TCP, where a message need not come in one piece, nor at all."""

import asyncio
import socket
import time

import dns.message
import pytest
from dns.rdatatype import RdataType

from exporter.demo.listener import Behaviour
from exporter.internet import dns_transport
from exporter.internet.dns_message import Answer, Query, wire_name
from exporter.internet.dns_transport import IPEndpoint, PendingQuery, exchange, over_tcp
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


async def test_an_answer_that_came_during_a_stall_is_found() -> None:
    """The time is up before the event loop has looked at the socket."""
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.1", 0))
        looking = asyncio.create_task(exchange(place_of(resolver), QUERY.name, RdataType.SRV, loop.time() + PAUSE))
        await asyncio.sleep(0)
        wire, client = resolver.recvfrom(1024)
        resolver.sendto(b"a stray message", client)
        resolver.sendto(answer(dns.message.from_wire(wire), "10 5 8450 hs.test.").to_wire(), client)
        time.sleep(2 * PAUSE)  # noqa: ASYNC251 - the stall
        assert await looking == FOUND


async def test_a_flood_does_not_hold_up_the_end_of_a_lookup() -> None:
    """Only so many messages are read when the time is up."""
    resolver, client = socket.socketpair(type=socket.SOCK_DGRAM)
    with resolver, client:
        client.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
        mailbox = PendingQuery(client, QUERY, asyncio.get_running_loop().create_future())
        for _ in range(dns_transport._MAX_UNREAD):
            resolver.send(b"a stray message")
        resolver.send(WIRE)
        mailbox.give_up()
        with pytest.raises(TimeoutError):
            await mailbox.answer


def place_of(resolver: socket.socket) -> IPEndpoint:
    address, port = resolver.getsockname()
    return ip_endpoint(f"{address}:{port}")


def saying(*pieces: bytes) -> Behaviour:
    """One after the other; then nothing, until the client goes."""

    async def speak(accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for piece in pieces:
            await loop.sock_sendall(accepted, piece)
            await asyncio.sleep(PAUSE)
        while await loop.sock_recv(accepted, 1024):
            pass

    return speak


async def asked(resolver: Behaviour, seconds: float) -> Answer:
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
