"""DNS answers."""

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
from tests.fuzz.targets.checks import check_problems, check_sentence, run_attempt

HOST = "example.test"
QUERIES = {RdataType.SRV: f"_matrix-fed._tcp.{HOST}", RdataType.A: HOST, RdataType.AAAA: HOST}
SERVER = (IPv4Address("192.0.2.53"), 53)
ID = 0x1234


def dns_answer(data: bytes) -> None:
    """The first byte selects the query, the rest is the answer without its ID.

    The exporter reads what dnspython reads, and the stages can use it.
    """
    rdtype = list(QUERIES)[(data[:1] or b"\0")[0] % len(QUERIES)]
    query = Query(name_to_wire(QUERIES[rdtype]), rdtype, id=ID)
    wire = ID.to_bytes(2, "big") + data[1:]
    try:
        answer = read_answer(wire, query)
    except (MismatchedAnswerError, DnsFailureError) as error:
        check_sentence(str(error))
        return
    if answer.rcode in CONCLUSIVE_RCODES and not answer.truncated:
        compare_with_dnspython(wire, query, answer)
    with mock.patch.object(resolver, "exchange", partial(fake_exchange, query, answer)):
        run_stages(rdtype)


# ---------------------------------------------------------------- dnspython


def compare_with_dnspython(wire: bytes, query: Query, answer: Answer) -> None:
    """Compare the answer with what dnspython reads, unless it refuses a record that the exporter ignores."""
    message = dns.message.from_wire(wire, continue_on_error=True)
    if message.errors:
        return
    canonical, _ = dns.name.from_wire(answer.canonical_name, 0)
    assert message.rcode() == answer.rcode
    records = message.get_rrset(message.answer, canonical, dns.rdataclass.IN, query.rdtype)
    assert {to_record(each) for each in records or ()} == set(answer.records)
    assert isinstance(message, dns.message.QueryMessage)
    assert message.resolve_chaining().canonical_name == canonical


def to_record(record: dns.rdata.Rdata) -> Record:
    if record.rdtype != RdataType.SRV:
        return ip_address(record.to_text())
    target = Target(record.target.to_text(omit_final_dot=True).lower(), record.port)  # type: ignore[attr-defined]
    return SrvRecord(record.priority, record.weight, target)  # type: ignore[attr-defined]


# ---------------------------------------------------------------- the stages


async def fake_exchange(
    query: Query, answer: Answer, _: IPEndpoint, name: bytes, rdtype: RdataType, __: float, **___: bool
) -> Answer:
    """Return the answer to the query, and an answer without records to every other query."""
    if (name, rdtype) != (query.name, query.rdtype):
        return Answer(Rcode.NOERROR, canonical_name=name)
    if answer.rcode not in CONCLUSIVE_RCODES or answer.truncated:
        raise DnsFailureError(str(answer.rcode))
    return answer


@cache
def internet() -> Internet:
    return Internet(timeout=10, resolvers=lambda: [SERVER])


def run_stages(rdtype: RdataType) -> None:
    if rdtype is RdataType.SRV:
        run_srv_stage()
    else:
        run_dns_stage([Target(HOST, 8448)])


def run_srv_stage() -> None:
    """Run the stage, and look its targets up, which have no addresses."""
    srv_records = found(run_attempt(Step.DNS, srv_stage.fetch(internet(), HOST), srv_stage.evaluate))
    for records in srv_records.records.values() if srv_records else ():
        for record in records:
            check_sentence(str(record.target))
        run_dns_stage([record.target for record in records])


def run_dns_stage(targets: Sequence[Target]) -> None:
    read = partial(dns_stage.evaluate, aliases_allowed=False)
    resolved = found(run_attempt(Step.DNS, dns_stage.fetch(internet(), targets), read)) if targets else Resolution(())
    assert resolved
    check_problems(resolved.unresolved)
    assert len(resolved.endpoints) <= dns_stage.MAX_ENDPOINTS
    for alias in resolved.aliases.values():
        check_sentence(alias)
