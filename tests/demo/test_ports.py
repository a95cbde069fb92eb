import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.demo.authority import Authority
from exporter.demo.ports import drop_packets, refuse_connections, speak_plain_http
from exporter.demo.servers import PortFactory
from tests.demo.independent_clients import connect, host_and_port


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
        (refuse_connections, "refused"),
        (drop_packets, "timed out"),
        (speak_plain_http, "WRONG_VERSION_NUMBER"),
    ],
)
async def test_clients_see_the_fault(make: PortFactory, outcome: str, authority: Authority) -> None:
    async with started(make, authority) as address:
        assert await connect(address, "x.lab.test", authority.ca_file) == outcome


async def test_a_black_hole_drops_the_packets_of_every_client(authority: Authority) -> None:
    """The first client is not the only one that gets no reply."""
    async with started(drop_packets, authority) as address:
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await asyncio.open_connection(*host_and_port(address))


async def test_plain_http_is_a_complete_response(authority: Authority) -> None:
    """A client that speaks HTTP is told that its request was bad."""
    async with started(speak_plain_http, authority) as address:
        reader, writer = await asyncio.open_connection(*host_and_port(address))
        writer.write(b"anything")
        assert (await reader.readline(), (await reader.read())[-4:]) == (b"HTTP/1.1 400 Bad Request\r\n", b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("make", [refuse_connections, drop_packets, speak_plain_http])
async def test_nothing_is_left(make: PortFactory, authority: Authority) -> None:
    """After stopping, the port is closed, and no task is left."""
    async with started(make, authority) as address:
        pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*host_and_port(address))
    assert asyncio.all_tasks() == {asyncio.current_task()}
