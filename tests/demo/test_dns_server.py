import asyncio
import errno
from collections.abc import AsyncIterator

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
import pytest_asyncio
from dns.message import Message

from exporter.demo.dns_server import DnsQuestion, DnsServer
from exporter.demo.listener import Listener
from exporter.demo.zone import SERVFAIL, DnsReply, Transport
from tests.demo.dns_client import facts, query
from tests.demo.independent_clients import host_and_port

NAME = "x.lab.test"


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


SOA = "test. 60 IN SOA ns.test. hostmaster.test. 1 3600 600 86400 60"
A = [f"{NAME}. 60 IN A 192.0.2.1", f"{NAME}. 60 IN A 192.0.2.2"]


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
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
        (f"_tcp.{NAME}", "SRV", ("NOERROR", [], [SOA])),  # a name below it exists
        (f"nowhere.{NAME}", "A", ("NXDOMAIN", [], [SOA])),
    ],
)
async def test_replies(
    server: DnsServer, transport: Transport, name: str, rdtype: str, expected: tuple[str, list[str], list[str]]
) -> None:
    """The reply has the records and the aliases that lead to them, or says that the name or the type does not exist."""
    reply = await query(server, name, rdtype, transport)
    assert facts(reply) == expected
    assert reply.flags & (dns.flags.QR | dns.flags.RA | dns.flags.TC) == dns.flags.QR | dns.flags.RA


async def test_the_zone_changes_while_the_server_runs(server: DnsServer) -> None:
    """Records can be added, changed and removed; a name without records does not exist."""
    server.zone.put("new.lab.test", "A", "192.0.2.8")
    server.zone.put("new.lab.test", "A", "192.0.2.9")
    assert facts(await query(server, "new.lab.test", "A")) == ("NOERROR", ["new.lab.test. 60 IN A 192.0.2.9"], [])
    server.zone.remove("new.lab.test", "A")
    assert facts(await query(server, "new.lab.test", "A")) == ("NXDOMAIN", [], [SOA])


def test_a_malformed_record_is_refused_at_once() -> None:
    """A mistake in a zone is reported where it is made."""
    with pytest.raises(dns.exception.SyntaxError):
        DnsServer().zone.put(NAME, "A", "no address")


async def test_a_reply_that_is_too_long_for_udp_is_truncated(server: DnsServer) -> None:
    """Over UDP the client decides how long a reply may be; over TCP the reply is complete."""
    server.zone.put(
        "_matrix._tcp.many.test", "SRV", *(f"{number} 5 8448 hs{number}.many.test." for number in range(40))
    )
    name = "_matrix._tcp.many.test"
    truncated = [await query(server, name, "SRV", payload=payload) for payload in (0, 1232)]
    complete = [await query(server, name, "SRV", payload=4096), await query(server, name, "SRV", Transport.TCP)]
    assert [bool(reply.flags & dns.flags.TC) for reply in truncated + complete] == [True, True, False, False]
    assert [len(reply.answer[0]) for reply in complete] == [40, 40]


async def test_questions_are_recorded(server: DnsServer) -> None:
    """Each has its name, its type and its transport."""
    await query(server, NAME.upper(), "A")
    await query(server, f"_matrix._tcp.{NAME}", "SRV", Transport.TCP)
    assert list(server.questions) == [
        DnsQuestion(NAME, "A", Transport.UDP),
        DnsQuestion(f"_matrix._tcp.{NAME}", "SRV", Transport.TCP),
    ]


async def test_the_server_takes_the_same_port_again(server: DnsServer) -> None:
    """A DNS server that was down needs no new configuration."""
    address = server.address
    await server.stop()
    with pytest.raises(ConnectionRefusedError):
        await query(server, NAME, "A", Transport.TCP)
    await server.start()
    assert server.address == address
    assert facts(await query(server, NAME, "A"))[0] == "NOERROR"


async def test_a_port_in_use_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another port is tried if another program has this one for TCP."""
    start, refusals = Listener.start, iter([True, True])

    async def start_after_two_refusals(listener: Listener) -> None:
        if next(refusals, False):
            raise OSError(errno.EADDRINUSE, "Address already in use")
        await start(listener)

    monkeypatch.setattr(Listener, "start", start_after_two_refusals)
    server = DnsServer()
    await server.start()
    assert (facts(await query(server, NAME, "A", Transport.TCP))[0], list(refusals)) == ("NXDOMAIN", [])
    await server.stop()


async def test_no_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says so, and nothing stays open."""

    async def refuse(_: Listener) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr(Listener, "start", refuse)
    with pytest.raises(OSError, match=r"none of 20 ports on 127\.0\.0\.1 is free"):
        await DnsServer().start()


# ---------------------------------------------------------------- faults, and malformed queries


@pytest.mark.parametrize("transport", Transport)
async def test_servfail(server: DnsServer, transport: Transport) -> None:
    """The fault is for one type only."""
    server.zone.fail(NAME, "A", SERVFAIL)
    assert facts(await query(server, NAME, "A", transport)) == ("SERVFAIL", [], [])
    assert facts(await query(server, NAME, "AAAA", transport))[0] == "NOERROR"


async def test_a_fault_at_the_end_of_an_alias_counts(server: DnsServer) -> None:
    """A resolver that cannot look up the target of an alias fails as a whole."""
    server.zone.fail(NAME, "A", SERVFAIL)
    assert facts(await query(server, f"alias.{NAME}", "A")) == ("SERVFAIL", [], [])


async def test_a_fault_can_be_repaired(server: DnsServer) -> None:
    """The records are still there."""
    server.zone.fail(NAME, "A", SERVFAIL)
    server.zone.repair(NAME, "A")
    assert facts(await query(server, NAME, "A")) == ("NOERROR", A, [])


async def test_a_fault_may_send_several_messages(server: DnsServer) -> None:
    """A client takes the first one that it can match to its query."""

    def send_twice(reply: Message, _: Transport) -> DnsReply:
        return b"not a DNS message", reply.to_wire()

    server.zone.fail(NAME, "A", send_twice)
    assert facts(await query(server, NAME, "A", ignore_malformed=True)) == ("NOERROR", A, [])


@pytest.mark.parametrize("nonsense", [b"", b"\x00", b"\x00" * 12, b"GET / HTTP/1.1\r\n\r\n"])
async def test_a_malformed_query_gets_no_reply(server: DnsServer, nonsense: bytes) -> None:
    """The server ignores it, and goes on."""
    assert server.reply(nonsense, Transport.UDP) is None
    reader, writer = await asyncio.open_connection(*host_and_port(server.address))
    writer.write(len(nonsense).to_bytes(2, "big") + nonsense)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    assert facts(await query(server, NAME, "A"))[0] == "NOERROR"
