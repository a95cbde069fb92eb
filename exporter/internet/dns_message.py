"""DNS messages (RFC 1035, section 4; EDNS: RFC 6891): questions as they are sent, answers read strictly. Pure.

Answers are hostile input. What is not plainly right is refused, and nothing in them is followed without a bound. Names
are held as they stand in a message without compression: their lengths are below any letter, so that `lower` is safe.
"""

import os
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple, TypeAlias

import dns.name
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from exporter.model.addresses import Target
from exporter.model.findings import SrvRecord
from exporter.probing.network import DnsFailureError

UDP_BYTES = 1232  # "DNS flag day 2020": fits every path
_MAX_NAME_BYTES = 255
_MAX_LABEL_BYTES = 63
_MAX_POINTERS = 128  # of one name: it has at most 127 labels, and a pointer after each is enough
_MAX_ALIASES = 16  # as dnspython and most resolvers follow
MAX_RECORDS = 256  # in all sections: a probe uses 16, and the worst 256 take us some milliseconds to read

_HEADER: Final = struct.Struct("!HHHHHH")
_KIND_AND_CLASS: Final = struct.Struct("!HH")
_RECORD: Final = struct.Struct("!HHIH")  # after the owner's name: type, class, TTL, length of the data
_SRV: Final = struct.Struct("!HHH")

_RESPONSE, _OPCODE, _TRUNCATED, _RECURSION_DESIRED, _RCODE = 0x8000, 0x7800, 0x0200, 0x0100, 0x000F
_INTERNET = 1
ROOT = b"\x00"
_POINTER = 0xC0
_OPT_RECORD: Final = ROOT + _RECORD.pack(RdataType.OPT, UDP_BYTES, 0, 0)

WITH_ANSWER: Final = (Rcode.NOERROR, Rcode.NXDOMAIN)
_MAY_LEAVE_OUT_QUESTION: Final = (Rcode.FORMERR, Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED)

Record: TypeAlias = IPv4Address | IPv6Address | SrvRecord


class StrayMessageError(Exception):
    """No answer to our question: anybody may have sent it, and the true one may still come."""


class MalformedAnswerError(DnsFailureError):
    """It bears our id, and cannot be read. The true answer may still come."""


def _random_id() -> int:
    """Together with the port, all that who would forge an answer has to guess."""
    return int.from_bytes(os.urandom(2), "big")


