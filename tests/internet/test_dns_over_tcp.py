"""DNS over TCP, where no UDP gets through or the operator demands it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from dns.message import Message

from exporter.demo.dns_server import DnsServer
from exporter.demo.zone import HANG_UP, DnsReply, Transport
from exporter.internet import Internet
from exporter.internet import resolver as resolving
from exporter.internet.resolver import Resolver
from exporter.model.enums import SrvService
from exporter.model.findings import SrvRecord
from tests.addresses import ip_endpoint
from tests.fake_world import srv_record
from tests.lab.dns_faults import drop
from tests.waiting import until

FOREVER = 3600.0  # seconds, for lookups that are answered
TRY = 0.1  # seconds, for tries that are not
FOUND = (srv_record(10, 5, 8450, "hs.test"),)
UDP, TCP = Transport.UDP, Transport.TCP


class FilteredServer(DnsServer):
    """A DNS server behind a firewall that drops the messages of the transports in `dropped`."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = {UDP}

    def reply(self, wire: bytes, transport: Transport) -> DnsReply:
        reply = super().reply(wire, transport)
        return None if transport in self.dropped else reply

    def take_transports(self) -> list[Transport]:
        """Return the transports of the questions since the last call."""
        transports = [question.transport for question in self.questions]
        self.questions.clear()
        return transports


class Patience:
    """How long a try takes without an answer. It is short only where there is none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.set(TRY)

    def set(self, seconds: float) -> None:
        for name in ("TRY_SECONDS", "LIVENESS_SECONDS"):
            self._monkeypatch.setattr(resolving, name, seconds)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Patience:
    return Patience(monkeypatch)


@pytest.fixture
async def server(patience: Patience) -> AsyncIterator[FilteredServer]:
    server = FilteredServer()
    server.zone.load("_matrix._tcp.x.test SRV 10 5 8450 hs.test.")
    await server.start()
    yield server
    await server.stop()


def resolver_of(server: DnsServer, *, tcp_only: bool = False) -> Resolver:
    return Resolver(lambda: [ip_endpoint(server.address)], FOREVER, lambda: tcp_only)


async def look_up(resolver: Resolver) -> tuple[SrvRecord, ...]:
    return await resolver.srv(SrvService.MATRIX, "x.test")


async def take_transports_of_next_lookup(
    server: FilteredServer, resolver: Resolver, patience: Patience
) -> list[Transport]:
    """Return the transports of a lookup whose first try is answered, however long that takes."""
    await until(lambda: not resolver._transport_checks)
    patience.set(FOREVER)
    server.take_transports()
    assert await look_up(resolver) == FOUND
    patience.set(TRY)
    return server.take_transports()


async def test_where_no_udp_gets_through_lookups_use_tcp(server: FilteredServer, patience: Patience) -> None:
    """The second try of the first lookup is over TCP, and so is the first one of all others."""
    resolver = resolver_of(server)
    assert await look_up(resolver) == FOUND
    assert await take_transports_of_next_lookup(server, resolver, patience) == [TCP]


async def test_a_slow_name_does_not_change_the_transport(server: FilteredServer, patience: Patience) -> None:
    """Whoever owns a name can be slow to answer: then the DNS server is asked for something that it knows."""

    def answer_over_tcp(reply: Message, transport: Transport) -> DnsReply:
        if transport is UDP:
            return None
        patience.set(FOREVER)
        return reply.to_wire()

    server.dropped = set()
    server.zone.fail("_matrix._tcp.x.test", "SRV", answer_over_tcp)
    resolver = resolver_of(server)
    assert await look_up(resolver) == FOUND
    server.zone.repair("_matrix._tcp.x.test", "SRV")
    assert await take_transports_of_next_lookup(server, resolver, patience) == [UDP]


async def test_a_slow_name_is_not_looked_up_over_tcp(server: FilteredServer) -> None:
    """The DNS server has just answered another query: thousands of slow names must not use up its TCP connections."""
    server.dropped = set()
    resolver = resolver_of(server)
    assert await look_up(resolver) == FOUND
    server.zone.fail("slow.test", "A", drop)
    server.take_transports()
    looking_up = asyncio.create_task(resolver.addresses("slow.test"))
    await until(lambda: [question.rdtype for question in server.questions].count("A") > 3)
    looking_up.cancel()
    assert set(server.take_transports()) == {UDP}


async def test_udp_is_used_again_if_tcp_does_not_work_any_more(
    server: FilteredServer, patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolving, "RECENT_SECONDS", 0.0)
    resolver = resolver_of(server)
    assert await look_up(resolver) == FOUND
    assert await take_transports_of_next_lookup(server, resolver, patience) == [TCP]
    server.dropped = {TCP}
    assert await look_up(resolver) == FOUND
    assert await take_transports_of_next_lookup(server, resolver, patience) == [UDP]


async def test_a_server_that_hangs_up_over_tcp_is_queried_over_udp_again(server: FilteredServer) -> None:
    """A proxy may accept every connection. This is no answer, so it is no failure."""

    def hang_up(reply: Message, transport: Transport) -> DnsReply:
        if transport is TCP:
            server.dropped = set()
            return HANG_UP
        return reply.to_wire()

    server.zone.fail("_matrix._tcp.x.test", "SRV", hang_up)
    assert await look_up(resolver_of(server)) == FOUND
    assert TCP in server.take_transports()


async def test_udp_is_never_used_if_the_operator_demands_tcp(server: FilteredServer) -> None:
    server.dropped = set()
    resolver = resolver_of(server, tcp_only=True)
    assert await look_up(resolver) == FOUND
    assert await resolver.responds()
    assert set(server.take_transports()) == {TCP}


async def test_a_server_without_udp_responds(server: FilteredServer, patience: Patience) -> None:
    """The exporter's own network is not down."""

    def be_patient_after_udp(reply: Message, _: Transport) -> DnsReply:
        patience.set(FOREVER)
        return reply.to_wire()

    server.zone.fail(".", "A", be_patient_after_udp)
    internet = Internet(timeout=FOREVER, resolvers=lambda: [ip_endpoint(server.address)])
    assert await internet.resolver_responds()
    assert server.take_transports()[-1] is TCP
    patience.set(TRY)
    server.zone.repair(".", "A")
    server.dropped = {UDP, TCP}
    assert not await internet.resolver_responds()


async def test_where_udp_gets_through_no_query_is_over_tcp(server: FilteredServer, patience: Patience) -> None:
    patience.set(FOREVER)
    server.dropped = set()
    resolver = resolver_of(server)
    for _ in range(20):
        assert await look_up(resolver) == FOUND
    assert await resolver.responds()
    assert set(server.take_transports()) == {UDP}
