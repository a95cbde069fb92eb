import asyncio
from collections.abc import AsyncIterator

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.resolver
import pytest
import pytest_asyncio

from exporter.demo.dns_server import DnsQuestion, DnsServer
from exporter.demo.zone import DnsFault, Transport
from tests.demo.dns_client import facts, query
from tests.demo.independent_clients import host_and_port
from tests.lab import dns_faults

NAME = "x.lab.test"
A = [f"{NAME}. 60 IN A 192.0.2.1", f"{NAME}. 60 IN A 192.0.2.2"]
SILENCE_SECONDS = 0.1  # a reply takes less than a hundredth of that


@pytest_asyncio.fixture
async def server() -> AsyncIterator[DnsServer]:
    server = DnsServer()
    server.zone.put(NAME, "A", "192.0.2.1", "192.0.2.2")
    await server.start()
    yield server
    await server.stop()


@pytest.mark.parametrize("transport", Transport)
async def test_refused(server: DnsServer, transport: Transport) -> None:
    server.zone.fail(NAME, "A", dns_faults.REFUSED)
    assert facts(await query(server, NAME, "A", transport)) == ("REFUSED", [], [])


@pytest.mark.parametrize("transport", Transport)
async def test_drop(server: DnsServer, transport: Transport) -> None:
    """The query arrives, and no reply comes."""
    server.zone.fail(NAME, "A", dns_faults.drop)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE_SECONDS):
            await query(server, NAME, "A", transport)
    assert list(server.questions) == [DnsQuestion(NAME, "A", transport)]


async def test_truncate(server: DnsServer) -> None:
    """Over UDP there is only the hint to use TCP, where the reply is complete."""
    server.zone.fail(NAME, "A", dns_faults.truncate)
    truncated, complete = await query(server, NAME, "A"), await query(server, NAME, "A", Transport.TCP)
    assert (facts(truncated), bool(truncated.flags & dns.flags.TC)) == (("NOERROR", [], []), True)
    assert (facts(complete), bool(complete.flags & dns.flags.TC)) == (("NOERROR", A, []), False)


async def test_truncate_and_hang_up(server: DnsServer) -> None:
    """The hint to use TCP leads to a connection that is closed."""
    server.zone.fail(NAME, "A", dns_faults.truncate_and_hang_up)
    assert (await query(server, NAME, "A")).flags & dns.flags.TC
    with pytest.raises(EOFError):
        await query(server, NAME, "A", Transport.TCP)


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (dns_faults.send_garbage, dns.exception.DNSException),
        (dns_faults.send_wrong_id, dns.query.BadResponse),
        (dns_faults.send_wrong_question, dns.query.BadResponse),
    ],
)
async def test_a_careful_client_refuses_the_reply(
    server: DnsServer, transport: Transport, fault: DnsFault, error: type[Exception]
) -> None:
    """It is nonsense, or belongs to another query."""
    server.zone.fail(NAME, "A", fault)
    with pytest.raises(error):
        await query(server, NAME, "A", transport)


@pytest.mark.parametrize(
    ("fault", "same_id", "same_question"),
    [(dns_faults.send_wrong_id, False, True), (dns_faults.send_wrong_question, True, False)],
)
async def test_everything_else_in_the_reply_is_right(
    server: DnsServer, fault: DnsFault, *, same_id: bool, same_question: bool
) -> None:
    """A client that does not check is deceived."""
    message = dns.message.make_query(NAME, "A")
    server.zone.fail(NAME, "A", fault)
    wire = server.reply(message.to_wire(), Transport.UDP)
    assert isinstance(wire, bytes)
    reply = dns.message.from_wire(wire)
    assert (reply.id == message.id, reply.question == message.question) == (same_id, same_question)
    assert facts(reply) == ("NOERROR", A, [])


async def test_alias_loop(server: DnsServer) -> None:
    """Two aliases that lead to each other replace the records."""
    server.zone.fail(NAME, "A", dns_faults.send_alias_loop)
    loop = [f"{NAME}. 60 IN CNAME loop.{NAME}.", f"loop.{NAME}. 60 IN CNAME {NAME}."]
    reply = await query(server, NAME, "A")
    assert facts(reply) == ("NOERROR", loop, [])
    with pytest.raises(dns.message.ChainTooLong):
        reply.canonical_name()  # type: ignore[attr-defined] # it is a QueryMessage


async def test_a_library_follows_truncation(server: DnsServer) -> None:
    """A resolver of a library comes back over TCP by itself."""
    server.zone.fail(NAME, "A", dns_faults.truncate)
    resolver = dns.asyncresolver.Resolver(configure=False)
    address, resolver.port = host_and_port(server.address)
    resolver.nameservers = [address]
    found = await resolver.resolve(f"{NAME}.", "A")
    assert sorted(record.to_text() for record in found) == ["192.0.2.1", "192.0.2.2"]
    assert [question.transport for question in server.questions] == [Transport.UDP, Transport.TCP]
