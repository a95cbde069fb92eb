"""What a DNS server knows: records, and how it misbehaves, both in tables that may be changed at any time."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TypeAlias

import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.message import Message
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rrset import RRset

TTL_SECONDS = 60
_START_OF_AUTHORITY = "ns.test. hostmaster.test. 1 3600 600 86400 60"


class DnsFault(StrEnum):
    SERVFAIL = "servfail"
    REFUSED = "refused"
    DROP = "drop"
    """Never answered."""
    TRUNCATE = "truncate"
    """Cut short over UDP, whole over TCP."""
    TRUNCATE_AND_HANG_UP = "truncate_and_hang_up"
    """Cut short over UDP, and over TCP the connection is closed without an answer."""
    GARBAGE = "garbage"
    WRONG_ID = "wrong_id"
    WRONG_QUESTION = "wrong_question"
    ALIAS_LOOP = "alias_loop"


class Transport(StrEnum):
    UDP = "udp"
    TCP = "tcp"


DnsReply: TypeAlias = bytes | Sequence[bytes] | None
"""An answer as it is sent, or several; none: silence."""
HANG_UP = b""

Misbehaviour: TypeAlias = Callable[[Message, Transport], DnsReply]
"""What becomes of a good reply."""


class Zone:
    """Names are absolute, with or without the dot at the end, in any case. Types are written as usual: "A", "SRV"."""

    def __init__(self) -> None:
        self._records: dict[tuple[Name, RdataType], RRset] = {}
        self._faults: dict[tuple[Name, RdataType], DnsFault | Misbehaviour] = {}
        self._nodes: Counter[Name] = Counter()

    def load(self, text: str) -> None:
        """One record a line: name, type and value, as in a zone file. Replaces what the names hold of these types."""
        values = defaultdict(list)
        for name, kind, value in (line.split(maxsplit=2) for line in text.strip().splitlines()):
            values[name, kind].append(value)
        for (name, kind), found in values.items():
            self.put(name, kind, *found)

    def put(self, name: str, kind: str, *values: str) -> None:
        """Replaces what `name` holds of this type. Raises dnspython's SyntaxError for a value of another form."""
        records = dns.rrset.from_text(dns.name.from_text(name), TTL_SECONDS, dns.rdataclass.IN, kind, *values)
        self.remove(name, kind)
        self._records[_key(name, kind)] = records
        self._nodes.update(_lineage(records.name))

    def remove(self, name: str, kind: str) -> None:
        """Not an error where there is none."""
        if records := self._records.pop(_key(name, kind), None):
            self._nodes.subtract(_lineage(records.name))

    def fail(self, name: str, kind: str, fault: DnsFault | Misbehaviour) -> None:
        """Questions for this name and type are answered so, whatever it holds."""
        self._faults[_key(name, kind)] = fault

    def mend(self, name: str, kind: str) -> None:
        self._faults.pop(_key(name, kind), None)

    def aliases(self, name: Name, kind: RdataType) -> tuple[list[RRset], Name]:
        """The CNAME records that lead on from `name`, and the name where they end; a loop ends where it closes."""
        aliases: list[RRset] = []
        while kind is not RdataType.CNAME and (alias := self._records.get((name, RdataType.CNAME))):
            if alias in aliases:
                break
            aliases.append(alias)
            name = alias[0].target
        return aliases, name

    def records(self, name: Name, kind: RdataType) -> RRset | None:
        return self._records.get((name, kind))

    def exists(self, name: Name) -> bool:
        """It holds records, or a name beneath it does (RFC 8020)."""
        return self._nodes[name] > 0

    def fault(self, names: list[Name], kind: RdataType) -> DnsFault | Misbehaviour | None:
        """The first one on the way."""
        return next((fault for name in names if (fault := self._faults.get((name, kind)))), None)


def _key(name: str, kind: str) -> tuple[Name, RdataType]:
    return dns.name.from_text(name), dns.rdatatype.from_text(kind)


def _lineage(name: Name) -> Iterator[Name]:
    """The name and all above it, but for the root."""
    while name != dns.name.root:
        yield name
        name = name.parent()


def start_of_authority(name: Name) -> RRset:
    """The SOA record of a negative answer (RFC 2308): every top-level domain is a zone of this server."""
    apex = Name(name.labels[-2:])
    return dns.rrset.from_text(apex, TTL_SECONDS, dns.rdataclass.IN, RdataType.SOA, _START_OF_AUTHORITY)
