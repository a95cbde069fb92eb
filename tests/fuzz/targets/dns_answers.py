"""DNS messages, as they come."""

from collections.abc import Sequence
from functools import cache, partial
from ipaddress import IPv4Address, ip_address
from unittest import mock

import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from exporter.internet import Internet, IPEndpoint, resolver
from exporter.internet.dns_message import (
    CONCLUSIVE_RCODES,
    Answer,
    MismatchedAnswerError,
    Query,
    Record,
    name_to_wire,
    read_answer,
)
from exporter.model.addresses import Target
from exporter.model.findings import Resolution, SrvRecord
from exporter.model.outcomes import found
from exporter.probing.network import DnsFailureError
from exporter.probing.problems import Step
from exporter.probing.stages import dns as dns_stage
from exporter.probing.stages import srv as srv_stage
from tests.fuzz.targets.judging import attempted, in_order, one_line

HOST = "example.test"
ASKED = {RdataType.SRV: f"_matrix-fed._tcp.{HOST}", RdataType.A: HOST, RdataType.AAAA: HOST}
PLACE = (IPv4Address("192.0.2.53"), 53)
ID = 0x1234


def dns_answer(written: bytes) -> None:
    """The first byte is the kind of the question, the rest is the answer without its id. What is read of it is what
    another reader reads; and what comes of it can be used by the stages, and be shown.
    """
    kind = list(ASKED)[(written[:1] or b"\0")[0] % len(ASKED)]
    query = Query(name_to_wire(ASKED[kind]), kind, id=ID)
    wire = ID.to_bytes(2, "big") + written[1:]
    try:
        answer = read_answer(wire, query)
    except (MismatchedAnswerError, DnsFailureError) as error:
        one_line(str(error))
        return
    if answer.rcode in CONCLUSIVE_RCODES and not answer.truncated:
        as_dnspython_reads(wire, query, answer)
    with mock.patch.object(resolver, "exchange", partial(exchanged, query, answer)):
        stages_go_on(kind)


# ---------------------------------------------------------------- another reader


def as_dnspython_reads(wire: bytes, query: Query, answer: Answer) -> None:
    """It reads records of every type, and so refuses some messages in which those that we look at are good."""
    message = dns.message.from_wire(wire, continue_on_error=True)
    if message.errors:
        return
    canonical, _ = dns.name.from_wire(answer.canonical_name, 0)
    assert message.rcode() == answer.rcode
    records = message.get_rrset(message.answer, canonical, dns.rdataclass.IN, query.rdtype)
    assert {record_of(each) for each in records or ()} == set(answer.records)
    assert isinstance(message, dns.message.QueryMessage)
    assert message.resolve_chaining().canonical_name == canonical


def record_of(record: dns.rdata.Rdata) -> Record:
    if record.rdtype != RdataType.SRV:
        return ip_address(record.to_text())
    target = Target(record.target.to_text(omit_final_dot=True).lower(), record.port)  # type: ignore[attr-defined]
    return SrvRecord(record.priority, record.weight, target)  # type: ignore[attr-defined]


# ---------------------------------------------------------------- the stages


async def exchanged(query: Query, answer: Answer, _: IPEndpoint, name: bytes, kind: RdataType, __: float) -> Answer:
    """The answer to the one question, and to every other that there is nothing."""
    if (name, kind) != (query.name, query.rdtype):
        return Answer(Rcode.NOERROR, canonical_name=name)
    if answer.rcode not in CONCLUSIVE_RCODES or answer.truncated:
        raise DnsFailureError(str(answer.rcode))
    return answer


@cache
def internet() -> Internet:
    return Internet(timeout=10, resolvers=[PLACE])


def stages_go_on(kind: RdataType) -> None:
    if kind is RdataType.SRV:
        srv()
    else:
        resolve([Target(HOST, 8448)])


def srv() -> None:
    """The targets are looked up as well, in vain."""
    listed = found(attempted(Step.DNS, srv_stage.fetch(internet(), HOST), srv_stage.evaluate))
    for records in listed.records.values() if listed else ():
        for record in records:
            one_line(str(record.target))
        resolve([record.target for record in records])


def resolve(targets: Sequence[Target]) -> None:
    read = partial(dns_stage.evaluate, aliases_allowed=False)
    resolved = found(attempted(Step.DNS, dns_stage.fetch(internet(), targets), read)) if targets else Resolution(())
    assert resolved
    in_order(resolved.unresolved)
    assert len(resolved.endpoints) <= dns_stage.MAX_ENDPOINTS
    for alias in resolved.aliases.values():
        one_line(alias)
