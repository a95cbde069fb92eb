"""What is sent arrives, and is peer_wait for without keeping the event loop busy."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from ipaddress import ip_address

import pytest

from exporter.internet.peer_clock import PeerClock
from exporter.internet.tcp import READ_BYTES, TcpStream
from tests.addresses import ip_endpoint
from tests.internet.raw_https import listening
from tests.waiting import until

READS = 5


@asynccontextmanager
async def talking(says: "asyncio.Queue[bytes]") -> AsyncIterator[TcpStream]:
    """With a server that says what it is given, as soon as it is given it."""

    async def talk(accepted: socket.socket) -> None:
        while content := await says.get():
            await asyncio.get_running_loop().sock_sendall(accepted, content)

    async with listening(talk) as address:
        with closing(TcpStream(PeerClock())) as stream:
            await stream.open(*ip_endpoint(address))
            yield stream


async def test_waits_for_one_thing_after_the_other() -> None:
    says: asyncio.Queue[bytes] = asyncio.Queue()
    async with talking(says) as stream:
        for content in (b"one", b"two", b"three"):
            receiving = asyncio.create_task(stream.receive())
            await asyncio.sleep(0)
            says.put_nowait(content)
            assert await receiving == content
        says.put_nowait(b"")
        assert await stream.receive() == b""


async def test_what_is_not_open_is_not_connected() -> None:
    """An error like any other of a socket, not ours."""
    stream = TcpStream(PeerClock())
    with pytest.raises(OSError, match="not connected"):
        await stream.send(b"anything")
    with pytest.raises(OSError, match="not connected"):
        await stream.receive()


async def test_what_nobody_waits_for_is_left_alone() -> None:
    """The event loop would be told of it over and over again. It is read when somebody asks."""
    says: asyncio.Queue[bytes] = asyncio.Queue()
    async with talking(says) as stream:
        receiving = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        says.put_nowait(b"asked for")
        assert await receiving == b"asked for"
        assert stream._watched
        says.put_nowait(b"not asked for")
        await until(lambda: not stream._watched)
        assert await stream.receive() == b"not asked for"


async def test_waiting_can_be_given_up_and_begun_again() -> None:
    says: asyncio.Queue[bytes] = asyncio.Queue()
    async with talking(says) as stream:
        receiving = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.wait([receiving])
        assert receiving.cancelled()
        says.put_nowait(b"late")
        assert await stream.receive() == b"late"


async def test_who_reads_what_is_there_already_lets_others_run() -> None:
    """Else a remote that sends faster than we read would stop all probes, and the clock of its own deadline."""
    sent, turns = asyncio.Event(), 0

    async def send_all(accepted: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(accepted, bytes(READS * READ_BYTES))
        sent.set()

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with listening(send_all) as address:
        ip, port = ip_endpoint(address)
        stream = TcpStream(PeerClock())
        await stream.open(ip_address(str(ip)), port)
        await sent.wait()
        counting = asyncio.create_task(count())
        received = [len(await stream.receive()) for _ in range(READS)]
        counting.cancel()
        stream.close()
    assert received == [READ_BYTES] * READS
    assert turns >= READS - 2
