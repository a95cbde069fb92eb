import asyncio
import errno
from collections.abc import AsyncIterator

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import pytest
import pytest_asyncio
from dns.message import Message
from dns.rrset import RRset

from exporter.demo.dns_server import DnsQuestion, DnsServer
from exporter.demo.listener import Listener
from exporter.demo.zone import DnsFault, Transport
from tests.demo.independent_clients import host_and_port
from tests.waiting import PATIENCE

NAME = "x.lab.test"
SILENCE_SECONDS = 0.3  # an answer takes less than a hundredth of that


@pytest_asyncio.fixture
async def server() -> AsyncIterator[DnsServer]:
    server = DnsServer()
    server.zone.load(
        f"""
        {NAME}               A     192.0.2.1
        {NAME}               A     192.0.2.2
        {NAME}               AAAA  2001:db8::1
        _matrix._tcp.{NAME}  SRV   10 5 8448 hs.{NAME}.
        alias.{NAME}         CNAME second.{NAME}.
        second.{NAME}        CNAME {NAME}.
        dangling.{NAME}      CNAME nowhere.{NAME}.
        round.{NAME}         CNAME about.{NAME}.
        about.{NAME}         CNAME round.{NAME}.
        """
    )
    await server.start()
    yield server
    await server.stop()


async def ask(
    server: DnsServer, name: str, kind: str, over: Transport = Transport.UDP, *, payload: int = 1232
) -> Message:
    """`payload`: how long an answer over UDP may be; 0 without EDNS."""
    query = dns.message.make_query(name, kind, use_edns=0 if payload else False, payload=payload or 512)
    address, port = host_and_port(server.address)
    send = dns.asyncquery.udp if over is Transport.UDP else dns.asyncquery.tcp
    return await send(query, address, port=port, timeout=PATIENCE)


def facts(reply: Message) -> tuple[str, list[str], list[str]]:
    """Response code, and the answer and authority sections: the aliases first, then the records in no order."""
    return dns.rcode.to_text(reply.rcode()), lines(reply.answer), lines(reply.authority)


def lines(section: list[RRset]) -> list[str]:
    """Names come back in the case in which they were asked for."""
    for rrset in section:
        rrset.name = rrset.name.canonicalize()
    return [line for rrset in section for line in sorted(rrset.to_text().split("\n"))]


SOA = "test. 60 IN SOA ns.test. hostmaster.test. 1 3600 600 86400 60"
A = [f"{NAME}. 60 IN A 192.0.2.1", f"{NAME}. 60 IN A 192.0.2.2"]


@pytest.mark.parametrize("over", Transport)
@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        (NAME, "A", ("NOERROR", A, [])),
        (NAME.upper(), "AAAA", ("NOERROR", [f"{NAME}. 60 IN AAAA 2001:db8::1"], [])),
        (
            f"_matrix._tcp.{NAME}",
            "SRV",
            ("NOERROR", [f"_matrix._tcp.{NAME}. 60 IN SRV 10 5 8448 hs.{NAME}."], []),
        ),
        (
            f"alias.{NAME}",
            "A",
            (
                "NOERROR",
                [f"alias.{NAME}. 60 IN CNAME second.{NAME}.", f"second.{NAME}. 60 IN CNAME {NAME}.", *A],
                [],
            ),
        ),
        (f"alias.{NAME}", "CNAME", ("NOERROR", [f"alias.{NAME}. 60 IN CNAME second.{NAME}."], [])),
        (f"dangling.{NAME}", "A", ("NXDOMAIN", [f"dangling.{NAME}. 60 IN CNAME nowhere.{NAME}."], [SOA])),
        (
            f"round.{NAME}",
            "A",
            (
                "NOERROR",
                [f"round.{NAME}. 60 IN CNAME about.{NAME}.", f"about.{NAME}. 60 IN CNAME round.{NAME}."],
                [SOA],
            ),
        ),
        (NAME, "SRV", ("NOERROR", [], [SOA])),
        (f"_tcp.{NAME}", "SRV", ("NOERROR", [], [SOA])),  # something is beneath it
        (f"nowhere.{NAME}", "A", ("NXDOMAIN", [], [SOA])),
    ],
)
async def test_answers(
    server: DnsServer, over: Transport, name: str, kind: str, expected: tuple[str, list[str], list[str]]
) -> None:
    """What a resolver says: records with the aliases on the way, or no name, or no record, and why for how long."""
    reply = await ask(server, name, kind, over)
    assert facts(reply) == expected
    assert reply.flags & (dns.flags.QR | dns.flags.RA | dns.flags.TC) == dns.flags.QR | dns.flags.RA