@dataclass(frozen=True, slots=True)
class Query:
    """Every message that is sent needs one of its own."""

    name: bytes
    """As `wire_name` gives it."""
    kind: RdataType
    edns: bool = True
    recursion_desired: bool = True
    id: int = field(default_factory=_random_id)

    @property
    def question(self) -> bytes:
        return self.name + _KIND_AND_CLASS.pack(self.kind, _INTERNET)

    @property
    def wire(self) -> bytes:
        flags = _RECURSION_DESIRED if self.recursion_desired else 0
        header = _HEADER.pack(self.id, flags, 1, 0, 0, 1 if self.edns else 0)
        return header + self.question + (_OPT_RECORD if self.edns else b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """`truncated`: the rest stands in the answer over TCP."""

    rcode: int
    truncated: bool = False
    canonical_name: bytes = b""
    """The name asked for, or where its aliases lead to."""
    records: tuple[Record, ...] = ()
    """Of the type asked for, at the canonical name; none twice."""


class _RawRecord(NamedTuple):
    owner: bytes
    """In lower case."""
    kind: int
    klass: int
    ttl: int
    begin: int
    """Where its data begins, and ends."""
    end: int


def wire_name(text: str) -> bytes:
    """An absolute name, with or without the dot at the end. Raises dnspython's exceptions where DNS cannot hold it."""
    return dns.name.from_text(text, origin=dns.name.root).to_wire() or b""


def text(name: bytes) -> str:
    """Without the dot at the end; the root is `.`. Bytes that no host name has are escaped as in zone files."""
    return dns.name.from_wire(name, 0)[0].to_text(omit_final_dot=True)


def read_answer(wire: bytes, query: Query) -> Answer:
    """Raises StrayMessageError, MalformedAnswerError, and DnsFailureError for an answer that contradicts itself."""
    if wire[:2] != query.id.to_bytes(2, "big"):
        raise StrayMessageError("it bears another id")
    try:
        return _read_message(wire, query)
    except (IndexError, struct.error) as error:
        raise MalformedAnswerError("its answer is cut short") from error


def _read_message(wire: bytes, query: Query) -> Answer:
    """Of an error, or of what is cut to fit, nothing but the header counts."""
    _, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(wire)
    if flags & (_RESPONSE | _OPCODE) != _RESPONSE:
        raise MalformedAnswerError("what it sends is no answer to a query")
    rcode, truncated = flags & _RCODE, bool(flags & _TRUNCATED)
    at = _after_question(wire, query, questions, may_be_missing=rcode in _MAY_LEAVE_OUT_QUESTION)
    if truncated or rcode not in WITH_ANSWER:
        return Answer(rcode, truncated)
    count = answers + authorities + additionals
    if count > MAX_RECORDS:
        raise MalformedAnswerError(f"its answer has {count} records, at most {MAX_RECORDS} are read")
    records = tuple(_raw_records(wire, at, count))
    rcode |= _extended_rcode(records, answers + authorities)
    return Answer(rcode) if rcode not in WITH_ANSWER else _read_records(wire, query, rcode, records[:answers])


def _after_question(wire: bytes, query: Query, count: int, *, may_be_missing: bool) -> int:
    """Where the records begin. Some servers write the name in another case."""
    if count == 0 and may_be_missing:
        return _HEADER.size
    if count != 1:
        raise MalformedAnswerError(f"its answer bears {count} questions")
    expected = query.question
    end = _HEADER.size + len(expected)
    if wire[_HEADER.size : end].lower() != expected.lower():
        _KIND_AND_CLASS.unpack_from(wire, _after_name(wire, _HEADER.size))
        raise StrayMessageError("it answers another question")
    return end


def _raw_records(wire: bytes, at: int, count: int) -> Iterator[_RawRecord]:
    """One after the other, to the very end of the message."""
    for _ in range(count):
        owner, at = _read_name(wire, at).lower(), _after_name(wire, at)
        kind, klass, ttl, length = _RECORD.unpack_from(wire, at)
        begin = at + _RECORD.size
        at = begin + length
        yield _RawRecord(owner, kind, klass, ttl, begin, at)
    if at != len(wire):
        raise MalformedAnswerError("its answer does not end where it says")


def _extended_rcode(records: Sequence[_RawRecord], additionals_at: int) -> int:
    """The upper bits of the response code, which EDNS has room for (RFC 6891, 6.1.3)."""
    special = [(at, record) for at, record in enumerate(records) if record.kind in (RdataType.OPT, RdataType.TSIG)]
    match special:
        case []:
            return 0
        case [(at, _RawRecord(owner=b"\x00", kind=RdataType.OPT, ttl=ttl))] if at >= additionals_at:
            return (ttl >> 24) << 4
        case _:
            raise MalformedAnswerError("its answer has OPT or TSIG records that do not belong there")


def _read_records(wire: bytes, query: Query, rcode: int, section: Iterable[_RawRecord]) -> Answer:
    """What the answer section says of the name asked for; anything else in there is ignored."""
    aliases: dict[bytes, bytes] = {}
    found: defaultdict[bytes, list[Record]] = defaultdict(list)
    for record in section:
        if record.klass != _INTERNET or record.kind not in (query.kind, RdataType.CNAME):
            continue
        if record.kind == query.kind:
            found[record.owner].append(_READERS[query.kind](wire, record.begin, record.end))
        else:
            target = _name_up_to(wire, record.begin, record.end)
            if aliases.setdefault(record.owner, target).lower() != target.lower():
                raise DnsFailureError("its answer has two aliases (CNAME) for one name")
    canonical_name = _follow(query.name, aliases, found)
    records = found.get(canonical_name.lower(), [])
    if records and rcode == Rcode.NXDOMAIN:
        raise DnsFailureError("its answer has records for a name that it says does not exist")
    return Answer(rcode, canonical_name=canonical_name, records=tuple(dict.fromkeys(records)))


def _follow(name: bytes, aliases: Mapping[bytes, bytes], found: Mapping[bytes, list[Record]]) -> bytes:
    for _ in range(_MAX_ALIASES):
        key = name.lower()
        if key in found or key not in aliases:
            return name
        name = aliases[key]
    raise DnsFailureError(f"the aliases (CNAME) in its answer come to no end, or to none within {_MAX_ALIASES}")


# ---------------------------------------------------------------- data of records, from `begin` to `end`


def _read_ipv4(wire: bytes, begin: int, end: int) -> IPv4Address:
    if end - begin != 4:
        raise MalformedAnswerError(f"its answer has an A record of {end - begin} bytes")
    return IPv4Address(wire[begin:end])


def _read_ipv6(wire: bytes, begin: int, end: int) -> IPv6Address:
    if end - begin != 16:
        raise MalformedAnswerError(f"its answer has an AAAA record of {end - begin} bytes")
    return IPv6Address(wire[begin:end])


def _read_srv(wire: bytes, begin: int, end: int) -> SrvRecord:
    """RFC 2782; the target is compressed by some, though it should not be."""
    priority, weight, port = _SRV.unpack_from(wire, begin)
    host = text(_name_up_to(wire, begin + _SRV.size, end)).lower()
    return SrvRecord(priority, weight, Target(host, port))


_READERS: Final[Mapping[RdataType, Callable[[bytes, int, int], Record]]] = {
    RdataType.A: _read_ipv4,
    RdataType.AAAA: _read_ipv6,
    RdataType.SRV: _read_srv,
}


# ---------------------------------------------------------------- names


def _name_up_to(wire: bytes, begin: int, end: int) -> bytes:
    if _after_name(wire, begin) != end:
        raise MalformedAnswerError("its answer has a name that is shorter or longer than its record")
    return _read_name(wire, begin)


def _read_name(wire: bytes, at: int) -> bytes:
    """A pointer leads to an earlier name (RFC 1035, 4.1.4): one that begins, and ends, before what pointed to it."""
    name, limit = b"", len(wire)
    for _ in range(_MAX_POINTERS):
        end = _labels_end(wire, at)
        name += wire[at:end]
        if _after_labels(wire, end) > limit:
            raise MalformedAnswerError("its answer has a name that does not end where it must")
        if not wire[end]:
            break
        target = (wire[end] - _POINTER) << 8 | wire[end + 1]
        if target < _HEADER.size:
            raise MalformedAnswerError("its answer has a name that points to no name")
        at, limit = target, at
    if wire[end] or len(name + ROOT) > _MAX_NAME_BYTES:
        raise MalformedAnswerError("its answer has a name that is too long")
    return name + ROOT


def _after_name(wire: bytes, at: int) -> int:
    """Where a name ends that begins at `at`: pointers are not followed."""
    return _after_labels(wire, _labels_end(wire, at))


def _after_labels(wire: bytes, end: int) -> int:
    """Behind the root, which is one byte, or a pointer, which is two."""
    return end + 2 if wire[end] else end + 1


def _labels_end(wire: bytes, at: int) -> int:
    """Where the labels that begin at `at` give way to the root or to a pointer."""
    begin = at
    while 0 < (length := wire[at]) < _POINTER:
        at += 1 + length
        if length > _MAX_LABEL_BYTES or at - begin > _MAX_NAME_BYTES:
            raise MalformedAnswerError("its answer has a label or a name that is too long")
    return at
