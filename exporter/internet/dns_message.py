"""DNS messages (RFC 1035, section 4; EDNS: RFC 6891): queries are written, answers are read strictly. No I/O.

Answers are hostile input: what is not plainly right is refused, and following a pointer or an alias always has a bound.
Names are held in wire format without compression. A length octet is at most 63, which is below any letter, so `lower`
changes letters only.
"""

import os
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple, TypeAlias

import dns.name
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from exporter.model.addresses import Target
from exporter.model.findings import SrvRecord
from exporter.probing.network import DnsFailureError

UDP_BYTES = 1232  # "DNS flag day 2020": fits every path
MAX_NAME_BYTES = 255
_MAX_LABEL_BYTES = 63
_MAX_LABELS = 4096  # and pointers, of all names together: MAX_RECORDS with 16 in each are more than anybody has
_MAX_ALIASES = 16  # as dnspython and most resolvers follow
MAX_RECORDS = 256  # in all sections: a probe uses 16
_NAMES_KEPT = 256  # that were converted lately: a probe looks up several things about one name

_HEADER: Final = struct.Struct("!HHHHHH")
_TYPE_AND_CLASS: Final = struct.Struct("!HH")
_RECORD: Final = struct.Struct("!HHIH")  # after the owner name: type, class, TTL, length of the data
_SRV: Final = struct.Struct("!HHH")

_RESPONSE, _OPCODE, _TRUNCATED, _RECURSION_DESIRED, _RCODE = 0x8000, 0x7800, 0x0200, 0x0100, 0x000F
_INTERNET_CLASS = 1
ROOT = b"\x00"
_POINTER = 0xC0
_OPT_RECORD: Final = ROOT + _RECORD.pack(RdataType.OPT, UDP_BYTES, 0, 0)

CONCLUSIVE_RCODES: Final = (Rcode.NOERROR, Rcode.NXDOMAIN)
_RCODES_WITHOUT_QUESTION: Final = (Rcode.FORMERR, Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED)

Record: TypeAlias = IPv4Address | IPv6Address | SrvRecord


class MismatchedAnswerError(Exception):
    """The message does not answer our query: anybody may have sent it, and the true answer may still come."""


class MalformedAnswerError(DnsFailureError):
    """The message has the ID of our query, and cannot be read. The true answer may still come."""


def _random_id() -> int:
    """Return an unpredictable ID: to forge an answer, an attacker must guess it and the port, and nothing more."""
    return int.from_bytes(os.urandom(2), "big")