async def test_the_zone_changes_while_the_server_runs(server: DnsServer) -> None:
    """Records come, change and go, and their names with them."""
    server.zone.put("new.lab.test", "A", "192.0.2.8")
    server.zone.put("new.lab.test", "A", "192.0.2.9")
    assert facts(await ask(server, "new.lab.test", "A")) == ("NOERROR", ["new.lab.test. 60 IN A 192.0.2.9"], [])
    server.zone.remove("new.lab.test", "A")
    assert facts(await ask(server, "new.lab.test", "A")) == ("NXDOMAIN", [], [SOA])


def test_a_record_of_the_wrong_form_is_refused_at_once() -> None:
    """A mistake in a test's zone is told where it is made."""
    with pytest.raises(dns.exception.SyntaxError):
        DnsServer().zone.put(NAME, "A", "no address")


async def test_an_answer_too_long_for_udp_is_cut_short(server: DnsServer) -> None:
    """As long as the client allows over UDP, whole over TCP."""
    server.zone.put(
        "_matrix._tcp.many.test", "SRV", *(f"{number} 5 8448 hs{number}.many.test." for number in range(40))
    )
    name = "_matrix._tcp.many.test"
    cut = [await ask(server, name, "SRV", payload=payload) for payload in (0, 1232)]
    whole = [await ask(server, name, "SRV", payload=4096), await ask(server, name, "SRV", Transport.TCP)]
    assert [bool(reply.flags & dns.flags.TC) for reply in cut + whole] == [True, True, False, False]
    assert [len(reply.answer[0]) for reply in whole] == [40, 40]


async def test_questions_are_recorded(server: DnsServer) -> None:
    """Tests can see what was asked, and over what."""
    await ask(server, NAME.upper(), "A")
    await ask(server, f"_matrix._tcp.{NAME}", "SRV", Transport.TCP)
    assert list(server.questions) == [
        DnsQuestion(NAME, "A", Transport.UDP),
        DnsQuestion(f"_matrix._tcp.{NAME}", "SRV", Transport.TCP),
    ]


async def test_it_comes_back_at_the_same_port(server: DnsServer) -> None:
    """A resolver that was down needs no new configuration."""
    address = server.address
    await server.stop()
    with pytest.raises(ConnectionRefusedError):
        await ask(server, NAME, "A", Transport.TCP)
    await server.start()
    assert server.address == address
    assert facts(await ask(server, NAME, "A"))[0] == "NOERROR"


async def test_a_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another is tried where somebody has the port for TCP."""
    start, refusals = Listener.start, iter([True, True])

    async def start_after_two_refusals(listener: Listener) -> None:
        if next(refusals, False):
            raise OSError(errno.EADDRINUSE, "Address already in use")
        await start(listener)

    monkeypatch.setattr(Listener, "start", start_after_two_refusals)
    server = DnsServer()
    await server.start()
    assert (facts(await ask(server, NAME, "A", Transport.TCP))[0], list(refusals)) == ("NXDOMAIN", [])
    await server.stop()


async def test_no_port_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every port is taken it says so, and leaves nothing open."""

    async def refuse(_: Listener) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr(Listener, "start", refuse)
    with pytest.raises(OSError, match=r"none of 20 ports on 127\.0\.0\.1 is free"):
        await DnsServer().start()


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize("over", Transport)
@pytest.mark.parametrize("fault", [DnsFault.SERVFAIL, DnsFault.REFUSED])
async def test_failing_response_codes(server: DnsServer, fault: DnsFault, over: Transport) -> None:
    """The server says that it cannot or does not want to answer, for this type only."""
    server.zone.fail(NAME, "A", fault)
    assert facts(await ask(server, NAME, "A", over)) == (fault.upper(), [], [])
    assert facts(await ask(server, NAME, "AAAA", over))[0] == "NOERROR"


async def test_a_fault_at_the_end_of_an_alias_counts(server: DnsServer) -> None:
    """A resolver that cannot look up where an alias leads fails as a whole."""
    server.zone.fail(NAME, "A", DnsFault.SERVFAIL)
    assert facts(await ask(server, f"alias.{NAME}", "A")) == ("SERVFAIL", [], [])


async def test_what_is_mended_works_again(server: DnsServer) -> None:
    """A fault is taken away while the server runs."""
    server.zone.fail(NAME, "A", DnsFault.SERVFAIL)
    server.zone.mend(NAME, "A")
    assert facts(await ask(server, NAME, "A")) == ("NOERROR", A, [])


