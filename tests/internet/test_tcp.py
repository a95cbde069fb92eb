"""A TCP stream delivers what is sent, and waits without keeping the event loop busy."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from exporter.internet.peer_clock import PeerClock
from exporter.internet.tcp import READ_BYTES, TcpStream
from tests.addresses import ip_endpoint
from tests.internet.raw_https import listening
from tests.waiting import until

READS = 5


@asynccontextmanager
async def tcp_stream(pieces: "asyncio.Queue[bytes]") -> AsyncIterator[TcpStream]:
    """Yield a stream from a server that sends each of `pieces` as soon as it is put into the queue."""

    async def send_all_pieces(accepted: socket.socket) -> None:
        while content := await pieces.get():
            await asyncio.get_running_loop().sock_sendall(accepted, content)

    async with listening(send_all_pieces) as address:
        with closing(TcpStream(PeerClock())) as stream:
            await stream.open(ip_endpoint(address))
            yield stream


async def test_receives_one_piece_after_the_other() -> None:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    async with tcp_stream(pieces) as stream:
        for content in (b"one", b"two", b"three"):
            receiving = asyncio.create_task(stream.receive())
            await asyncio.sleep(0)
            pieces.put_nowait(content)
            assert await receiving == content
        pieces.put_nowait(b"")
        assert await stream.receive() == b""


async def test_a_stream_that_is_not_open_raises_an_os_error() -> None:
    """The error is like that of any other socket, and not an internal error."""
    stream = TcpStream(PeerClock())
    with pytest.raises(OSError, match="not connected"):
        await stream.send(b"anything")
    with pytest.raises(OSError, match="not connected"):
        await stream.receive()


async def test_unexpected_data_stops_the_watching_of_the_socket() -> None:
    """Otherwise the event loop would report it again and again. The data is read by the next `receive`."""
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    async with tcp_stream(pieces) as stream:
        receiving = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        pieces.put_nowait(b"expected")
        assert await receiving == b"expected"
        assert stream._is_watched
        pieces.put_nowait(b"unexpected")
        await until(lambda: not stream._is_watched)
        assert await stream.receive() == b"unexpected"


async def test_receiving_can_be_cancelled_and_begun_again() -> None:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    async with tcp_stream(pieces) as stream:
        receiving = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.wait([receiving])
        assert receiving.cancelled()
        pieces.put_nowait(b"late")
        assert await stream.receive() == b"late"


async def test_other_tasks_run_between_two_reads() -> None:
    """Otherwise a peer that sends faster than we read would stall all probes, and the timer of its own deadline."""
    sent, iterations = asyncio.Event(), 0

    async def send_all(accepted: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(accepted, bytes(READS * READ_BYTES))
        sent.set()

    async def count() -> None:
        nonlocal iterations
        while True:
            await asyncio.sleep(0)
            iterations += 1

    async with listening(send_all) as address:
        stream = TcpStream(PeerClock())
        await stream.open(ip_endpoint(address))
        await sent.wait()
        counting = asyncio.create_task(count())
        received = [len(await stream.receive()) for _ in range(READS)]
        counting.cancel()
        stream.close()
    assert received == [READ_BYTES] * READS
    assert iterations >= READS - 2


async def test_repr_shows_the_state() -> None:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    async with tcp_stream(pieces) as stream:
        assert repr(stream).startswith("<TcpStream: open, fd ")
        receiving = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        assert repr(stream).endswith(", waiting>")
        pieces.put_nowait(b"")
        await receiving
        stream.close()
        assert repr(stream) == "<TcpStream: closed>"
