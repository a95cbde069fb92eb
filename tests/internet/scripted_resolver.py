"""A DNS server over UDP whose answers a test writes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import dns.message
from dns.message import Message

from exporter.internet import IPEndpoint
from tests.addresses import ip_endpoint

Script: TypeAlias = Callable[[Message], Iterable[bytes]]
"""Returns the datagrams that answer a query."""


class ScriptedResolver(asyncio.DatagramProtocol):
    """Answers each query as its script says. `queries` and `clients` are what it has received, and from where."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.queries: list[Message] = []
        self.clients: list[tuple[str, int]] = []

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.DatagramTransport = transport

    def datagram_received(self, wire: bytes, client: tuple[Any, ...]) -> None:
        query = dns.message.from_wire(wire)
        self.queries.append(query)
        self.clients.append((client[0], client[1]))
        for datagram in self._script(query):
            self.transport.sendto(datagram, client)

    @property
    def endpoint(self) -> IPEndpoint:
        address, port = self.transport.get_extra_info("sockname")
        return ip_endpoint(f"{address}:{port}")


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[ScriptedResolver]:
    resolver = ScriptedResolver(script)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: resolver, ("127.0.0.1", 0))
    yield resolver
    resolver.transport.abort()
    await asyncio.sleep(0)  # the transport closes its socket in the next iteration of the event loop


def answer(query: Message, *records: str) -> Message:
    """Return the answer to a query with records, written as in a zone file, of its type and at its name."""
    reply = dns.message.make_response(query, recursion_available=True)
    question = query.question[0]
    if records:
        reply.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", question.rdtype, records))
    return reply