@pytest.mark.parametrize("over", Transport)
async def test_drop(server: DnsServer, over: Transport) -> None:
    """The question arrives, and no answer comes."""
    server.zone.fail(NAME, "A", DnsFault.DROP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE_SECONDS):
            await ask(server, NAME, "A", over)
    assert list(server.questions) == [DnsQuestion(NAME, "A", over)]


async def test_truncate(server: DnsServer) -> None:
    """Over UDP nothing but the hint to try TCP, where the answer is whole."""
    server.zone.fail(NAME, "A", DnsFault.TRUNCATE)
    short, whole = await ask(server, NAME, "A"), await ask(server, NAME, "A", Transport.TCP)
    assert (facts(short), bool(short.flags & dns.flags.TC)) == (("NOERROR", [], []), True)
    assert (facts(whole), bool(whole.flags & dns.flags.TC)) == (("NOERROR", A, []), False)


async def test_truncate_and_hang_up(server: DnsServer) -> None:
    """The hint to try TCP leads to a connection that is closed."""
    server.zone.fail(NAME, "A", DnsFault.TRUNCATE_AND_HANG_UP)
    assert (await ask(server, NAME, "A")).flags & dns.flags.TC
    with pytest.raises(EOFError):
        await ask(server, NAME, "A", Transport.TCP)


@pytest.mark.parametrize("over", Transport)
@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (DnsFault.GARBAGE, dns.exception.DNSException),
        (DnsFault.WRONG_ID, dns.query.BadResponse),
        (DnsFault.WRONG_QUESTION, dns.query.BadResponse),
    ],
)
async def test_answers_that_no_client_may_believe(
    server: DnsServer, over: Transport, fault: DnsFault, complaint: type[Exception]
) -> None:
    """A client that checks what it gets refuses nonsense, and answers to other questions."""
    server.zone.fail(NAME, "A", fault)
    with pytest.raises(complaint):
        await ask(server, NAME, "A", over)


async def test_wrong_id_and_wrong_question_are_wrong_in_this_only(server: DnsServer) -> None:
    """A client that does not check is deceived."""
    query = dns.message.make_query(NAME, "A")
    for fault in (DnsFault.WRONG_ID, DnsFault.WRONG_QUESTION):
        server.zone.fail(NAME, "A", fault)
        wire = server.answer(query.to_wire(), Transport.UDP)
        assert isinstance(wire, bytes)
        reply = dns.message.from_wire(wire)
        same_id, same_question = reply.id == query.id, reply.question == query.question
        assert (same_id, same_question) == (fault is DnsFault.WRONG_QUESTION, fault is DnsFault.WRONG_ID)
        assert facts(reply) == ("NOERROR", A, [])


async def test_alias_loop(server: DnsServer) -> None:
    """Two aliases that lead to each other, whatever the name holds."""
    server.zone.fail(NAME, "A", DnsFault.ALIAS_LOOP)
    loop = [f"{NAME}. 60 IN CNAME loop.{NAME}.", f"loop.{NAME}. 60 IN CNAME {NAME}."]
    reply = await ask(server, NAME, "A")
    assert facts(reply) == ("NOERROR", loop, [])
    with pytest.raises(dns.message.ChainTooLong):
        reply.canonical_name()  # type: ignore[attr-defined] # it is a QueryMessage


async def test_a_whole_resolver_follows_truncation(server: DnsServer) -> None:
    """A resolver of a library, left to itself, comes back over TCP."""
    server.zone.fail(NAME, "A", DnsFault.TRUNCATE)
    resolver = dns.asyncresolver.Resolver(configure=False)
    address, resolver.port = host_and_port(server.address)
    resolver.nameservers = [address]
    found = await resolver.resolve(f"{NAME}.", "A")
    assert sorted(record.to_text() for record in found) == ["192.0.2.1", "192.0.2.2"]
    assert [question.over for question in server.questions] == [Transport.UDP, Transport.TCP]


@pytest.mark.parametrize("nonsense", [b"", b"\x00", b"\x00" * 12, b"GET / HTTP/1.1\r\n\r\n"])
async def test_what_is_no_question_gets_no_answer(server: DnsServer, nonsense: bytes) -> None:
    """Neither an answer nor an error, and the server goes on."""
    assert server.answer(nonsense, Transport.UDP) is None
    reader, writer = await asyncio.open_connection(*host_and_port(server.address))
    writer.write(len(nonsense).to_bytes(2, "big") + nonsense)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    assert facts(await ask(server, NAME, "A"))[0] == "NOERROR"
