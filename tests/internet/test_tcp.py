import asyncio
import socket
from ipaddress import ip_address

from exporter.internet.peer_clock import PeerClock
from exporter.internet.tcp import READ_BYTES, TcpStream
from tests.internet.raw_https import listening
from tests.places import place

READS = 3


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
        ip, port = place(address)
        stream = TcpStream(PeerClock())
        await stream.open(ip_address(str(ip)), port)
        await sent.wait()
        counting = asyncio.create_task(count())
        received = [len(await stream.receive()) for _ in range(READS)]
        counting.cancel()
        stream.close()
    assert received == [READ_BYTES] * READS
    assert turns >= READS - 1
