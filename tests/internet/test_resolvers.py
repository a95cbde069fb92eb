"""Which DNS server is queried when, and which answers are accepted."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NoReturn

import dns.flags
import dns.message
import dns.resolver
import pytest
from dns.message import Message
from dns.rcode import Rcode

from exporter.demo.dns_server import DnsServer
from exporter.demo.zone import Transport
from exporter.internet import IPEndpoint, dns_transport
from exporter.internet import resolver as resolving
from exporter.internet.resolver import Resolver
from exporter.model.enums import Resource, SrvService
from exporter.model.outcomes import ResourceShortage
from exporter.probing import problems
from exporter.probing.network import DnsFailureError, DnsTimeoutError
from exporter.probing.problems import Step
from tests.addresses import ip_endpoint
from tests.fake_world import srv_record
from tests.internet.scripted_resolver import Script, answer, scripted

LIFETIME = 0.4  # seconds, for lookups that get no answer
LONG_LIFETIME = 3600.0  # for those that get one
RECORD = "10 5 8450 hs.test."
FOUND = (srv_record(10, 5, 8450, "hs.test"),)


async def look_up(*servers: IPEndpoint, lifetime: float = LONG_LIFETIME) -> object:
    """Return the SRV records, or the exception of the lookup."""
    resolver = Resolver(lambda: servers, lifetime)
    (outcome,) = await asyncio.gather(resolver.srv(SrvService.MATRIX, "x.test"), return_exceptions=True)
    return outcome


def good(query: Message) -> Iterable[bytes]:
    yield answer(query, RECORD).to_wire()


def silent(query: Message) -> Iterable[bytes]:
    return ()


def garbled(query: Message) -> Iterable[bytes]:
    yield query.id.to_bytes(2, "big") + b"\xff" * 30


def failing(rcode: Rcode) -> Script:
    def fail(query: Message) -> Iterable[bytes]:
        reply = answer(query)
        reply.set_rcode(rcode)
        yield reply.to_wire()

    return fail


def mismatched(query: Message) -> Iterable[bytes]:
    """Answer with another ID, to another question, and with an empty datagram."""
    other = dns.message.make_query("other.test", "SRV", id=query.id)
    yield answer(dns.message.make_query("_matrix._tcp.x.test", "SRV", id=query.id ^ 1), "0 0 1 evil.test.").to_wire()
    yield answer(other, "0 0 1 evil.test.").to_wire()
    yield b""


async def closed_port() -> IPEndpoint:
    """Return an endpoint at which nothing listens."""
    server = DnsServer()
    await server.start()
    await server.stop()
    return ip_endpoint(server.address)


# ---------------------------------------------------------------- which answers are accepted


async def test_mismatched_answers_are_ignored() -> None:
    """Anybody may have sent them, and the true answer may come after many of them."""
    async with scripted(lambda query: [*mismatched(query)] * 20 + [*good(query)]) as server:
        assert await look_up(server.endpoint) == FOUND
        assert len(server.queries) == 1


async def test_a_better_answer_may_follow_a_malformed_one() -> None:
    async with scripted(lambda query: [*garbled(query), *good(query)]) as server:
        assert await look_up(server.endpoint) == FOUND


@pytest.mark.silence
async def test_a_malformed_answer_is_reported_if_no_better_one_follows() -> None:
    async with scripted(lambda query: [*garbled(query), *mismatched(query)]) as server:
        outcome = await look_up(server.endpoint, lifetime=LIFETIME)
    assert isinstance(outcome, DnsFailureError)
    assert str(outcome).endswith(": its message is not the answer to a query")


async def test_an_answer_from_another_address_is_not_received() -> None:
    """The kernel drops it even if its ID and its port are right."""
    attacker = socket.socket(type=socket.SOCK_DGRAM)
    attacker.bind(("127.0.0.1", 0))

    def overtaken_by_attacker(query: Message) -> Iterable[bytes]:
        attacker.sendto(answer(query, "0 0 1 evil.test.").to_wire(), server.clients[-1])
        return good(query)

    async with scripted(overtaken_by_attacker) as server:
        assert await look_up(server.endpoint) == FOUND
    attacker.close()


async def test_ids_and_ports_are_unpredictable() -> None:
    """Two of 40 random IDs may be equal. A counter would have equal steps, and a fixed port equal values."""
    async with scripted(good) as server:
        await asyncio.gather(*(look_up(server.endpoint) for _ in range(40)))
        ids = [query.id for query in server.queries]
        ports = [port for _, port in server.clients]
    for numbers in (ids, ports):
        assert len(set(numbers)) > 35
        steps = {later - earlier for earlier, later in pairwise(numbers)}
        assert len(steps) > 30


@pytest.mark.silence
async def test_every_try_has_a_new_id_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "TRY_SECONDS", 0.02)
    monkeypatch.setattr(resolving, "RETRY_PAUSE_SECONDS", 0)
    async with scripted(silent) as server:
        await look_up(server.endpoint, lifetime=LIFETIME)
        assert len({(query.id, port) for query, (_, port) in zip(server.queries, server.clients, strict=True)}) > 2


# ---------------------------------------------------------------- EDNS


async def test_a_server_without_edns_is_queried_without_it() -> None:
    """Such a server may omit the question, as it cannot read the query."""

    def without_edns(query: Message) -> Iterable[bytes]:
        format_error = query.id.to_bytes(2, "big") + b"\x80\x01" + bytes(8)
        return good(query) if query.edns < 0 else [format_error]

    async with scripted(without_edns) as server:
        assert await look_up(server.endpoint) == FOUND
        assert [(query.edns, query.payload) for query in server.queries] == [(0, 1232), (-1, 0)]


# ---------------------------------------------------------------- the next server


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED, Rcode.FORMERR, Rcode.BADVERS])
async def test_the_next_server_is_queried_after_an_error(rcode: Rcode) -> None:
    async with scripted(failing(rcode)) as bad, scripted(good) as server:
        assert await look_up(bad.endpoint, server.endpoint) == FOUND


async def test_nxdomain_is_final() -> None:
    async with scripted(failing(Rcode.NXDOMAIN)) as first, scripted(good) as second:
        assert await look_up(first.endpoint, second.endpoint) == ()
        assert second.queries == []


async def test_the_next_server_is_queried_after_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "TRY_SECONDS", 0.05)
    async with scripted(silent) as first, scripted(good) as second:
        assert await look_up(first.endpoint, second.endpoint) == FOUND


async def test_the_next_server_is_queried_at_once_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout would take up the whole time of a try."""
    monkeypatch.setattr(resolving, "TRY_SECONDS", 3600.0)
    async with scripted(good) as server:
        assert await look_up(await closed_port(), server.endpoint) == FOUND


