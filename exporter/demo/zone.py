"""What a DNS server knows: records and faults, in tables that may be changed at any time."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Final, TypeAlias

import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.message import Message
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset

TTL_SECONDS = 60
_START_OF_AUTHORITY = "ns.test. hostmaster.test. 1 3600 600 86400 60"


class Transport(StrEnum):
    UDP = "udp"
    TCP = "tcp"


DnsReply: TypeAlias = bytes | Sequence[bytes] | None
"""What is sent in reply to a query: one message, several messages, or None for silence."""
HANG_UP: Final = b""
"""Over TCP, the connection is closed without a reply."""

DnsFault: TypeAlias = Callable[[Message, Transport], DnsReply]
"""Turns a good reply into what is sent instead."""


def fail_with(rcode: Rcode) -> DnsFault:
    def fail(reply: Message, _: Transport) -> DnsReply:
        reply.answer.clear()
        reply.authority.clear()
        reply.set_rcode(rcode)
        return reply.to_wire()

    return fail


SERVFAIL: Final = fail_with(Rcode.SERVFAIL)


class Zone:
    """Records and faults by name and type.

    Names are absolute, with or without the final dot, in any case. Types are written as usual: "A", "SRV".
    """

    def __init__(self) -> None:
        self._records: dict[tuple[Name, RdataType], RRset] = {}
        self._faults: dict[tuple[Name, RdataType], DnsFault] = {}
        self._nodes: Counter[Name] = Counter()

    def load(self, text: str) -> None:
        """Read one record a line: name, type and value, as in a zone file. Each replaces its name and type."""
        values = defaultdict(list)
        for name, rdtype, value in (line.split(maxsplit=2) for line in text.strip().splitlines()):
            values[name, rdtype].append(value)
        for (name, rdtype), found in values.items():
            self.put(name, rdtype, *found)

    def put(self, name: str, rdtype: str, *values: str) -> None:
        """Replace the records of this name and type. Raises dnspython's SyntaxError if a value is malformed."""
        records = dns.rrset.from_text(dns.name.from_text(name), TTL_SECONDS, dns.rdataclass.IN, rdtype, *values)
        self.remove(name, rdtype)
        self._records[_key(name, rdtype)] = records
        self._nodes.update(_ancestry(records.name))

    def remove(self, name: str, rdtype: str) -> None:
        """Remove the records, if there are any."""
        if records := self._records.pop(_key(name, rdtype), None):
            self._nodes.subtract(_ancestry(records.name))

    def fail(self, name: str, rdtype: str, fault: DnsFault) -> None:
        """Reply to queries for this name and type with the fault, even if there are records."""
        self._faults[_key(name, rdtype)] = fault

    def repair(self, name: str, rdtype: str) -> None:
        """Remove the fault, if there is one."""
        self._faults.pop(_key(name, rdtype), None)

    def aliases(self, name: Name, rdtype: RdataType) -> tuple[list[RRset], Name]:
        """Return the CNAME records that lead on from `name`, and the name where they end; a loop ends where it
        closes.
        """
        aliases: list[RRset] = []
        while rdtype is not RdataType.CNAME and (alias := self._records.get((name, RdataType.CNAME))):
            if alias in aliases:
                break
            aliases.append(alias)
            name = alias[0].target
        return aliases, name

    def records(self, name: Name, rdtype: RdataType) -> RRset | None:
        return self._records.get((name, rdtype))

    def exists(self, name: Name) -> bool:
        """Whether the name, or a name below it, has records (RFC 8020)."""
        return self._nodes[name] > 0

    def fault(self, names: list[Name], rdtype: RdataType) -> DnsFault | None:
        """Return the fault of the first of these names that has one."""
        return next((fault for name in names if (fault := self._faults.get((name, rdtype)))), None)


def _key(name: str, rdtype: str) -> tuple[Name, RdataType]:
    return dns.name.from_text(name), dns.rdatatype.from_text(rdtype)


def _ancestry(name: Name) -> Iterator[Name]:
    """Yield the name and all names above it, except the root."""
    while name != dns.name.root:
        yield name
        name = name.parent()


def start_of_authority(name: Name) -> RRset:
    """Return the SOA record of a negative reply (RFC 2308): every top-level domain is a zone of this server."""
    apex = Name(name.labels[-2:])
    return dns.rrset.from_text(apex, TTL_SECONDS, dns.rdataclass.IN, RdataType.SOA, _START_OF_AUTHORITY)
