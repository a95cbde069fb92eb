"""Faulty replies of a DNS server that `demo` does not show; each fault turns a good reply into what is sent."""

from typing import Final

import dns.flags
import dns.name
import dns.rrset
from dns.message import Message
from dns.name import Name
from dns.rcode import Rcode
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from dns.rrset import RRset

from exporter.demo.zone import HANG_UP, TTL_SECONDS, DnsReply, Transport, fail_with

REFUSED: Final = fail_with(Rcode.REFUSED)
OTHER_NAME: Final = dns.name.from_text("not-what-you-asked.test")


def drop(*_: object) -> DnsReply:
    """Never reply."""
    return None


def truncate(reply: Message, transport: Transport) -> DnsReply:
    """Reply over UDP with nothing but the hint to use TCP, and in full over TCP."""
    if transport is Transport.UDP:
        _clear(reply)
        reply.flags |= dns.flags.TC
    return reply.to_wire()


def truncate_and_hang_up(reply: Message, transport: Transport) -> DnsReply:
    """Reply over UDP with the hint to use TCP, and close the connection there."""
    return HANG_UP if transport is Transport.TCP else truncate(reply, transport)


def send_garbage(reply: Message, _: Transport) -> DnsReply:
    """Send the right ID, so that the reply cannot be taken for one to another query, and then nonsense."""
    return reply.id.to_bytes(2, "big") + b"\xff" * 30


def send_wrong_id(reply: Message, _: Transport) -> DnsReply:
    reply.id ^= 0xFFFF
    return reply.to_wire()


def send_wrong_question(reply: Message, _: Transport) -> DnsReply:
    reply.question[0] = RRset(OTHER_NAME, IN, reply.question[0].rdtype)
    return reply.to_wire()


def send_alias_loop(reply: Message, _: Transport) -> DnsReply:
    """Reply with two aliases that lead to each other, in place of the records."""
    _clear(reply)
    name = reply.question[0].name
    other = dns.name.from_text("loop", name)
    reply.set_rcode(Rcode.NOERROR)
    reply.answer.extend([alias(name, other), alias(other, name)])
    return reply.to_wire()


def alias(owner: Name, target: Name) -> RRset:
    return dns.rrset.from_text(owner, TTL_SECONDS, IN, RdataType.CNAME, target.to_text())


def _clear(reply: Message) -> None:
    reply.answer.clear()
    reply.authority.clear()
