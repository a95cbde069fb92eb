"""A DNS client: dnspython's, over real sockets."""

import dns.asyncquery
import dns.message
import dns.rcode
from dns.message import Message
from dns.rrset import RRset

from exporter.demo.dns_server import DnsServer
from exporter.demo.zone import Transport
from tests.demo.independent_clients import host_and_port
from tests.waiting import PATIENCE


async def query(
    server: DnsServer,
    name: str,
    rdtype: str,
    transport: Transport = Transport.UDP,
    *,
    payload: int = 1232,
    ignore_malformed: bool = False,
) -> Message:
    """`payload` is how long a reply over UDP may be; 0 is a query without EDNS."""
    message = dns.message.make_query(name, rdtype, use_edns=0 if payload else False, payload=payload or 512)
    address, port = host_and_port(server.address)
    if transport is Transport.TCP:
        return await dns.asyncquery.tcp(message, address, port=port, timeout=PATIENCE)
    return await dns.asyncquery.udp(message, address, port=port, timeout=PATIENCE, ignore_errors=ignore_malformed)


def facts(reply: Message) -> tuple[str, list[str], list[str]]:
    """Return the response code, and the answer and authority sections: aliases first, then the records, sorted."""
    return dns.rcode.to_text(reply.rcode()), _lines(reply.answer), _lines(reply.authority)


def _lines(section: list[RRset]) -> list[str]:
    """Names are converted to lower case: a reply has the case of the query."""
    for rrset in section:
        rrset.name = rrset.name.canonicalize()
    return [line for rrset in section for line in sorted(rrset.to_text().split("\n"))]