async def test_a_silent_server_is_queried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """UDP loses packets."""
    monkeypatch.setattr(resolving, "TRY_SECONDS", 0.05)
    answers = iter([silent, silent])

    def third_time(query: Message) -> Iterable[bytes]:
        return next(answers, good)(query)

    async with scripted(third_time) as server:
        assert await look_up(server.endpoint) == FOUND


async def test_a_server_that_failed_is_not_queried_again() -> None:
    async with scripted(failing(Rcode.SERVFAIL)) as server:
        outcome = await look_up(server.endpoint)
        assert isinstance(outcome, DnsFailureError)
        assert str(outcome) == f"SRV lookup failed: 127.0.0.1:{server.endpoint[1]}: SERVFAIL"
        assert len(server.queries) == 1


@pytest.mark.silence
async def test_a_lookup_that_no_server_answers_is_a_timeout() -> None:
    async with scripted(silent) as server:
        down = await closed_port()
        outcome = await look_up(down, server.endpoint, lifetime=LIFETIME)
        assert isinstance(outcome, DnsTimeoutError)
        refused, timed_out = (
            f"127.0.0.1:{down[1]}: Connection refused",
            f"127.0.0.1:{server.endpoint[1]}: no answer in time",
        )
        assert str(outcome) == f"SRV lookup failed: {refused}; {timed_out}"


@pytest.mark.silence
async def test_one_error_among_timeouts_is_a_failure() -> None:
    async with scripted(failing(Rcode.REFUSED)) as bad, scripted(silent) as other:
        assert isinstance(await look_up(bad.endpoint, other.endpoint, lifetime=LIFETIME), DnsFailureError)


@pytest.mark.silence
async def test_a_server_that_refuses_is_a_timeout() -> None:
    assert isinstance(await look_up(await closed_port(), lifetime=LIFETIME), DnsTimeoutError)


@pytest.mark.silence
async def test_a_server_that_refuses_is_queried_with_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reports the refusal at once: without pauses, the queries would keep a core busy."""
    monkeypatch.setattr(resolving, "RETRY_PAUSE_SECONDS", LIFETIME / 20)
    queried: list[IPEndpoint] = []

    async def refuse(server: IPEndpoint, *_: Any, **__: Any) -> NoReturn:
        queried.append(server)
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    monkeypatch.setattr(resolving, "exchange", refuse)
    await look_up(await closed_port(), lifetime=LIFETIME)
    assert 1 < len(queried) <= 2 + LIFETIME / resolving.RETRY_PAUSE_SECONDS


@pytest.mark.silence
async def test_the_lifetime_limits_the_last_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last try has only the rest of the lifetime, however long a try may take."""
    monkeypatch.setattr(resolving, "TRY_SECONDS", 3600.0)
    async with scripted(silent) as server:
        assert isinstance(await look_up(server.endpoint, lifetime=LIFETIME), DnsTimeoutError)