@dataclass(frozen=True, slots=True)
class Query:
    """A query for the records of one type at one name. Every message that is sent must be a query of its own."""

    name: bytes
    """In wire format, as `name_to_wire` returns it."""
    rdtype: RdataType
    edns: bool = True
    recursion_desired: bool = True
    id: int = field(default_factory=_random_id)

    @property
    def question(self) -> bytes:
        """The entry of the question section."""
        return self.name + _TYPE_AND_CLASS.pack(self.rdtype, _INTERNET_CLASS)

    @property
    def wire(self) -> bytes:
        """The whole message."""
        flags = _RECURSION_DESIRED if self.recursion_desired else 0
        header = _HEADER.pack(self.id, flags, 1, 0, 0, 1 if self.edns else 0)
        return header + self.question + (_OPT_RECORD if self.edns else b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a resolver answered to a query. If it is `truncated`, the whole answer must be fetched over TCP."""

    rcode: int
    truncated: bool = False
    canonical_name: bytes = b""
    """The name in the query, or the name that its aliases lead to; in wire format."""
    records: tuple[Record, ...] = ()
    """The records of the type in the query, at the canonical name, without duplicates."""


class _RawRecord(NamedTuple):
    """A resource record. Its data is `wire[begin:end]`."""

    owner: bytes
    """In wire format and lower case."""
    rdtype: int
    rdclass: int
    ttl: int
    begin: int
    end: int


@lru_cache(_NAMES_KEPT)
def name_to_wire(text: str) -> bytes:
    """Return an absolute name, written with or without the dot at its end, in wire format.

    Raises dnspython's LabelTooLong, NameTooLong or EmptyLabel if DNS cannot represent the name.
    """
    return dns.name.from_text(text, origin=dns.name.root).to_wire() or b""


def name_to_text(name: bytes) -> str:
    """Return a name without the dot at its end; the root is `.`. Unusual bytes are escaped as in zone files."""
    return dns.name.from_wire(name, 0)[0].to_text(omit_final_dot=True)


def read_answer(wire: bytes, query: Query) -> Answer:
    """Return the answer that a message contains.

    Raises one of three errors:

    - MismatchedAnswerError if the message does not answer the query.
    - MalformedAnswerError if it cannot be read.
    - DnsFailureError if it can be read, and contradicts itself.
    """
    if wire[:2] != query.id.to_bytes(2, "big"):
        raise MismatchedAnswerError("its answer has another ID than the query")
    try:
        return _read_message(wire, query)
    except (IndexError, struct.error) as error:
        raise MalformedAnswerError("its answer ends too early") from error


def _read_message(wire: bytes, query: Query) -> Answer:
    """Read the whole message, unless it is an error or truncated: of these, only the header counts."""
    _, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(wire)
    if flags & (_RESPONSE | _OPCODE) != _RESPONSE:
        raise MalformedAnswerError("its message is not the answer to a query")
    rcode, truncated = flags & _RCODE, bool(flags & _TRUNCATED)
    offset = _question_end(wire, query, questions, may_be_missing=rcode in _RCODES_WITHOUT_QUESTION)
    if truncated or rcode not in CONCLUSIVE_RCODES:
        return Answer(rcode, truncated)
    count = answers + authorities + additionals
    if count > MAX_RECORDS:
        raise MalformedAnswerError(f"its answer has {count} records, the limit is {MAX_RECORDS}")
    message = _Message(wire)
    records = tuple(_raw_records(message, offset, count))
    rcode |= _extended_rcode(records, answers + authorities)
    return Answer(rcode) if rcode not in CONCLUSIVE_RCODES else _read_records(message, query, rcode, records[:answers])


def _question_end(wire: bytes, query: Query, count: int, *, may_be_missing: bool) -> int:
    """Check the question section, and return where it ends. Some servers change the case of the name."""
    if count == 0 and may_be_missing:
        return _HEADER.size
    if count != 1:
        raise MalformedAnswerError(f"its answer has {count} questions")
    expected = query.question
    end = _HEADER.size + len(expected)
    if wire[_HEADER.size : end].lower() != expected.lower():
        _TYPE_AND_CLASS.unpack_from(wire, _Message(wire).read_name(_HEADER.size)[1])
        raise MismatchedAnswerError("its answer is for another question")
    return end


def _raw_records(message: "_Message", offset: int, count: int) -> Iterator[_RawRecord]:
    """Yield the records of all sections, up to the end of the message."""
    for _ in range(count):
        owner, offset = message.read_name(offset)
        rdtype, rdclass, ttl, length = _RECORD.unpack_from(message.wire, offset)
        begin = offset + _RECORD.size
        offset = begin + length
        yield _RawRecord(owner.lower(), rdtype, rdclass, ttl, begin, offset)
    if offset != len(message.wire):
        raise MalformedAnswerError("its answer is longer or shorter than its records")


def _extended_rcode(records: Sequence[_RawRecord], additionals_begin: int) -> int:
    """Return the upper bits of the response code, which the OPT record of EDNS contains (RFC 6891, section 6.1.3)."""
    pseudo = [
        (index, record) for index, record in enumerate(records) if record.rdtype in (RdataType.OPT, RdataType.TSIG)
    ]
    match pseudo:
        case []:
            return 0
        case [(index, _RawRecord(owner=b"\x00", rdtype=RdataType.OPT, ttl=ttl))] if index >= additionals_begin:
            return (ttl >> 24) << 4
        case _:
            raise MalformedAnswerError("its answer has OPT or TSIG records where none may be")


def _read_records(message: "_Message", query: Query, rcode: int, section: Iterable[_RawRecord]) -> Answer:
    """Read from the answer section what belongs to the query; ignore everything else in it."""
    aliases: dict[bytes, bytes] = {}
    found: defaultdict[bytes, list[Record]] = defaultdict(list)
    for record in section:
        if record.rdclass != _INTERNET_CLASS or record.rdtype not in (query.rdtype, RdataType.CNAME):
            continue
        if record.rdtype == query.rdtype:
            found[record.owner].append(_READERS[query.rdtype](message, record.begin, record.end))
        else:
            target = message.read_whole_name(record.begin, record.end)
            if aliases.setdefault(record.owner, target).lower() != target.lower():
                raise DnsFailureError("its answer has two aliases (CNAME) for one name")
    canonical_name = _follow_aliases(query.name, aliases, found)
    records = found.get(canonical_name.lower(), [])
    if records and rcode == Rcode.NXDOMAIN:
        raise DnsFailureError("its answer has records for a name that it says does not exist")
    return Answer(rcode, canonical_name=canonical_name, records=tuple(dict.fromkeys(records)))


def _follow_aliases(name: bytes, aliases: Mapping[bytes, bytes], found: Mapping[bytes, list[Record]]) -> bytes:
    for _ in range(_MAX_ALIASES):
        key = name.lower()
        if key in found or key not in aliases:
            return name
        name = aliases[key]
    raise DnsFailureError(f"the aliases (CNAME) in its answer form a loop, or are more than {_MAX_ALIASES}")


# ---------------------------------------------------------------- record data, from `begin` to `end`


def _read_ipv4(message: "_Message", begin: int, end: int) -> IPv4Address:
    if end - begin != 4:
        raise MalformedAnswerError(f"its answer has an A record of {end - begin} bytes")
    return IPv4Address(message.wire[begin:end])


def _read_ipv6(message: "_Message", begin: int, end: int) -> IPv6Address:
    if end - begin != 16:
        raise MalformedAnswerError(f"its answer has an AAAA record of {end - begin} bytes")
    return IPv6Address(message.wire[begin:end])


def _read_srv(message: "_Message", begin: int, end: int) -> SrvRecord:
    """Read an SRV record (RFC 2782). Some servers compress the target, though they should not."""
    priority, weight, port = _SRV.unpack_from(message.wire, begin)
    host = name_to_text(message.read_whole_name(begin + _SRV.size, end)).lower()
    return SrvRecord(priority, weight, Target(host, port))


_READERS: Final[Mapping[RdataType, Callable[["_Message", int, int], Record]]] = {
    RdataType.A: _read_ipv4,
    RdataType.AAAA: _read_ipv6,
    RdataType.SRV: _read_srv,
}


# ---------------------------------------------------------------- names


class _Message:
    """The bytes of a message, and its names. All names that are read may have _MAX_LABELS labels and pointers."""

    def __init__(self, wire: bytes) -> None:
        self.wire = wire
        self._labels_left = _MAX_LABELS

    def read_whole_name(self, begin: int, end: int) -> bytes:
        """Return the name that begins and ends at these offsets, decompressed."""
        name, found_end = self.read_name(begin)
        if found_end != end:
            raise MalformedAnswerError("its answer has a name that is shorter or longer than its record")
        return name

    def read_name(self, offset: int) -> tuple[bytes, int]:
        """Return the name at `offset`, decompressed, and where it ends: behind its root, or behind its first pointer.

        A pointer must lead to an earlier name (RFC 1035, section 4.1.4): to one that begins before the name with the
        pointer, and ends before it too.
        """
        name, limit, end = b"", len(self.wire), 0
        while True:
            labels_end = self._labels_end(offset)
            name += self.wire[offset:labels_end]
            part_end = labels_end + (2 if self.wire[labels_end] else 1)
            end = end or part_end
            if part_end > limit:
                raise MalformedAnswerError("its answer has a name that ends too late")
            if len(name + ROOT) > MAX_NAME_BYTES:
                raise MalformedAnswerError("its answer has a name that is too long")
            if not self.wire[labels_end]:
                return name + ROOT, end
            offset, limit = self._target(labels_end), offset

    def _labels_end(self, offset: int) -> int:
        """Return where the labels that begin at `offset` end, which is where the root or a pointer is."""
        begin, labels = offset, 1  # the root or the pointer counts too
        while 0 < (length := self.wire[offset]) < _POINTER:
            offset += 1 + length
            labels += 1
            if length > _MAX_LABEL_BYTES or offset - begin > MAX_NAME_BYTES:
                raise MalformedAnswerError("its answer has a label or a name that is too long")
        self._labels_left -= labels
        if self._labels_left < 0:
            raise MalformedAnswerError(f"the names in its answer have more than {_MAX_LABELS} labels and pointers")
        return offset

    def _target(self, pointer: int) -> int:
        """Return where a pointer leads."""
        target = (self.wire[pointer] - _POINTER) << 8 | self.wire[pointer + 1]
        if target < _HEADER.size:
            raise MalformedAnswerError("its answer has a name with a pointer into the header")
        return target
