"""Answers are read as dnspython reads them if they are well-formed, and are refused otherwise."""

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
    MismatchedAnswerError,
    Query,
    Record,
    name_to_text,
    name_to_wire,
    read_answer,
)
from exporter.model.addresses import Target
from exporter.model.findings import SrvRecord
from exporter.probing.network import DnsFailureError
from tests.properties import PATIENT

ID = 0x1234
HOST = "dual.test"
A, AAAA, SRV = RdataType.A, RdataType.AAAA, RdataType.SRV


def query(rdtype: RdataType = A, name: str = HOST) -> Query:
    return Query(name_to_wire(name), rdtype, id=ID)


def reply(*records: str, to: Query | None = None, rcode: Rcode = Rcode.NOERROR) -> dns.message.QueryMessage:
    """Return an answer with records that are written as in a zone file: name, type, data."""
    message = dns.message.make_response(dns.message.from_wire((to or query()).wire), recursion_available=True)
    assert isinstance(message, dns.message.QueryMessage)
    for record in records:
        name, rdtype, value = record.split(maxsplit=2)
        message.answer.append(dns.rrset.from_text(dns.name.from_text(name), 60, "IN", rdtype, value))
    message.set_rcode(rcode)
    return message


def raw_answer(count: int, records: bytes, *, to: Query | None = None) -> bytes:
    """Return an answer whose answer section is `records`; the name in the question is at offset 12."""
    return struct.pack("!HHHHHH", ID, 0x8180, 1, count, 0, 0) + (to or query()).question + records


def record(owner: bytes, rdtype: RdataType, content: bytes, *, length: int | None = None) -> bytes:
    return owner + struct.pack("!HHIH", rdtype, 1, 60, len(content) if length is None else length) + content


QUERY_NAME = b"\xc0\x0c"  # a pointer to the name in the question
ADDRESS = bytes([192, 0, 2, 1])


# ---------------------------------------------------------------- queries


@pytest.mark.parametrize("edns", [True, False])
def test_a_query_is_the_message_that_dnspython_sends(edns: bool) -> None:  # noqa: FBT001
    query = Query(name_to_wire("_matrix._tcp.Dual.test"), SRV, edns=edns, id=ID)
    expected = dns.message.make_query("_matrix._tcp.Dual.test.", "SRV", use_edns=edns and 0, payload=1232, id=ID)
    assert query.wire == expected.to_wire()


def test_unusual_names_survive_the_conversion_to_text() -> None:
    """A dot within a label does not become a separator."""
    unusual = dns.name.Name([b"a.b", b"c\\d \xff", b"test", b""]).to_wire()
    assert unusual
    assert name_to_wire(name_to_text(unusual)) == unusual
    assert name_to_text(b"\x00") == "."


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("sent_query", "records", "expected"),
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
    ids=["two", "duplicate", "another case", "other records", "aliases", "alias of another name", "IPv6", "none"],
)
def test_reads_addresses(sent_query: Query, records: list[str], expected: list[str]) -> None:
    """Only records at the name in the query, or at the end of its aliases in the same answer, are read."""
    found = read_answer(reply(*records, to=sent_query).to_wire(max_size=65535), sent_query)
    assert [str(address) for address in found.records] == expected


def test_reads_srv_records() -> None:
    sent_query = query(SRV, "_matrix._tcp.dual.test")
    found = read_answer(
        reply("_matrix._tcp.dual.test SRV 10 5 8450 HS.dual.test.", to=sent_query).to_wire(), sent_query
    )
    assert found.records == (SrvRecord(10, 5, Target("hs.dual.test", 8450)),)


def test_the_canonical_name_is_the_end_of_the_aliases() -> None:
    found = read_answer(reply("dual.test CNAME Hs.test.", "hs.test A 192.0.2.1").to_wire(), query())
    assert found == Answer(Rcode.NOERROR, canonical_name=name_to_wire("Hs.test"), records=(IPv4Address("192.0.2.1"),))


