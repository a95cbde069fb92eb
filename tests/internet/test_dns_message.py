"""Reading answers: what is plain is read as dnspython reads it, and nothing else is read at all."""

import struct
import time
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.internet.dns_message import (
    MAX_RECORDS,
    Answer,
    MalformedAnswerError,
    Query,
    Record,
    StrayMessageError,
    read_answer,
    text,
    wire_name,
)
from exporter.model.addresses import Target
from exporter.model.findings import SrvRecord
from exporter.probing.network import DnsFailureError

ID = 0x1234
HOST = "dual.test"
A, AAAA, SRV = RdataType.A, RdataType.AAAA, RdataType.SRV


def query(kind: RdataType = A, name: str = HOST) -> Query:
    return Query(wire_name(name), kind, id=ID)


def reply(*records: str, to: Query | None = None, rcode: Rcode = Rcode.NOERROR) -> dns.message.QueryMessage:
    """Each record as in a zone file: name, type, data."""
    message = dns.message.make_response(dns.message.from_wire((to or query()).wire), recursion_available=True)
    assert isinstance(message, dns.message.QueryMessage)
    for record in records:
        name, kind, value = record.split(maxsplit=2)
        message.answer.append(dns.rrset.from_text(dns.name.from_text(name), 60, "IN", kind, value))
    message.set_rcode(rcode)
    return message


def by_hand(count: int, records: bytes, *, to: Query | None = None) -> bytes:
    """An answer whose answer section is `records`; its first name, at 12, is that of the question."""
    return struct.pack("!HHHHHH", ID, 0x8180, 1, count, 0, 0) + (to or query()).question + records


def record(owner: bytes, kind: RdataType, content: bytes, *, length: int | None = None) -> bytes:
    return owner + struct.pack("!HHIH", kind, 1, 60, len(content) if length is None else length) + content


ASKED = b"\xc0\x0c"  # a pointer to the name asked for
ADDRESS = bytes([192, 0, 2, 1])


# ---------------------------------------------------------------- questions


@pytest.mark.parametrize("edns", [True, False])
def test_a_query_is_what_dnspython_would_send(edns: bool) -> None:  # noqa: FBT001
    sent = Query(wire_name("_matrix._tcp.Dual.test"), SRV, edns=edns, id=ID)
    expected = dns.message.make_query("_matrix._tcp.Dual.test.", "SRV", use_edns=edns and 0, payload=1232, id=ID)
    assert sent.wire == expected.to_wire()


def test_odd_names_come_back_as_they_were() -> None:
    """A dot within a label does not become a border between two."""
    odd = dns.name.Name([b"a.b", b"c\\d \xff", b"test", b""]).to_wire()
    assert odd
    assert wire_name(text(odd)) == odd
    assert text(b"\x00") == "."


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("asked", "records", "expected"),
    [
        (query(), ["dual.test A 192.0.2.1", "dual.test A 192.0.2.2"], ["192.0.2.1", "192.0.2.2"]),
        (query(), ["dual.test A 192.0.2.1", "dual.test A 192.0.2.1"], ["192.0.2.1"]),
        (query(), ["DUAL.Test A 192.0.2.1"], ["192.0.2.1"]),
        (query(), ["other.test A 192.0.2.66", "dual.test AAAA 2001:db8::1", 'dual.test TXT "x"'], []),
        (query(), ["a.test A 192.0.2.3", "dual.test CNAME b.test.", "b.test CNAME A.test."], ["192.0.2.3"]),
        (query(), ["b.test CNAME a.test.", "a.test A 192.0.2.66"], []),
        (query(AAAA), ["dual.test AAAA 2001:db8::1"], ["2001:db8::1"]),
        (query(), [], []),
    ],
    ids=["two", "twice", "another case", "not asked for", "aliases", "others' aliases", "IPv6", "none"],
)
def test_addresses(asked: Query, records: list[str], expected: list[str]) -> None:
    """At the name asked for, or where its aliases in the same answer lead; what stands beside is nothing to us."""
    found = read_answer(reply(*records, to=asked).to_wire(), asked)
    assert [str(address) for address in found.records] == expected


def test_srv_records() -> None:
    asked = query(SRV, "_matrix._tcp.dual.test")
    found = read_answer(reply("_matrix._tcp.dual.test SRV 10 5 8450 HS.dual.test.", to=asked).to_wire(), asked)
    assert found.records == (SrvRecord(10, 5, Target("hs.dual.test", 8450)),)


def test_where_aliases_lead() -> None:
    found = read_answer(reply("dual.test CNAME Hs.test.", "hs.test A 192.0.2.1").to_wire(), query())
    assert found == Answer(Rcode.NOERROR, canonical_name=wire_name("Hs.test"), records=(IPv4Address("192.0.2.1"),))


