"""Connecting to the first of several addresses."""

import asyncio
from ipaddress import ip_address
from typing import cast

import pytest

from exporter.model.addresses import Endpoint, Target
from exporter.probing import dialling
from exporter.probing.dialling import connect_any
from exporter.probing.network import Network
from tests.certificates import check_nothing, handshake
from tests.fake_world import SILENCE, FakeNetwork, Reaction, Server
from tests.waiting import PATIENCE

REFUSING, SILENT, LISTENING = (
    Endpoint(Target("example.test", 443), ip_address(ip)) for ip in ("192.0.2.9", "2001:db8::9", "192.0.2.1")
)


@pytest.fixture
def network() -> FakeNetwork:
    servers: dict[str, Reaction[Server]] = {
        SILENT.address: SILENCE,
        LISTENING.address: Server(handshake("example.test")),
    }
    return FakeNetwork(servers=servers)


@pytest.mark.parametrize("endpoints", [[LISTENING], [REFUSING, LISTENING], [LISTENING, REFUSING]])
async def test_uses_the_first_address_that_accepts(network: FakeNetwork, endpoints: list[Endpoint]) -> None:
    """The connection is open, and no other one stays open."""
    connection = await connect_any(network.connection, endpoints)
    assert (await connection.start_tls("example.test", check_nothing)).verify_errors == ()
    opened = {line.split()[1] for line in network.calls if line.startswith("open")}
    closed = {line.split()[1] for line in network.calls if line.startswith("close")}
    assert opened - closed == {LISTENING.address}


async def test_does_not_wait_long_for_a_silent_address(network: FakeNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next address is tried in the meantime, and the silent one is closed in the end."""
    monkeypatch.setattr(dialling, "NEXT_ADDRESS_SECONDS", 0.01)
    async with asyncio.timeout(PATIENCE):
        await connect_any(network.connection, [SILENT, LISTENING])
    assert f"close {SILENT.address}" in network.calls


@pytest.mark.parametrize("endpoints", [[REFUSING], [REFUSING, REFUSING]])
async def test_raises_the_first_error_if_no_address_accepts(network: FakeNetwork, endpoints: list[Endpoint]) -> None:
    """Every connection is closed."""
    with pytest.raises(ConnectionRefusedError):
        await connect_any(network.connection, endpoints)
    assert network.calls.count(f"close {REFUSING.address}") == len(endpoints)


class SlowNetwork:
    """A network with one connection, which opens once `accepted` is set."""

    def __init__(self) -> None:
        self.opening, self.accepted = asyncio.Event(), asyncio.Event()
        self.closed = False

    def connection(self, _endpoint: object) -> "SlowNetwork":
        return self

    async def open(self) -> None:
        self.opening.set()
        await self.accepted.wait()

    def close(self) -> None:
        self.closed = True


async def test_a_connection_that_is_accepted_during_cancellation_is_closed() -> None:
    """No other code has a reference to it."""
    network = SlowNetwork()
    connecting = asyncio.create_task(connect_any(cast("Network", network).connection, [LISTENING]))
    await network.opening.wait()
    network.accepted.set()
    connecting.cancel()
    await asyncio.wait([connecting])
    assert (connecting.cancelled(), network.closed) == (True, True)