def test_a_truncated_answer_is_not_read_beyond_the_question() -> None:
    """It may be cut anywhere."""
    message = reply("dual.test A 192.0.2.1")
    message.flags |= dns.flags.TC
    assert read_answer(message.to_wire()[:-3], query()) == Answer(Rcode.NOERROR, truncated=True)


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED, Rcode.BADVERS, Rcode.BADCOOKIE])
def test_reads_response_codes(rcode: Rcode) -> None:
    """The upper bits of some are in the OPT record."""
    assert read_answer(reply(rcode=rcode).to_wire(), query()).rcode in {rcode, rcode & 0xF}
    assert read_answer(reply(rcode=rcode).to_wire(), query()).rcode not in {Rcode.NOERROR, Rcode.NXDOMAIN}


# ---------------------------------------------------------------- refused answers


MISMATCHED = {
    "another ID": reply(to=Query(name_to_wire(HOST), A, id=ID + 1)).to_wire(),
    "another name": reply(to=query(name="evil.test")).to_wire(),
    "another type": reply(to=query(AAAA)).to_wire(),
    "empty": b"",
}

LONG = b"".join(b"\x3f" + b"a" * 63 for _ in range(4)) + b"\x00"
ANSWER_OFFSET = 12 + len(query().question)  # where the answer section begins
MALFORMED = {
    "only an ID": ID.to_bytes(2, "big"),
    "a header": raw_answer(0, b"")[:12],
    "a query": query().wire,
    "another opcode": raw_answer(0, b"")[:2] + b"\xa8" + raw_answer(0, b"")[3:],
    "no question": struct.pack("!HHHHHH", ID, 0x8180, 0, 0, 0, 0),
    "two questions": struct.pack("!HHHHHH", ID, 0x8180, 2, 0, 0, 0) + query().question * 2,
    "two questions, one is missing": raw_answer(0, b"")[:4] + b"\x00\x02" + raw_answer(0, b"")[6:],
    "a truncated question": raw_answer(0, b"")[:-1],
    "a trailing byte": raw_answer(0, b"\x00"),
    "a missing record": raw_answer(1, b""),
    "a truncated record": raw_answer(1, record(QUERY_NAME, A, ADDRESS))[:-1],
    "a length beyond the end": raw_answer(1, record(QUERY_NAME, A, ADDRESS, length=5)),
    "a short address": raw_answer(1, record(QUERY_NAME, A, ADDRESS[:3])),
    "a long address": raw_answer(1, record(QUERY_NAME, A, ADDRESS * 4)),
    "too many records": raw_answer(MAX_RECORDS + 1, record(QUERY_NAME, A, ADDRESS) * (MAX_RECORDS + 1)),
    "a name that points to itself": raw_answer(1, record(struct.pack("!H", 0xC000 | ANSWER_OFFSET), A, ADDRESS)),
    "a name that points ahead": raw_answer(1, record(struct.pack("!H", 0xC000 | ANSWER_OFFSET + 2), A, ADDRESS)),
    "a name that overlaps itself": raw_answer(
        2,
        record(QUERY_NAME, RdataType.TXT, b"\x07")
        + record(struct.pack("!H", 0xC000 | ANSWER_OFFSET + 12), A, b"\x01a\x00\x00"),
    ),
    "a pointer into the header": raw_answer(1, record(b"\xc0\x04", A, ADDRESS)),
    "an extended label": raw_answer(1, record(b"\x41" + b"a" * 65 + b"\x00", A, ADDRESS)),
    "a name of 257 bytes": raw_answer(1, record(LONG, A, ADDRESS)),
    "an alias with a trailing byte": raw_answer(1, record(QUERY_NAME, RdataType.CNAME, QUERY_NAME + b"\x00")),
    "a truncated alias": raw_answer(1, record(QUERY_NAME, RdataType.CNAME, b"\x04test")),
    "an OPT record in the wrong section": raw_answer(1, record(b"\x00", RdataType.OPT, b"")),
    "two OPT records": raw_answer(0, b"")[:10]
    + b"\x00\x02"
    + query().question
    + record(b"\x00", RdataType.OPT, b"") * 2,
    "an unexpected TSIG record": raw_answer(1, record(b"\x00", RdataType.TSIG, b"")),
}


