"""Very many server names may lead to one address, of somebody who has nothing to do with them: it is spared."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from ipaddress import ip_address

import pytest

from exporter import internet as real_network
from exporter.demo.dns_server import DnsServer
from exporter.demo.listener import streams
from exporter.internet import Internet, IPEndpoint, SharedState
from exporter.internet.address_policy import AddressPolicy
from exporter.judging import verdict
from exporter.model import names
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import Resource, Stage
from exporter.model.outcomes import Passed
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.probing import dialling
from exporter.probing.attempt import Deadline
from exporter.probing.prober import Prober
from tests.addresses import ip_endpoint
from tests.internet.raw_https import listening
from tests.waiting import PATIENCE

PER_SECOND = 50
NAMES = 30


class Victim:
    """Accepts connections, and closes them at once. `accepted_at` are the times."""

    def __init__(self) -> None:
        self.accepted_at: list[float] = []

    async def hang_up(self, accepted: socket.socket) -> None:
        self.accepted_at.append(time.monotonic())
        async with streams(accepted):
            pass


@pytest.fixture(autouse=True)
def slow_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than this machine could do, however busy it is."""
    monkeypatch.setattr(real_network, "_CONNECTIONS_PER_SECOND", PER_SECOND)


@pytest.fixture
def victim() -> Victim:
    return Victim()


@pytest.fixture
async def victim_at(victim: Victim) -> AsyncIterator[IPEndpoint]:
    async with listening(victim.hang_up) as address:
        yield ip_endpoint(address)


def internet_with(*resolvers: IPEndpoint, **changed: object) -> Internet:
    settings = {"timeout": PATIENCE, "policy": AddressPolicy(public_only=False), **changed}
    return Internet(resolvers=lambda: resolvers, **settings)  # type: ignore[arg-type]


def endpoint_at(address: IPEndpoint) -> Endpoint:
    ip, port = address
    return Endpoint(Target("hostile.test", port), ip)


async def probe_all(internet: Internet) -> list[Report]:
    prober = Prober(internet, PATIENCE)
    return await asyncio.gather(*(prober.probe(names.parse(f"n{number}.test")) for number in range(NAMES)))


async def test_names_that_lead_to_one_address_wait_for_their_turn(victim: Victim, victim_at: IPEndpoint) -> None:
    """All of them are probed, waiting is not timed, and none fails because of it."""
    dns = DnsServer()
    for number in range(NAMES):
        dns.zone.put(f"n{number}.test", "A", "203.0.113.1")
        dns.zone.put(f"_matrix-fed._tcp.n{number}.test", "SRV", f"10 5 {victim_at[1]} victim.test.")
    dns.zone.put("victim.test", "A", str(victim_at[0]))
    await dns.start()
    refused = {"203.0.113.1:443": (ip_address("127.0.0.1"), 1)}
    started = time.monotonic()
    reports = await probe_all(internet_with(ip_endpoint(dns.address), connect_to=refused))
    elapsed = time.monotonic() - started
    await dns.stop()
    assert len(victim.accepted_at) == NAMES
    assert elapsed >= (NAMES - 1) / PER_SECOND
    timed = 0.0
    for report in reports:
        assert {(located.stage, located.problem.reason) for located in verdict.problems(report)} == {
            (Stage.TLS, Reason.TLS_HANDSHAKE)
        }
        (endpoint,) = report.endpoints
        assert isinstance(endpoint.tcp, Passed)
        timed += endpoint.tcp.seconds
    assert timed < sum(number / PER_SECOND for number in range(NAMES)) / 2


async def test_waiting_for_a_turn_is_not_timed(victim_at: IPEndpoint) -> None:
    """Nor is it where the first of several addresses is used."""
    internet = internet_with()
    started = time.monotonic()
    outcomes = await asyncio.gather(
        *(dialling.connect(internet, [endpoint_at(victim_at)], Deadline.for_probe(PATIENCE)) for _ in range(NAMES))
    )
    elapsed = time.monotonic() - started
    for outcome in outcomes:
        assert isinstance(outcome, Passed)
        with closing(outcome.found) as connection:
            assert outcome.seconds <= elapsed - connection.turn_wait()
    assert max(outcome.found.turn_wait() for outcome in outcomes if isinstance(outcome, Passed)) > 0


async def turn_waits(internet: Internet, endpoints: list[Endpoint]) -> list[float]:
    """Return for how long a connection to each of them waits for its turn."""
    waits = []
    for endpoint in endpoints:
        with closing(internet.connection(endpoint)) as connection:
            with suppress(ConnectionRefusedError):
                await connection.open()
            waits.append(connection.turn_wait())
    return waits


async def test_other_addresses_do_not_wait(victim_at: IPEndpoint) -> None:
    others = [endpoint_at((ip_address(f"127.0.0.{number}"), victim_at[1])) for number in range(2, NAMES)]
    assert sum(await turn_waits(internet_with(), others)) < 1 / PER_SECOND * len(others) / 2


async def test_all_ports_and_a_network_of_ipv6_are_one_address(victim_at: IPEndpoint) -> None:
    """A host can have every IPv6 address of its network."""
    internet = internet_with()
    for first, second in (
        (victim_at, (victim_at[0], 1)),
        ((ip_address("2001:db8::1"), 1), (ip_address("2001:db8::ffff:2"), 1)),
    ):
        connections = [internet.connection(endpoint_at(each)) for each in (first, second)]
        await asyncio.gather(*(connection.open() for connection in connections), return_exceptions=True)
        assert connections[1].turn_wait() > connections[0].turn_wait()
        for connection in connections:
            connection.close()


async def test_a_probe_that_would_wait_too_long_says_nothing_about_the_server(
    victim: Victim, victim_at: IPEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is lost, and counted; the next one may be more lucky."""
    monkeypatch.setattr(real_network, "_MAX_TURN_WAIT_SHARE", 0.0)
    monkeypatch.setattr(real_network, "_CONNECTIONS_PER_SECOND", 1 / PATIENCE)
    prober = Prober(internet_with(), PATIENCE)
    name = names.parse(f"127.0.0.1:{victim_at[1]}")
    first, second = await prober.probe(name), await prober.probe(name)
    assert verdict.missing_resource(first) is None
    assert verdict.missing_resource(second) is Resource.CONNECTIONS
    assert len(victim.accepted_at) == 1


async def test_where_the_operator_redirects_connections_nobody_waits(victim_at: IPEndpoint) -> None:
    """It is the operator's own server."""
    internet = internet_with(connect_to={"192.0.2.1:8448": victim_at})
    endpoint = Endpoint(Target("hostile.test", 8448), ip_address("192.0.2.1"))
    assert await turn_waits(internet, [endpoint] * NAMES) == [0.0] * NAMES


def test_processes_share_the_limit() -> None:
    assert repr(SharedState(processes=2).pace) == f"<Pace: {PER_SECOND / 2:g} per second, 0 keys>"


async def test_networks_of_a_process_share_the_limit(victim: Victim, victim_at: IPEndpoint) -> None:
    """An address may be watched over several of them."""
    shared, endpoint = SharedState(), Endpoint(Target("127.0.0.1", victim_at[1]), victim_at[0])
    networks = [internet_with(shared=shared) for _ in range(3)]
    await asyncio.gather(*(turn_waits(network, [endpoint] * 10) for network in networks))
    assert max(victim.accepted_at) - min(victim.accepted_at) >= 0.9 * (NAMES - 1) / PER_SECOND
