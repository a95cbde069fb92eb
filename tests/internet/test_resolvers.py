"""Which resolver is asked when, and what is believed of what comes back."""

import asyncio
import errno
import io
import os
import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
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
from exporter.internet.resolver import NoResolversError, Resolver
from exporter.model.enums import SrvService
from exporter.model.outcomes import ResourceShortage
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.network import DnsFailureError, DnsTimeoutError
from exporter.probing.problems import Step
from tests.addresses import ip_endpoint
from tests.fake_world import srv_record
from tests.internet.scripted_resolver import Script, answer, scripted

LIFETIME = 0.2  # seconds: for answers that never come
PATIENT = 5.0  # for those that do
RECORD = "10 5 8450 hs.test."
FOUND = (srv_record(10, 5, 8450, "hs.test"),)


async def look_up(*servers: IPEndpoint, lifetime: float = PATIENT) -> object:
    """The records, or what was raised instead."""
    resolver = Resolver(servers, lifetime)
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


def strayed(query: Message) -> Iterable[bytes]:
    """Another id, another question, and no answer at all."""
    other = dns.message.make_query("other.test", "SRV", id=query.id)
    yield answer(dns.message.make_query("_matrix._tcp.x.test", "SRV", id=query.id ^ 1), "0 0 1 evil.test.").to_wire()
    yield answer(other, "0 0 1 evil.test.").to_wire()
    yield b""


async def nobody() -> IPEndpoint:
    """A place where nobody listens."""
    server = DnsServer()
    await server.start()
    await server.stop()
    return ip_endpoint(server.address)


# ---------------------------------------------------------------- what is believed


async def test_what_anybody_may_have_sent_is_passed_over() -> None:
    """However much of it there is: the true answer is peer_wait for."""
    async with scripted(lambda query: [*strayed(query)] * 20 + [*good(query)]) as server:
        assert await look_up(server.place) == FOUND
        assert len(server.queries) == 1


async def test_better_is_waited_for_where_an_answer_is_nonsense() -> None:
    async with scripted(lambda query: [*garbled(query), *good(query)]) as server:
        assert await look_up(server.place) == FOUND


async def test_nonsense_is_told_where_nothing_better_comes() -> None:
    async with scripted(lambda query: [*garbled(query), *strayed(query)]) as server:
        outcome = await look_up(server.place, lifetime=LIFETIME)
    assert isinstance(outcome, DnsFailureError)
    assert str(outcome).endswith(": what it sends is no answer to a query")


async def test_an_answer_from_elsewhere_does_not_arrive() -> None:
    """Even with the right id, at the right port."""
    elsewhere = socket.socket(type=socket.SOCK_DGRAM)
    elsewhere.bind(("127.0.0.1", 0))

    def overtaken(query: Message) -> Iterable[bytes]:
        elsewhere.sendto(answer(query, "0 0 1 evil.test.").to_wire(), server.clients[-1])
        return good(query)

    async with scripted(overtaken) as server:
        assert await look_up(server.place) == FOUND
    elsewhere.close()


async def test_ids_and_ports_cannot_be_guessed() -> None:
    """Of 40 random ids two may be the same; a counter, or a port that stays, is something else."""
    async with scripted(good) as server:
        await asyncio.gather(*(look_up(server.place) for _ in range(40)))
        ids = [query.id for query in server.queries]
        ports = [port for _, port in server.clients]
    for numbers in (ids, ports):
        assert len(set(numbers)) > 35
        steps = {later - earlier for earlier, later in pairwise(numbers)}
        assert len(steps) > 30


async def test_every_try_has_another_id_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "TRY_SECONDS", 0.02)
    monkeypatch.setattr(resolving, "AGAIN_SECONDS", 0)
    async with scripted(silent) as server:
        await look_up(server.place, lifetime=LIFETIME)
        assert len({(query.id, port) for query, (_, port) in zip(server.queries, server.clients, strict=True)}) > 2


# ---------------------------------------------------------------- EDNS