@pytest.mark.parametrize("wire", MISMATCHED.values(), ids=MISMATCHED)
def test_an_answer_to_another_query_is_mismatched(wire: bytes) -> None:
    with pytest.raises(MismatchedAnswerError):
        read_answer(wire, query())


@pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED)
def test_an_unreadable_answer_is_malformed(wire: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        read_answer(wire, query())


@pytest.mark.parametrize("size", [0, 4, 15, 17])
def test_an_ipv6_address_has_sixteen_bytes(size: int) -> None:
    with pytest.raises(MalformedAnswerError, match=f"an AAAA record of {size} bytes"):
        read_answer(raw_answer(1, record(QUERY_NAME, AAAA, bytes(size)), to=query(AAAA)), query(AAAA))


@pytest.mark.parametrize(
    ("records", "rcode"),
    [
        (["dual.test CNAME a.test.", "a.test CNAME dual.test."], Rcode.NOERROR),
        (["dual.test CNAME n0.test.", *(f"n{n}.test CNAME n{n + 1}.test." for n in range(16))], Rcode.NOERROR),
        (["dual.test A 192.0.2.1"], Rcode.NXDOMAIN),
    ],
    ids=["alias loop", "too many aliases", "records with NXDOMAIN"],
)
def test_an_answer_that_contradicts_itself_is_a_failure(records: list[str], rcode: Rcode) -> None:
    """It is not malformed: the resolver has answered, and the lookup does not wait for a better answer."""
    with pytest.raises(DnsFailureError) as caught:
        read_answer(reply(*records, rcode=rcode).to_wire(), query())
    assert not isinstance(caught.value, MalformedAnswerError)


def test_records_of_another_class_are_ignored() -> None:
    chaos = QUERY_NAME + struct.pack("!HHIH", A, 3, 60, len(ADDRESS)) + ADDRESS
    assert read_answer(raw_answer(2, chaos + record(QUERY_NAME, A, ADDRESS[::-1])), query()).records == (
        IPv4Address(ADDRESS[::-1]),
    )


def test_two_aliases_of_one_name_are_refused() -> None:
    aliases = b"".join(record(QUERY_NAME, RdataType.CNAME, name_to_wire(target)) for target in ("a.test", "b.test"))
    with pytest.raises(DnsFailureError, match="two aliases"):
        read_answer(raw_answer(2, aliases), query())


CHAIN_OFFSET = ANSWER_OFFSET + 2 + 10  # where the data of the first record begins
POINTERS = [12, *(CHAIN_OFFSET + 2 * hop for hop in range(120))]  # each leads to the one before
LABELS_AND_POINTERS = [12, *(CHAIN_OFFSET + 4 * hop for hop in range(105))]


def pointer(offset: int) -> bytes:
    return struct.pack("!H", 0xC000 | offset)


EXPENSIVE_NAMES = {
    "pointers": (b"".join(map(pointer, POINTERS[:-1])), pointer(POINTERS[-1])),
    "labels and pointers": (
        b"".join(b"\x01a" + pointer(offset) for offset in LABELS_AND_POINTERS[:-1]),
        pointer(LABELS_AND_POINTERS[-1]),
    ),
    "labels": (b"\x01a" * 100 + b"\x00", pointer(CHAIN_OFFSET)),
}


@pytest.mark.parametrize(("content", "end"), EXPENSIVE_NAMES.values(), ids=EXPENSIVE_NAMES)
def test_expensive_names_take_no_longer_than_plain_ones(content: bytes, end: bytes) -> None:
    """All targets of an SRV answer end in the same name, which consists of very many labels or pointers to pointers."""
    plain = b"".join(srv(name_to_wire(f"hs{number}.matrix.example.org"), number) for number in range(MAX_RECORDS))
    hostile = record(QUERY_NAME, RdataType.TXT, content)
    hostile += b"".join(srv(b"\x02" + struct.pack("!H", 0x6100 + number) + end, number) for number in range(255))
    assert seconds_to_read(hostile) < 2 * seconds_to_read(plain)


def srv(target: bytes, port: int) -> bytes:
    return record(QUERY_NAME, SRV, struct.pack("!HHH", 10, 5, port) + target)


def seconds_to_read(records: bytes) -> float:
    """Return the least CPU time of several tries, as one of them may include a garbage collection."""
    sent_query, tries = query(SRV), []
    wire = raw_answer(MAX_RECORDS, records, to=sent_query)
    for _ in range(5):
        before = time.process_time()
        with suppress(MalformedAnswerError):
            read_answer(wire, sent_query)
        tries.append(time.process_time() - before)
    return min(tries)


def test_reads_as_many_records_as_are_allowed() -> None:
    """Their names have more labels than most."""
    hosts = [f"hs{number}.federation.matrix.chat.dual.test" for number in range(MAX_RECORDS)]
    sent_query = query(SRV, "_matrix-fed._tcp.chat.dual.test")
    wire = raw_answer(MAX_RECORDS, b"".join(srv(name_to_wire(host), 8448) for host in hosts), to=sent_query)
    assert [each.target.host for each in read_answer(wire, sent_query).records if isinstance(each, SrvRecord)] == hosts


# ---------------------------------------------------------------- compared with dnspython

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


def read_with_dnspython(wire: bytes) -> Answer:
    """Return what dnspython reads in a message. It skips records whose data is broken."""
    message = dns.message.from_wire(wire, continue_on_error=True)
    assert isinstance(message, dns.message.QueryMessage)
    chain = message.resolve_chaining()
    found = chain.answer or ()
    return Answer(message.rcode(), False, chain.canonical_name.to_wire() or b"", tuple(map(to_record, found)))  # noqa: FBT003


def to_record(each: dns.rdata.Rdata) -> Record:
    match each.to_text().split():
        case [priority, weight, port, target]:
            host = dns.name.from_text(target).to_text(omit_final_dot=True).lower()
            return SrvRecord(int(priority), int(weight), Target(host, int(port)))
        case [address]:
            return IPv6Address(address) if ":" in address else IPv4Address(address)
        case other:
            raise AssertionError(other)


Change = tuple[int, bytes, int]
"""The offset of a change, the bytes that are inserted there, and the number of bytes that they replace."""

changes = st.lists(
    st.tuples(st.integers(0, 200), st.one_of(st.binary(max_size=3), st.just(b"\xc0\x0c")), st.integers(0, 3)),
    max_size=4,
)


@pytest.mark.fuzz
@settings(PATIENT, max_examples=1000)
@given(sample=st.sampled_from(SAMPLES), changes=changes)
def test_reads_damaged_answers_as_dnspython_does_or_refuses_them(
    sample: tuple[Query, dns.message.QueryMessage], changes: list[Change]
) -> None:
    sent_query, message = sample
    wire = message.to_wire()
    for position, content, replaced in changes:
        offset = position % len(wire) if wire else 0
        wire = wire[:offset] + content + wire[offset + replaced :]
    try:
        found = read_answer(wire, sent_query)
    except (MismatchedAnswerError, DnsFailureError):
        return
    if found.truncated or found.rcode not in {Rcode.NOERROR, Rcode.NXDOMAIN}:
        return
    expected = read_with_dnspython(wire)
    assert (found.rcode, set(found.records)) == (expected.rcode, set(expected.records))
    assert found.canonical_name.lower() == expected.canonical_name.lower()


@PATIENT
@given(st.binary(max_size=100))
def test_arbitrary_bytes_raise_only_the_documented_errors(content: bytes) -> None:
    for wire in (content, ID.to_bytes(2, "big") + content, raw_answer(1, content), raw_answer(1, QUERY_NAME + content)):
        with suppress(MismatchedAnswerError, DnsFailureError):
            assert isinstance(read_answer(wire, query()), Answer)
