import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any, NoReturn

import dns.flags
import dns.message
import pytest

from exporter.demo.dns_server import DnsQuestion, DnsServer
from exporter.demo.zone import SERVFAIL, DnsFault, DnsReply, Transport
from exporter.internet import resolver as resolving
from exporter.internet.resolver import MOMENT_SECONDS, Resolver
from exporter.model.addresses import Target
from exporter.model.enums import SrvService
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.evidence import Addresses
from exporter.probing.problems import Step
from tests.addresses import ip_endpoint
from tests.fake_world import srv_record
from tests.lab.dns_faults import (
    REFUSED,
    drop,
    send_alias_loop,
    send_garbage,
    send_wrong_id,
    send_wrong_question,
    truncate,
    truncate_and_hang_up,
)
from tests.waiting import leaked_tasks, until

LIFETIME = 0.5  # seconds, for lookups that get no answer
LONG_LIFETIME = 3600.0  # for those that get one

ZONE = """
    dual.test                       A     192.0.2.1
    dual.test                       AAAA  2001:db8::1
    alias.test                      CNAME hop.test.
    hop.test                        CNAME dual.test.
    dangling.test                   CNAME missing.test.
    empty.test                      TXT   "no address"
    empty-alias.test                CNAME empty.test.
    six.test                        AAAA  2001:db8::6
    _matrix-fed._tcp.dual.test      SRV   10 5 8450 HS.test.
    _matrix._tcp.dual.test          CNAME _matrix-fed._tcp.dual.test.
"""
DUAL = (ip_address("192.0.2.1"), ip_address("2001:db8::1"))


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    server = DnsServer()
    server.zone.load(ZONE)
    await server.start()
    yield server
    await server.stop()


def resolver_of(*servers: DnsServer, lifetime: float = LONG_LIFETIME) -> Resolver:
    return Resolver(lambda: [ip_endpoint(server.address) for server in servers], lifetime)


def reasons(failures: tuple[Exception, ...]) -> list[Reason]:
    return [problems.reason(failure, Step.DNS) for failure in failures]


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("dual.test", Addresses("dual.test", DUAL)),
        ("DUAL.test", Addresses("DUAL.test", DUAL)),
        ("alias.test", Addresses("dual.test", DUAL)),
        ("six.test", Addresses("six.test", (ip_address("2001:db8::6"),))),
        ("empty.test", Addresses("empty.test", ())),
        ("missing.test", Addresses("missing.test", (), exists=False)),
        ("dangling.test", Addresses("missing.test", (), exists=False)),
        ("empty-alias.test", Addresses("empty.test", ())),
    ],
)
async def test_looks_up_addresses(server: DnsServer, host: str, expected: Addresses) -> None:
    assert await resolver_of(server).addresses(host) == expected


async def test_looks_up_srv_records(server: DnsServer) -> None:
    """RFC 2782 forbids an alias as the target, but not at the owner name."""
    expected = (srv_record(10, 5, 8450, "hs.test"),)
    assert await resolver_of(server).srv(SrvService.MATRIX_FED, "dual.test") == expected
    assert await resolver_of(server).srv(SrvService.MATRIX, "dual.test") == expected
    assert await resolver_of(server).srv(SrvService.MATRIX, "missing.test") == ()


async def test_each_name_is_queried_once_and_as_it_is(server: DnsServer) -> None:
    """Names are absolute: no search list is used, even for a name without a dot."""
    assert not (await resolver_of(server).addresses("localhost")).exists
    assert set(server.questions) == {DnsQuestion("localhost", kind, Transport.UDP) for kind in ("A", "AAAA")}
    assert len(server.questions) == 2


async def test_answers_are_not_cached(server: DnsServer) -> None:
    """A probe shows the current records."""
    resolver = resolver_of(server)
    await resolver.addresses("dual.test")
    server.zone.put("dual.test", "A", "192.0.2.99")
    assert (await resolver.addresses("dual.test")).ips == (ip_address("192.0.2.99"), DUAL[1])


