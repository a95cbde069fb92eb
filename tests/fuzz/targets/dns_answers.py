"""DNS messages, as they come."""

from collections.abc import Sequence
from functools import cache, partial
from ipaddress import IPv4Address
from typing import Any

import dns.message
import dns.nameserver
import dns.query
from dns.rdatatype import RdataType

from exporter.internet import Internet
from exporter.model import Resolved, Target, found
from exporter.problems import Step
from exporter.stages import dns as dns_stage
from exporter.stages import srv as srv_stage
from tests.fuzz.targets.judging import attempted, in_order, one_line

HOST = "example.test"
KINDS = (RdataType.SRV, RdataType.A, RdataType.AAAA)
SECONDS = 0.2  # of a whole probe


class Server(dns.nameserver.Do53Nameserver):
    """Answers questions of one kind with the message, under the id of the question, and the others with nothing."""

    message = b""
    answered = RdataType.A

    async def async_query(self, request: dns.message.QueryMessage, *_: Any, **__: Any) -> dns.message.Message:
        if request.question[0].rdtype != self.answered:
            return dns.message.make_response(request)
        response = dns.message.from_wire(request.id.to_bytes(2, "big") + self.message, raise_on_truncation=True)
        if not request.is_response(response):
            raise dns.query.BadResponse
        return response


@cache
def asked() -> tuple[Internet, Server]:
    place = (IPv4Address("192.0.2.53"), 53)
    server, internet = Server(str(place[0])), Internet(timeout=SECONDS, resolvers=[place])
    internet._resolver._resolver.nameservers = [server]
    return internet, server


def dns_answer(written: bytes) -> None:
    """The first byte is the kind of the question, the rest is the answer without its id: what comes of it can be used
    by the stages, and be shown.
    """
    internet, server = asked()
    server.answered, server.message = KINDS[(written[:1] or b"\0")[0] % len(KINDS)], written[1:]
    if server.answered is RdataType.SRV:
        srv(internet)
    else:
        addresses(internet, server.answered)


def srv(internet: Internet) -> None:
    """The targets are looked up as well, in vain."""
    found_records = found(attempted(Step.DNS, srv_stage.look(internet, HOST), srv_stage.read))
    for records in found_records.records.values() if found_records else ():
        for record in records:
            one_line(str(record.target))
            assert record.target.host == record.target.host.lower()
        resolve(internet, [record.target for record in records])


def addresses(internet: Internet, kind: RdataType) -> None:
    resolved = resolve(internet, [Target(HOST, 8448)])
    assert len(resolved.endpoints) <= dns_stage.MAX_ADDRESSES
    assert all(endpoint.ip.version == (4 if kind is RdataType.A else 6) for endpoint in resolved.endpoints)
    for alias in resolved.aliases.values():
        one_line(alias)


def resolve(internet: Internet, targets: Sequence[Target]) -> Resolved:
    read = partial(dns_stage.read, aliases_allowed=False)
    resolved = found(attempted(Step.DNS, dns_stage.look(internet, targets), read)) if targets else Resolved(())
    assert resolved
    in_order(resolved.unresolved)
    return resolved