async def test_what_does_not_know_edns_is_asked_without() -> None:
    """Such a server may not even repeat the question, as it cannot read it."""

    def old(query: Message) -> Iterable[bytes]:
        format_error = query.id.to_bytes(2, "big") + b"\x80\x01" + bytes(8)
        return good(query) if query.edns < 0 else [format_error]

    async with scripted(old) as server:
        assert await look_up(server.place) == FOUND
        assert [(query.edns, query.payload) for query in server.queries] == [(0, 1232), (-1, 0)]


# ---------------------------------------------------------------- the next resolver


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED, Rcode.FORMERR, Rcode.BADVERS])
async def test_where_one_answers_with_an_error_the_next_is_asked(rcode: Rcode) -> None:
    async with scripted(failing(rcode)) as bad, scripted(good) as server:
        assert await look_up(bad.place, server.place) == FOUND


async def test_an_answer_that_a_name_does_not_exist_is_final() -> None:
    async with scripted(failing(Rcode.NXDOMAIN)) as first, scripted(good) as second:
        assert await look_up(first.place, second.place) == ()
        assert second.queries == []


async def test_where_one_is_silent_the_next_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "TRY_SECONDS", 0.05)
    async with scripted(silent) as first, scripted(good) as second:
        assert await look_up(first.place, second.place) == FOUND


async def test_where_nobody_listens_the_next_is_asked_at_once() -> None:
    """Silence would take up the whole lifetime."""
    async with scripted(good) as server:
        assert await look_up(await nobody(), server.place, lifetime=resolving.TRY_SECONDS) == FOUND


async def test_the_silent_one_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """UDP loses packets."""
    monkeypatch.setattr(resolving, "TRY_SECONDS", 0.05)
    answers = iter([silent, silent, good])

    def at_last(query: Message) -> Iterable[bytes]:
        return next(answers)(query)

    async with scripted(at_last) as server:
        assert await look_up(server.place) == FOUND


async def test_one_that_failed_is_not_asked_again() -> None:
    async with scripted(failing(Rcode.SERVFAIL)) as server:
        outcome = await look_up(server.place)
        assert isinstance(outcome, DnsFailureError)
        assert str(outcome) == f"asked for SRV, 127.0.0.1:{server.place[1]}: SERVFAIL"
        assert len(server.queries) == 1


async def test_silence_of_all_is_a_timeout() -> None:
    async with scripted(silent) as server:
        down = await nobody()
        outcome = await look_up(down, server.place, lifetime=LIFETIME)
        assert isinstance(outcome, DnsTimeoutError)
        refused, peer_wait = (
            f"127.0.0.1:{down[1]}: Connection refused",
            f"127.0.0.1:{server.place[1]}: no answer in time",
        )
        assert str(outcome) == f"asked for SRV, {refused}; {peer_wait}"


async def test_one_bad_answer_among_silence_is_a_failure() -> None:
    async with scripted(failing(Rcode.REFUSED)) as bad, scripted(silent) as dumb:
        assert isinstance(await look_up(bad.place, dumb.place, lifetime=LIFETIME), DnsFailureError)


async def test_a_resolver_that_is_down_is_silent() -> None:
    assert isinstance(await look_up(await nobody(), lifetime=LIFETIME), DnsTimeoutError)


async def test_a_resolver_that_is_down_is_not_asked_without_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says at once that nobody listens: to ask again and again would keep a core busy."""
    asked: list[IPEndpoint] = []

    async def refused(server: IPEndpoint, *_: Any) -> NoReturn:
        asked.append(server)
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    monkeypatch.setattr(resolving, "exchange", refused)
    await look_up(await nobody(), lifetime=LIFETIME)
    assert 1 < len(asked) <= 2 + LIFETIME / resolving.AGAIN_SECONDS


async def test_a_lookup_ends_though_a_try_might_take_longer() -> None:
    """The last try has only what is left of its lifetime."""
    loop = asyncio.get_running_loop()
    async with scripted(silent) as server:
        begun = loop.time()
        await look_up(server.place, lifetime=LIFETIME)
        assert loop.time() - begun < resolving.TRY_SECONDS


def exhausted(*_: Any, **__: Any) -> NoReturn:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_a_shortage_of_ours_is_no_fault_of_the_resolvers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told at once, and as what it is."""
    down = await nobody()
    monkeypatch.setattr(dns_transport, "new_socket", exhausted)
    outcome = await look_up(down)
    assert isinstance(outcome, OSError)
    assert problems.classify(outcome, Step.DNS) == ResourceShortage(Reason.INTERNAL_ERROR, "Too many open files")