@pytest.mark.parametrize(
    "host",
    [f"{'a' * 64}.test", ".".join(["a" * 63] * 4), "a..test"],
    ids=["long label", "long name", "empty label"],
)
async def test_names_that_dns_cannot_represent_do_not_exist(server: DnsServer, host: str) -> None:
    assert await resolver_of(server).addresses(host) == Addresses(host, (), exists=False)
    assert await resolver_of(server).srv(SrvService.MATRIX_FED, host) == ()
    assert list(server.questions) == []


async def test_a_name_that_is_too_long_with_the_service_has_no_srv_records(server: DnsServer) -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    server.zone.put(longest, "A", "192.0.2.5")
    assert (await resolver_of(server).addresses(longest)).ips == (ip_address("192.0.2.5"),)
    assert await resolver_of(server).srv(SrvService.MATRIX_FED, longest) == ()


# ---------------------------------------------------------------- over TCP


async def test_forty_srv_records_are_fetched(server: DnsServer) -> None:
    records = [srv_record(number, 5, 8448, f"hs{number}.many.test") for number in range(40)]
    name = "_matrix._tcp.many.test"
    server.zone.put(name, "SRV", *(f"{each.priority} 5 8448 {each.target.host}." for each in records))
    assert set(await resolver_of(server).srv(SrvService.MATRIX, "many.test")) == set(records)


async def test_a_truncated_answer_is_fetched_over_tcp(server: DnsServer) -> None:
    server.zone.fail("dual.test", "A", truncate)
    assert await resolver_of(server).addresses("dual.test") == Addresses("dual.test", DUAL)
    assert [question.transport for question in server.questions if question.rdtype == "A"] == [
        Transport.UDP,
        Transport.TCP,
    ]


async def test_an_answer_too_large_for_udp_is_complete(server: DnsServer) -> None:
    many = [f"2001:db8:1::{number:x}" for number in range(1, 101)]
    server.zone.put("many.test", "AAAA", *many)
    assert set((await resolver_of(server).addresses("many.test")).ips) == set(map(ip_address, many))


# ---------------------------------------------------------------- failures


@pytest.mark.silence
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (SERVFAIL, Reason.DNS_FAILURE),
        (REFUSED, Reason.DNS_FAILURE),
        (send_alias_loop, Reason.DNS_FAILURE),
        (truncate_and_hang_up, Reason.DNS_FAILURE),
        (send_garbage, Reason.DNS_FAILURE),
        (drop, Reason.DNS_TIMEOUT),
        (send_wrong_id, Reason.DNS_TIMEOUT),
        (send_wrong_question, Reason.DNS_TIMEOUT),
    ],
)
async def test_a_failed_lookup_has_a_reason(server: DnsServer, fault: DnsFault, reason: Reason) -> None:
    """An answer to another query is ignored. A failure of one address family does not affect the other."""
    server.zone.fail("dual.test", "A", fault)
    server.zone.fail("_matrix-fed._tcp.dual.test", "SRV", fault)
    waits_for_deadline = fault is send_garbage or reason is Reason.DNS_TIMEOUT
    resolver = resolver_of(server, lifetime=LIFETIME if waits_for_deadline else LONG_LIFETIME)
    found, srv = await asyncio.gather(
        resolver.addresses("dual.test"), resolver.srv(SrvService.MATRIX_FED, "dual.test"), return_exceptions=True
    )
    assert isinstance(found, Addresses)
    # Where a better answer may follow the garbage, the family that has records does not wait for it.
    of_family = Reason.DNS_TIMEOUT if fault is send_garbage else reason
    assert (found.ips, found.exists, reasons(found.failures)) == (DUAL[1:], True, [of_family])
    assert isinstance(srv, Exception)
    assert problems.reason(srv, Step.DNS) is reason


@pytest.mark.silence
async def test_one_family_is_not_held_up_by_the_other(server: DnsServer) -> None:
    """It has a moment left once the other one has records, which is much less than the lifetime."""
    server.zone.fail("dual.test", "AAAA", drop)
    started = asyncio.get_running_loop().time()
    found = await resolver_of(server).addresses("dual.test")
    assert asyncio.get_running_loop().time() - started < 10 * MOMENT_SECONDS
    assert (found.ips, found.exists, reasons(found.failures)) == (DUAL[:1], True, [Reason.DNS_TIMEOUT])
    assert [str(failure) for failure in found.failures] == [
        "AAAA lookup failed: no valid answer 1 s after that of the other family"
    ]


