"""Replies of a hostile DNS server; each fault turns a good reply into what is sent."""

from collections.abc import Callable, Sequence

import dns.name
import dns.rrset
from dns.message import Message
from dns.name import Name
from dns.rcode import Rcode
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from dns.rrset import RRset

from exporter.demo.zone import TTL_SECONDS, DnsFault, DnsReply, Transport
from tests.lab.dns_faults import OTHER_NAME, alias, truncate

OTHER_ADDRESS = "192.0.2.254"
FORGERIES = 50
TEXTS = 100  # records, of about 300 bytes each
FLAGS, QUESTION_COUNT, ANSWER_COUNT = 2, 4, 6  # offsets in the header
QUESTION_NAME = b"\xc0\x0c"  # a pointer to the name in the question
ADDRESS_IN, ADDRESS_CHAOS = b"\0\1\0\1\0\0\0\x3c", b"\0\1\0\3\0\0\0\x3c"  # type, class, and a TTL of a minute
UNKNOWN_IN, SRV_IN = b"\xff\0\0\1\0\0\0\x3c", b"\0\x21\0\1\0\0\0\x3c"
LABELS, MANY = 127, 127  # of one name, and twice as many records: as much as the exporter reads
LONGEST_TEXT = f'"{"x" * 255}"'


def only_over_tcp(fault: DnsFault) -> DnsFault:
    """Truncate over UDP, so that clients come back over TCP, and apply the fault there."""

    def apply(reply: Message, transport: Transport) -> DnsReply:
        return (truncate if transport is Transport.UDP else fault)(reply, transport)

    return apply


def send_empty_datagram(*_: object) -> DnsReply:
    return (b"",)


def forge(reply: Message) -> Sequence[bytes]:
    """Return replies with guessed IDs, as attackers send them who cannot see the query."""
    wire = reply.to_wire()
    ids = (reply.id ^ (number + 1) for number in range(FORGERIES))
    return tuple(number.to_bytes(2, "big") + wire[2:] for number in ids)


def send_forgeries(reply: Message, _: Transport) -> DnsReply:
    return forge(reply)


def send_forgeries_first(reply: Message, _: Transport) -> DnsReply:
    return (*forge(reply), reply.to_wire())


def send_other_name(reply: Message, _: Transport) -> DnsReply:
    """Send only the address of a name that was not asked for."""
    reply.answer[:] = [address(OTHER_NAME)]
    return succeed(reply)


def poison(reply: Message, _: Transport) -> DnsReply:
    """Add records for another name in every section, as in cache poisoning."""
    for section in (reply.answer, reply.authority, reply.additional):
        section.insert(0, address(OTHER_NAME))
    return succeed(reply)


def send_other_type(reply: Message, _: Transport) -> DnsReply:
    name = reply.question[0].name
    reply.answer[:] = [dns.rrset.from_text(name, TTL_SECONDS, IN, RdataType.TXT, '"no address"')]
    return succeed(reply)


def add_much_text(reply: Message, transport: Transport) -> DnsReply:
    """Add far more than fits into a datagram."""
    if transport is Transport.UDP:
        return truncate(reply, transport)
    for number in range(TEXTS):
        name = dns.name.from_text(f"text-{number}", OTHER_NAME)
        reply.additional.append(dns.rrset.from_text(name, TTL_SECONDS, IN, RdataType.TXT, LONGEST_TEXT))
    return reply.to_wire(max_size=0xFFFF)


def send_aliases(length: int) -> DnsFault:
    """Send this many aliases, each of the next; with 0, the name is an alias of itself. The last one has an address."""

    def apply(reply: Message, _: Transport) -> DnsReply:
        question = reply.question[0]
        names = [question.name, *(dns.name.from_text(f"alias-{number}", question.name) for number in range(length))]
        steps = zip(names, names[1:] or names, strict=False)
        reply.answer[:] = [alias(owner, target) for owner, target in steps]
        if length and question.rdtype is RdataType.A:
            reply.answer.append(address(names[-1]))
        return succeed(reply)

    return apply


def change_bytes(change: Callable[[bytes], bytes]) -> DnsFault:
    """Change some bytes of a good reply. The ID is right, so the client may take it for the true one."""
    return lambda reply, _: change(succeed(reply))


def set_header(offset: int, value: int) -> DnsFault:
    """Replace two bytes of the header (RFC 1035, 4.1.1)."""
    return change_bytes(lambda wire: wire[:offset] + value.to_bytes(2, "big") + wire[offset + 2 :])


def send_record(record: bytes) -> DnsFault:
    """Replace all records by one, which is given byte for byte."""

    def apply(reply: Message, _: Transport) -> DnsReply:
        reply.answer.clear()
        reply.authority.clear()
        reply.additional.clear()
        reply.use_edns(edns=False)
        wire = succeed(reply)
        return wire[:ANSWER_COUNT] + b"\x00\x01" + wire[ANSWER_COUNT + 2 :] + record

    return apply


def send_chained_pointers(reply: Message, _: Transport) -> DnsReply:
    """Send SRV records whose targets are one name, with a pointer after each of its 127 labels.

    The labels are in the data of a record that nobody knows, and half of the records only have such an owner.
    """
    reply.use_edns(edns=False)
    wire = succeed(reply)
    labels, begin = b"\x01a\0", len(wire) + len(QUESTION_NAME) + len(UNKNOWN_IN) + 2
    name = begin
    for _label in range(LABELS - 1):
        previous, name = name, begin + len(labels)
        labels += b"\x01a" + pointer(previous)
    target = b"\0\x0a\0\x05\x20\xfb" + pointer(name)
    carrier = QUESTION_NAME + UNKNOWN_IN + len(labels).to_bytes(2, "big") + labels
    with_target = QUESTION_NAME + SRV_IN + len(target).to_bytes(2, "big") + target
    with_owner = pointer(name) + UNKNOWN_IN + b"\0\0"
    records = carrier + with_target * MANY + with_owner * MANY
    return wire[:ANSWER_COUNT] + (1 + 2 * MANY).to_bytes(2, "big") + wire[ANSWER_COUNT + 2 :] + records


def pointer(offset: int) -> bytes:
    """Return what stands for the rest of a name (RFC 1035, section 4.1.4)."""
    return (0xC000 | offset).to_bytes(2, "big")


def deny(reply: Message, _: Transport) -> DnsReply:
    """Send records together with the statement that the name does not exist."""
    reply.set_rcode(Rcode.NXDOMAIN)
    return reply.to_wire()


def succeed(reply: Message) -> bytes:
    reply.set_rcode(Rcode.NOERROR)
    return reply.to_wire()


def address(owner: Name) -> RRset:
    return dns.rrset.from_text(owner, TTL_SECONDS, IN, RdataType.A, OTHER_ADDRESS)
