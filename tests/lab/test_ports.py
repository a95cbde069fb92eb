import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.demo.authority import Authority
from exporter.demo.ports import FAULTS, Fault
from tests.demo.independent_clients import host_and_port, meet


@asynccontextmanager
async def running(fault: Fault) -> AsyncIterator[str]:
    port = FAULTS[fault]()
    await port.start()
    yield port.address
    await port.stop()


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault.CONNECTION_REFUSED, "refused"),
        (Fault.BLACK_HOLE, "timed out"),
        (Fault.UNREACHABLE, "ENETUNREACH"),
        (Fault.RESET, "reset"),
        (Fault.NAME_REFUSED, "TLSV1_UNRECOGNIZED_NAME"),
        (Fault.PLAIN_HTTP, "WRONG_VERSION_NUMBER"),
    ],
)
async def test_what_a_client_meets(fault: Fault, outcome: str, tmp_path: Path) -> None:
    """Each fault is seen as what it is named after."""
    async with running(fault) as address:
        assert await meet(address, "x.lab.test", Authority(tmp_path).ca_file) == outcome


def test_every_fault_is_in_the_table() -> None:
    """None is a name only."""
    assert set(FAULTS) == set(Fault)


async def test_a_black_hole_swallows_everyone() -> None:
    """Not only the first client is left without an answer."""
    async with running(Fault.BLACK_HOLE) as address:
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await asyncio.open_connection(*host_and_port(address))


def listen_to(address: str) -> None:
    with socket.create_connection(host_and_port(address)) as client:
        client.recv(1)


async def test_reset_comes_unprovoked() -> None:
    """Whoever connects is thrown out, without having said a word."""
    async with running(Fault.RESET) as address:
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(listen_to, address)


async def test_plain_http_is_a_whole_answer() -> None:
    """Whoever speaks http there is told that the request was bad."""
    async with running(Fault.PLAIN_HTTP) as address:
        reader, writer = await asyncio.open_connection(*host_and_port(address))
        writer.write(b"anything")
        assert (await reader.readline(), (await reader.read())[-4:]) == (b"HTTP/1.1 400 Bad Request\r\n", b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()


async def test_stall_says_nothing_until_it_is_stopped() -> None:
    """The connection is made, and stays without a word."""
    port = FAULTS[Fault.STALL]()
    await port.start()
    reader, writer = await asyncio.open_connection(*host_and_port(port.address))
    writer.write(b"anything")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.read(1)
    await port.stop()
    with pytest.raises(ConnectionResetError):  # what it did not read is lost
        await reader.read(1)
    writer.close()


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.UNREACHABLE])  # it never was anywhere
async def test_nothing_is_left(fault: Fault) -> None:
    """After stopping the port is closed, and no task is left."""
    async with running(fault) as address:
        pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*host_and_port(address))
    assert asyncio.all_tasks() == {asyncio.current_task()}