@pytest.mark.silence
async def test_the_only_family_with_records_may_take_the_whole_lifetime(
    server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query over UDP is sent once more after half a second."""
    monkeypatch.setattr(resolving, "MOMENT_SECONDS", 0.0)
    server.zone.fail("six.test", "AAAA", drop)
    looking_up = asyncio.create_task(resolver_of(server).addresses("six.test"))
    await until(lambda: len(server.questions) > 1)
    server.zone.repair("six.test", "AAAA")
    assert (await looking_up).ips == (ip_address("2001:db8::6"),)


async def test_a_cancelled_lookup_leaves_nothing_behind(server: DnsServer) -> None:
    server.zone.fail("dual.test", "AAAA", drop)
    before = leaked_tasks()
    looking_up = asyncio.create_task(resolver_of(server).addresses("dual.test"))
    await until(lambda: len(server.questions) == 2)
    looking_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking_up
    assert leaked_tasks() == before


async def test_a_name_exists_unless_both_lookups_say_that_it_does_not(server: DnsServer) -> None:
    """A failed lookup does not say so."""
    server.zone.fail("missing.test", "A", SERVFAIL)
    found = await resolver_of(server).addresses("missing.test")
    assert (found.ips, found.exists, reasons(found.failures)) == ((), True, [Reason.DNS_FAILURE])


async def test_an_alias_loop_in_the_zone_ends(server: DnsServer) -> None:
    server.zone.load("one.test CNAME two.test.\ntwo.test CNAME one.test.")
    found = await resolver_of(server).addresses("one.test")
    assert found.ips == ()


async def test_the_resolver_of_the_operating_system_is_never_used(
    server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a search list, a hosts file and a cache of its own."""

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the operating system's resolver was used")

    for function in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "getnameinfo"):
        monkeypatch.setattr(socket, function, fail)
    server.zone.fail("dual.test", "A", truncate)
    resolver = resolver_of(server)
    assert await resolver.addresses("dual.test") == Addresses("dual.test", DUAL)
    assert (await resolver.srv(SrvService.MATRIX_FED, "dual.test"))[0].target == Target("hs.test", 8450)


# ---------------------------------------------------------------- whether any server responds


@pytest.mark.silence
@pytest.mark.parametrize(
    ("fault", "responds"),
    [
        (None, True),
        (SERVFAIL, True),
        (REFUSED, True),
        (truncate, True),
        (drop, False),
    ],
)
async def test_a_server_responds_if_it_sends_any_answer(
    server: DnsServer, fault: DnsFault | None, *, responds: bool
) -> None:
    """In a closed federation, a DNS server need not know the root."""
    if fault:
        server.zone.fail(".", "A", fault)
    assert await resolver_of(server, lifetime=LONG_LIFETIME if responds else LIFETIME).responds() is responds
    assert server.questions[0] == DnsQuestion(".", "A", Transport.UDP)


async def test_the_liveness_query_does_not_desire_recursion(server: DnsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server would wait for other servers, which may be down."""
    desired: list[bool] = []
    reply = server.reply

    def record_and_reply(wire: bytes, transport: Transport) -> DnsReply:
        desired.append(bool(dns.message.from_wire(wire).flags & dns.flags.RD))
        return reply(wire, transport)

    monkeypatch.setattr(server, "reply", record_and_reply)
    assert await resolver_of(server).responds()
    assert desired == [False]


@pytest.mark.silence
async def test_one_responding_server_of_many_is_enough(server: DnsServer) -> None:
    """It may be the last one, after others that are down."""
    down = DnsServer()
    await down.start()
    await down.stop()
    assert not await resolver_of(down, down, lifetime=LIFETIME).responds()
    assert await resolver_of(*[down] * 4, server).responds()


@pytest.mark.silence
def test_repr_shows_the_servers() -> None:
    resolver = Resolver(lambda: [ip_endpoint("192.0.2.1:53"), ip_endpoint("[2001:db8::1]:5353")], LIFETIME)
    assert repr(resolver) == "<Resolver: 192.0.2.1:53, [2001:db8::1]:5353>"