# ---------------------------------------------------------------- whether any is there at all


async def test_a_single_one_is_asked_three_times_whether_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "ALIVE_SECONDS", 0.05)
    answers = iter([silent, silent, failing(Rcode.REFUSED)])

    def at_last(query: Message) -> Iterable[bytes]:
        return next(answers)(query)

    async with scripted(at_last) as server:
        assert await Resolver([server.place], PATIENT).answers()


@pytest.mark.parametrize(("alive", "lifetime"), [(0.05, 3600.0), (3600.0, 0.05)])
async def test_it_is_soon_clear_that_none_is_there(
    alive: float, lifetime: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolving, "ALIVE_SECONDS", alive)
    async with scripted(silent) as server, asyncio.timeout(5):
        assert not await Resolver([server.place], lifetime).answers()


async def test_one_that_talks_nonsense_is_there() -> None:
    async with scripted(garbled) as server:
        assert await Resolver([server.place], LIFETIME).answers()


async def test_a_shortage_of_ours_is_no_proof_that_none_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    down = await nobody()
    monkeypatch.setattr(dns_transport, "new_socket", exhausted)
    assert await Resolver([down], LIFETIME).answers()


# ---------------------------------------------------------------- over TCP


class Truncating(DnsServer):
    """Over UDP the hint to come back over TCP, and there whatever `over_tcp` makes of the question."""

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
    ("over_tcp", "complaint"),
    [
        (still_truncated, "its answer is truncated even over TCP"),
        (to_another_question, "it answers another question, over TCP"),
        (lambda query: query.to_wire(), "what it sends is no answer to a query"),
        (lambda query: answer(query, RECORD).to_wire()[:-1], "its answer is cut short"),
        (lambda query: b"", "it closed the connection before its answer was whole"),
    ],
)
async def test_over_tcp_the_first_message_counts(over_tcp: Callable[[Message], bytes], complaint: str) -> None:
    """Nobody else can speak there."""
    server = Truncating(over_tcp)
    await server.start()
    outcome = await look_up(ip_endpoint(server.address))
    await server.stop()
    assert isinstance(outcome, DnsFailureError)
    assert str(outcome) == f"asked for SRV, {server.address}: {complaint}"


async def test_a_long_answer_comes_whole_over_tcp() -> None:
    """In more than one piece."""
    records = [f"{priority} 5 8450 {'x' * 60}.{priority}.test." for priority in range(250)]
    server = Truncating(lambda query: answer(query, *records).to_wire(max_size=65535))
    await server.start()
    outcome = await look_up(ip_endpoint(server.address))
    await server.stop()
    assert isinstance(outcome, tuple)
    assert len(outcome) == len(records)


# ---------------------------------------------------------------- of the system


def system(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """What /etc/resolv.conf says."""
    read = dns.resolver.BaseResolver.read_resolv_conf
    monkeypatch.setattr(
        dns.resolver.BaseResolver, "read_resolv_conf", lambda self, _: read(self, io.StringIO("\n".join(lines)))
    )


def test_the_resolvers_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    system(monkeypatch, "search corp.test", "nameserver 192.0.2.53", "options ndots:5", "nameserver 2001:db8::53")
    expected = ((ip_address("192.0.2.53"), 53), (ip_address("2001:db8::53"), 53))
    assert Resolver([], PATIENT)._servers == expected


def test_a_system_without_resolvers(monkeypatch: pytest.MonkeyPatch) -> None:
    system(monkeypatch, "# none")
    with pytest.raises(NoResolversError, match=r"network\.resolvers"):
        Resolver([], PATIENT)