def test_a_truncated_answer_is_read_no_further() -> None:
    """It may be cut anywhere."""
    message = reply("dual.test A 192.0.2.1")
    message.flags |= dns.flags.TC
    assert read_answer(message.to_wire()[:-3], query()) == Answer(Rcode.NOERROR, truncated=True)


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED, Rcode.BADVERS, Rcode.BADCOOKIE])
def test_response_codes(rcode: Rcode) -> None:
    """Also those whose upper bits stand in the OPT record."""
    assert read_answer(reply(rcode=rcode).to_wire(), query()).rcode in {rcode, rcode & 0xF}
    assert read_answer(reply(rcode=rcode).to_wire(), query()).rcode not in {Rcode.NOERROR, Rcode.NXDOMAIN}


# ---------------------------------------------------------------- what is refused


STRAYS = {
    "another id": reply(to=Query(wire_name(HOST), A, id=ID + 1)).to_wire(),
    "another name": reply(to=query(name="evil.test")).to_wire(),
    "another type": reply(to=query(AAAA)).to_wire(),
    "nothing": b"",
}

LONG = b"".join(b"\x3f" + b"a" * 63 for _ in range(4)) + b"\x00"
AT = 12 + len(query().question)  # where the answer section begins
MALFORMED = {
    "only an id": ID.to_bytes(2, "big"),
    "a header": by_hand(0, b"")[:12],
    "a query": query().wire,
    "another opcode": by_hand(0, b"")[:2] + b"\xa8" + by_hand(0, b"")[3:],
    "no question": struct.pack("!HHHHHH", ID, 0x8180, 0, 0, 0, 0),
    "two questions": struct.pack("!HHHHHH", ID, 0x8180, 2, 0, 0, 0) + query().question * 2,
    "two questions, of which one is there": by_hand(0, b"")[:4] + b"\x00\x02" + by_hand(0, b"")[6:],
    "half a question": by_hand(0, b"")[:-1],
    "junk at the end": by_hand(0, b"\x00"),
    "a record too few": by_hand(1, b""),
    "a record that is cut": by_hand(1, record(ASKED, A, ADDRESS))[:-1],
    "a length beyond the end": by_hand(1, record(ASKED, A, ADDRESS, length=5)),
    "a short address": by_hand(1, record(ASKED, A, ADDRESS[:3])),
    "a long address": by_hand(1, record(ASKED, A, ADDRESS * 4)),
    "too many records": by_hand(MAX_RECORDS + 1, record(ASKED, A, ADDRESS) * (MAX_RECORDS + 1)),
    "a name that points to itself": by_hand(1, record(struct.pack("!H", 0xC000 | AT), A, ADDRESS)),
    "a name that points ahead": by_hand(1, record(struct.pack("!H", 0xC000 | AT + 2), A, ADDRESS)),
    "a name that runs into itself": by_hand(
        2, record(ASKED, RdataType.TXT, b"\x07") + record(struct.pack("!H", 0xC000 | AT + 12), A, b"\x01a\x00\x00")
    ),
    "a name in the header": by_hand(1, record(b"\xc0\x04", A, ADDRESS)),
    "a label of an old type": by_hand(1, record(b"\x41" + b"a" * 65 + b"\x00", A, ADDRESS)),
    "a name of 257 bytes": by_hand(1, record(LONG, A, ADDRESS)),
    "an alias with more in it": by_hand(1, record(ASKED, RdataType.CNAME, ASKED + b"\x00")),
    "an alias that is cut": by_hand(1, record(ASKED, RdataType.CNAME, b"\x04test")),
    "an OPT record in the wrong section": by_hand(1, record(b"\x00", RdataType.OPT, b"")),
    "two OPT records": by_hand(0, b"")[:10] + b"\x00\x02" + query().question + record(b"\x00", RdataType.OPT, b"") * 2,
    "a signature that nobody asked for": by_hand(1, record(b"\x00", RdataType.TSIG, b"")),
}


@pytest.mark.parametrize("wire", STRAYS.values(), ids=STRAYS)
def test_what_answers_another_question_is_stray(wire: bytes) -> None:
    with pytest.raises(StrayMessageError):
        read_answer(wire, query())


@pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED)
def test_nonsense_is_malformed(wire: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        read_answer(wire, query())


@pytest.mark.parametrize("size", [0, 4, 15, 17])
def test_an_address_of_ipv6_has_sixteen_bytes(size: int) -> None:
    with pytest.raises(MalformedAnswerError, match=f"an AAAA record of {size} bytes"):
        read_answer(by_hand(1, record(ASKED, AAAA, bytes(size)), to=query(AAAA)), query(AAAA))


@pytest.mark.parametrize(
    ("records", "rcode"),
    [
        (["dual.test CNAME a.test.", "a.test CNAME dual.test."], Rcode.NOERROR),
        (["dual.test CNAME n0.test.", *(f"n{n}.test CNAME n{n + 1}.test." for n in range(16))], Rcode.NOERROR),
        (["dual.test A 192.0.2.1"], Rcode.NXDOMAIN),
    ],
    ids=["a loop of aliases", "too many aliases", "records of nothing"],
)
def test_contradictions_are_refused(records: list[str], rcode: Rcode) -> None:
    """They are answers, so that nothing better is to be expected from the same resolver."""
    with pytest.raises(DnsFailureError) as refused:
        read_answer(reply(*records, rcode=rcode).to_wire(), query())
    assert not isinstance(refused.value, MalformedAnswerError)


def test_records_of_another_class_are_nothing_to_us() -> None:
    chaos = ASKED + struct.pack("!HHIH", A, 3, 60, len(ADDRESS)) + ADDRESS
    assert read_answer(by_hand(2, chaos + record(ASKED, A, ADDRESS[::-1])), query()).records == (
        IPv4Address(ADDRESS[::-1]),
    )


def test_two_aliases_of_one_name_are_refused() -> None:
    aliases = b"".join(record(ASKED, RdataType.CNAME, wire_name(target)) for target in ("a.test", "b.test"))
    with pytest.raises(DnsFailureError, match="two aliases"):
        read_answer(by_hand(2, aliases), query())


def test_the_worst_message_is_read_quickly() -> None:
    """Pointers that lead to pointers, by the thousand, and every name at their far end: that is not read to the end."""
    assert seconds_to_read(message_of_pointers(8000)) < 10 * seconds_to_read(message_of_pointers(1))


def message_of_pointers(hops: int) -> bytes:
    """As many records as are read, each with a name at the end of so many pointers."""
    chain = b"".join(struct.pack("!H", 0xC000 | (12 if not hop else AT + 11 + 2 * (hop - 1))) for hop in range(8000))
    first = record(b"\x00", RdataType.TXT, chain)
    last = struct.pack("!H", 0xC000 | AT + 11 + 2 * (hops - 1))
    return by_hand(MAX_RECORDS, first + record(last, A, ADDRESS) * (MAX_RECORDS - 1))


def seconds_to_read(wire: bytes) -> float:
    """Of CPU time, at best: a garbage collection may fall into one of the tries."""
    tries = []
    for _ in range(5):
        before = time.process_time()
        with suppress(MalformedAnswerError):
            read_answer(wire, query())
        tries.append(time.process_time() - before)
    return min(tries)


# ---------------------------------------------------------------- a second opinion

SAMPLES = [
    (query(), reply("dual.test A 192.0.2.1", "dual.test A 192.0.2.2")),
    (query(), reply("dual.test CNAME a.dual.test.", "a.dual.test CNAME test.", "test A 192.0.2.3")),
    (query(AAAA), reply("dual.test AAAA 2001:db8::1", to=query(AAAA))),
    (query(SRV), reply("dual.test SRV 10 5 8450 hs.dual.test.", "dual.test SRV 0 0 0 .", to=query(SRV))),
    (query(), reply(rcode=Rcode.NXDOMAIN)),
]
for _, message in SAMPLES:
    message.authority.append(
        dns.rrset.from_text(dns.name.from_text("test"), 60, "IN", "SOA", "ns.test. host.test. 1 2 3 4 5")
    )


def second_opinion(wire: bytes) -> Answer:
    """What dnspython reads in the same bytes. Records whose data is broken are nothing to it but errors to be noted."""
    message = dns.message.from_wire(wire, continue_on_error=True)
    assert isinstance(message, dns.message.QueryMessage)
    chain = message.resolve_chaining()
    found = chain.answer or ()
    return Answer(message.rcode(), False, chain.canonical_name.to_wire() or b"", tuple(map(noun, found)))  # noqa: FBT003


def noun(each: dns.rdata.Rdata) -> Record:
    match each.to_text().split():
        case [priority, weight, port, target]:
            host = dns.name.from_text(target).to_text(omit_final_dot=True).lower()
            return SrvRecord(int(priority), int(weight), Target(host, int(port)))
        case [address]:
            return IPv6Address(address) if ":" in address else IPv4Address(address)
        case other:
            raise AssertionError(other)


Change = tuple[int, bytes, int]
"""Where, what is put there, and how many bytes give way to it."""

changes = st.lists(
    st.tuples(st.integers(0, 200), st.one_of(st.binary(max_size=3), st.just(b"\xc0\x0c")), st.integers(0, 3)),
    max_size=4,
)


@settings(max_examples=1000, deadline=None)
@given(sample=st.sampled_from(SAMPLES), changes=changes)
def test_what_is_read_is_what_dnspython_reads(
    sample: tuple[Query, dns.message.QueryMessage], changes: list[Change]
) -> None:
    """Of answers that were damaged anywhere: either both read the same, or it is refused."""
    asked, message = sample
    wire = message.to_wire()
    for place, content, gone in changes:
        at = place % len(wire) if wire else 0
        wire = wire[:at] + content + wire[at + gone :]
    try:
        found = read_answer(wire, asked)
    except (StrayMessageError, DnsFailureError):
        return
    if found.truncated or found.rcode not in {Rcode.NOERROR, Rcode.NXDOMAIN}:
        return
    expected = second_opinion(wire)
    assert (found.rcode, set(found.records)) == (expected.rcode, set(expected.records))
    assert found.canonical_name.lower() == expected.canonical_name.lower()


@given(st.binary(max_size=100))
def test_nothing_but_the_declared_errors_comes_out(content: bytes) -> None:
    for wire in (content, ID.to_bytes(2, "big") + content, by_hand(1, content), by_hand(1, ASKED + content)):
        with suppress(StrayMessageError, DnsFailureError):
            read_answer(wire, query())
