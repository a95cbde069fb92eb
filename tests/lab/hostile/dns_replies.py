"""What becomes of a good reply at a hostile DNS server, beside the faults that every table may name (`DnsFault`)."""

from collections.abc import Callable, Sequence

import dns.flags
import dns.name
import dns.rdatatype
import dns.rrset
from dns.message import Message
from dns.name import Name
from dns.rcode import Rcode
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from dns.rrset import RRset

from exporter.demo.dns_server import FAULTS
from exporter.demo.zone import TTL_SECONDS, DnsFault, DnsReply, Misbehaviour, Transport

STRANGER = dns.name.from_text("not-what-you-asked.test")
STRANGERS_ADDRESS = "192.0.2.254"
FORGERIES = 50
TEXTS = 100  # records, of about 300 bytes each
FLAGS, QUESTION_COUNT, ANSWER_COUNT = 2, 4, 6  # where they stand in the header
ASKED = b"\xc0\x0c"  # a pointer to the name in the question
ADDRESS_IN, ADDRESS_CHAOS = b"\0\1\0\1\0\0\0\x3c", b"\0\1\0\3\0\0\0\x3c"  # type, class, and a TTL of a minute
WHOLE_TEXT = f'"{"x" * 255}"'


def only_over_tcp(fault: DnsFault) -> Misbehaviour:
    """Cut short over UDP, so that everybody comes back over TCP."""

    def misbehave(reply: Message, over: Transport) -> DnsReply:
        return FAULTS[DnsFault.TRUNCATE if over is Transport.UDP else fault](reply, over)

    return misbehave


def empty(*_: object) -> DnsReply:
    """A datagram of no bytes."""
    return (b"",)


def forgeries(reply: Message) -> Sequence[bytes]:
    """As somebody sends them who neither sees the id nor the question."""
    wire = reply.to_wire()
    ids = (reply.id ^ (number + 1) for number in range(FORGERIES))
    return tuple(number.to_bytes(2, "big") + wire[2:] for number in ids)


def forged(reply: Message, _: Transport) -> DnsReply:
    return forgeries(reply)


def forged_first(reply: Message, _: Transport) -> DnsReply:
    return (*forgeries(reply), reply.to_wire())


def of_a_stranger(reply: Message, _: Transport) -> DnsReply:
    """Nothing but the address of a name that nobody asked for."""
    reply.answer[:] = [address(STRANGER)]
    return answered(reply)


def beside_a_stranger(reply: Message, _: Transport) -> DnsReply:
    """Records for other names in every section, as those bring who want them in somebody's cache."""
    for section in (reply.answer, reply.authority, reply.additional):
        section.insert(0, address(STRANGER))
    return answered(reply)


def of_another_type(reply: Message, _: Transport) -> DnsReply:
    name = reply.question[0].name
    reply.answer[:] = [dns.rrset.from_text(name, TTL_SECONDS, IN, RdataType.TXT, '"no address"')]
    return answered(reply)


def with_much_text(reply: Message, over: Transport) -> DnsReply:
    """Far too much for a datagram."""
    if over is Transport.UDP:
        return FAULTS[DnsFault.TRUNCATE](reply, over)
    for number in range(TEXTS):
        name = dns.name.from_text(f"text-{number}", STRANGER)
        reply.additional.append(dns.rrset.from_text(name, TTL_SECONDS, IN, RdataType.TXT, WHOLE_TEXT))
    return reply.to_wire(max_size=0xFFFF)


def aliases(length: int) -> Misbehaviour:
    """So many, each to the next; with 0, the name is an alias of itself. The last one has an address."""

    def misbehave(reply: Message, _: Transport) -> DnsReply:
        asked = reply.question[0]
        names = [asked.name, *(dns.name.from_text(f"alias-{number}", asked.name) for number in range(length))]
        steps = zip(names, names[1:] or names, strict=False)
        reply.answer[:] = [alias(owner, target) for owner, target in steps]
        if length and asked.rdtype is RdataType.A:
            reply.answer.append(address(names[-1]))
        return answered(reply)

    return misbehave


def spoilt(change: Callable[[bytes], bytes]) -> Misbehaviour:
    """A good answer, but for some of its bytes. It bears the right id, so that it may be taken for the true one."""
    return lambda reply, _: change(answered(reply))


def with_header(at: int, value: int) -> Misbehaviour:
    """Two bytes of the header (RFC 1035, 4.1.1) are others."""
    return spoilt(lambda wire: wire[:at] + value.to_bytes(2, "big") + wire[at + 2 :])


def with_record(record: bytes) -> Misbehaviour:
    """Instead of all records there is this one, whose owner is the name asked for."""

    def misbehave(reply: Message, _: Transport) -> DnsReply:
        reply.answer.clear()
        reply.authority.clear()
        reply.additional.clear()
        reply.use_edns(edns=False)
        wire = answered(reply)
        return wire[:ANSWER_COUNT] + b"\x00\x01" + wire[ANSWER_COUNT + 2 :] + record

    return misbehave


def nowhere(reply: Message, _: Transport) -> DnsReply:
    """Records of a name that is said not to exist."""
    reply.set_rcode(Rcode.NXDOMAIN)
    return reply.to_wire()


def answered(reply: Message) -> bytes:
    reply.set_rcode(Rcode.NOERROR)
    return reply.to_wire()


def alias(owner: Name, target: Name) -> RRset:
    return dns.rrset.from_text(owner, TTL_SECONDS, IN, RdataType.CNAME, target.to_text())


def address(owner: Name) -> RRset:
    return dns.rrset.from_text(owner, TTL_SECONDS, IN, RdataType.A, STRANGERS_ADDRESS)