def no_file_descriptor(*_: Any, **__: Any) -> NoReturn:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_a_lookup_without_a_free_file_descriptor_is_a_resource_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised at once, and is not attributed to the DNS servers."""
    down = await closed_port()
    monkeypatch.setattr(dns_transport, "new_socket", no_file_descriptor)
    outcome = await look_up(down)
    assert isinstance(outcome, OSError)
    problem = problems.classify(outcome, Step.DNS)
    assert isinstance(problem, ResourceShortage)
    assert problem.resource is Resource.FILE_DESCRIPTORS


# ---------------------------------------------------------------- whether any server responds


async def test_a_single_server_gets_another_liveness_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens there for TCP, which is tried in between."""
    monkeypatch.setattr(resolving, "LIVENESS_SECONDS", 0.05)
    queries = 0

    def second_time(query: Message) -> Iterable[bytes]:
        nonlocal queries
        queries += 1
        monkeypatch.setattr(resolving, "LIVENESS_SECONDS", 3600.0)  # for the next one, which is answered
        return silent(query) if queries == 1 else failing(Rcode.REFUSED)(query)

    async with scripted(second_time) as server:
        assert await Resolver(lambda: [server.endpoint], LONG_LIFETIME).responds()
    assert queries == 2


@pytest.mark.parametrize(("alive", "lifetime"), [(0.05, 3600.0), (3600.0, 0.05)])
async def test_the_liveness_queries_end_soon(alive: float, lifetime: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "LIVENESS_SECONDS", alive)
    async with scripted(silent) as server:
        assert not await Resolver(lambda: [server.endpoint], lifetime).responds()


@pytest.mark.silence
async def test_a_server_that_sends_malformed_answers_responds() -> None:
    async with scripted(garbled) as server:
        assert await Resolver(lambda: [server.endpoint], LIFETIME).responds()


@pytest.mark.silence
async def test_without_a_free_file_descriptor_a_server_is_assumed_to_respond(monkeypatch: pytest.MonkeyPatch) -> None:
    down = await closed_port()
    monkeypatch.setattr(dns_transport, "new_socket", no_file_descriptor)
    assert await Resolver(lambda: [down], LIFETIME).responds()


# ---------------------------------------------------------------- over TCP


class TruncatingServer(DnsServer):
    """Answers truncated over UDP, and with the result of `over_tcp` over TCP."""

    def __init__(self, over_tcp: Callable[[Message], bytes]) -> None:
        super().__init__()
        self._over_tcp = over_tcp

    def reply(self, wire: bytes, transport: Transport) -> bytes:
        query = dns.message.from_wire(wire)
        if transport is Transport.TCP:
            return self._over_tcp(query)
        reply = answer(query)
        reply.flags |= dns.flags.TC
        return reply.to_wire()


def still_truncated(query: Message) -> bytes:
    reply = answer(query)
    reply.flags |= dns.flags.TC
    return reply.to_wire()


def to_another_question(query: Message) -> bytes:
    return answer(dns.message.make_query("other.test", "A", id=query.id), "192.0.2.66").to_wire()


@pytest.mark.parametrize(
    ("over_tcp", "detail"),
    [
        (still_truncated, "its answer is truncated even over TCP"),
        (to_another_question, "its answer is for another question, over TCP"),
        (lambda query: query.to_wire(), "its message is not the answer to a query"),
        (lambda query: answer(query, RECORD).to_wire()[:-1], "its answer ends too early"),
        (lambda query: b"", "it closed the connection before its answer was complete"),
    ],
)
async def test_over_tcp_the_first_message_counts(over_tcp: Callable[[Message], bytes], detail: str) -> None:
    """Nobody but the server can send over the connection."""
    server = TruncatingServer(over_tcp)
    await server.start()
    outcome = await look_up(ip_endpoint(server.address))
    await server.stop()
    assert isinstance(outcome, DnsFailureError)
    assert str(outcome) == f"SRV lookup failed: {server.address}: {detail}"


async def test_a_long_answer_over_tcp_is_complete() -> None:
    """It comes in more than one piece."""
    records = [f"{priority} 5 8450 {'x' * 60}.{priority}.test." for priority in range(250)]
    server = TruncatingServer(lambda query: answer(query, *records).to_wire(max_size=65535))
    await server.start()
    outcome = await look_up(ip_endpoint(server.address))
    await server.stop()
    assert isinstance(outcome, tuple)
    assert len(outcome) == len(records)
