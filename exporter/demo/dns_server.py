"""A DNS server over UDP and TCP that answers from a zone, as a resolver would, or misbehaves as the zone tells it."""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.message import Message
from dns.name import Name
from dns.rcode import Rcode
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from dns.rrset import RRset

from exporter.demo.listener import LOOPBACK, Listener, streams
from exporter.demo.zone import (
    HANG_UP,
    TTL_SECONDS,
    DnsFault,
    DnsReply,
    Misbehaviour,
    Transport,
    Zone,
    start_of_authority,
)

_QUESTIONS_KEPT = 10_000  # a demo may run for weeks
_PORT_ATTEMPTS = 20  # a port that is free for UDP may be taken for TCP
_UDP_BYTES = 512  # without EDNS (RFC 1035, 4.2.1)
_TCP_BYTES = 65535
_MAX_AT_ONCE = 100  # queries that are answered in one turn of the event loop, in which asyncio itself reads one
_RECEIVE_BUFFER_BYTES = 4 << 20  # a thousand probes may begin at once; the kernel cuts it to what it allows


@dataclass(frozen=True, slots=True)
class DnsQuestion:
    name: str
    """Lower case, no dot at the end."""
    kind: str
    over: Transport


class DnsServer(asyncio.DatagramProtocol):
    """`zone` may be changed at any time; `questions` are the latest to arrive."""

    def __init__(self) -> None:
        self.zone = Zone()
        self.questions: deque[DnsQuestion] = deque(maxlen=_QUESTIONS_KEPT)
        self._listener = Listener(self._converse)

    @property
    def address(self) -> str:
        """One port for TCP and UDP: resolvers are configured with one."""
        return self._listener.address

    async def start(self) -> None:
        """After a stop it takes the same port again, if nobody else has it by then."""
        loop = asyncio.get_running_loop()
        for _ in range(_PORT_ATTEMPTS):
            datagrams = _udp_socket(self._listener.port)
            self._listener.port = datagrams.getsockname()[1]
            try:
                await self._listener.start()
            except OSError:  # somebody else has this port for TCP
                datagrams.close()
                self._listener.port = 0
            else:
                self._socket = datagrams
                await loop.create_datagram_endpoint(lambda: self, sock=datagrams)
                return
        raise OSError(f"none of {_PORT_ATTEMPTS} ports on {LOOPBACK} is free for both UDP and TCP: free some ports")

    async def stop(self) -> None:
        await self._listener.stop()
        self._datagrams.abort()
        await asyncio.sleep(0)  # the transport closes its socket in the next turn of the loop

    def connection_made(self, transport: Any) -> None:
        self._datagrams: asyncio.DatagramTransport = transport

    def datagram_received(self, wire: bytes, client: tuple[Any, ...]) -> None:
        self._respond(wire, client)
        with suppress(BlockingIOError):
            for _ in range(_MAX_AT_ONCE):
                self._respond(*self._socket.recvfrom(_TCP_BYTES))

    def _respond(self, wire: bytes, client: tuple[Any, ...]) -> None:
        for answer in _each(self.answer(wire, Transport.UDP)):
            self._datagrams.sendto(answer, client)

    async def _converse(self, accepted: socket.socket) -> None:
        """Messages over TCP bear their length in front (RFC 1035, 4.2.2)."""
        async with streams(accepted) as (reader, writer):
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                answer = self.answer(await reader.readexactly(length), Transport.TCP)
                if answer == HANG_UP:
                    return
                for message in _each(answer):
                    writer.write(len(message).to_bytes(2, "big") + message)

    def answer(self, wire: bytes, over: Transport) -> DnsReply:
        try:
            query = dns.message.from_wire(wire)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError):
            return None  # a client that does not speak DNS
        kind = dns.rdatatype.to_text(question.rdtype)
        self.questions.append(DnsQuestion(question.name.to_text(omit_final_dot=True).lower(), kind, over))
        reply, fault = _reply_from(self.zone, query)
        if fault:
            misbehave = FAULTS[fault] if isinstance(fault, DnsFault) else fault
            return misbehave(reply, over)
        return reply.to_wire(max_size=_room(query, over), prefer_truncation=True)


def _udp_socket(port: int) -> socket.socket:
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    datagrams.bind((LOOPBACK, port))
    return datagrams


def _each(answer: DnsReply) -> Sequence[bytes]:
    if isinstance(answer, bytes):
        return (answer,)
    return answer or ()


def _room(query: Message, over: Transport) -> int:
    return _TCP_BYTES if over is Transport.TCP else max(query.payload, _UDP_BYTES)


def _reply_from(zone: Zone, query: Message) -> tuple[Message, DnsFault | Misbehaviour | None]:
    """What the zone holds, with the aliases on the way; the fault is still to be applied."""
    reply = dns.message.make_response(query, recursion_available=True)
    question = query.question[0]
    aliases, name = zone.aliases(question.name, question.rdtype)
    reply.answer.extend(aliases)
    if records := zone.records(name, question.rdtype):
        reply.answer.append(records)
    else:
        reply.set_rcode(Rcode.NOERROR if zone.exists(name) else Rcode.NXDOMAIN)
        reply.authority.append(start_of_authority(name))
    return reply, zone.fault([question.name, *(alias[0].target for alias in aliases)], question.rdtype)


# ---------------------------------------------------------------- faults: what becomes of a good reply


def _emptied(reply: Message) -> Message:
    reply.answer.clear()
    reply.authority.clear()
    return reply


def fail_with(rcode: Rcode) -> Misbehaviour:
    def fail(reply: Message, _: Transport) -> DnsReply:
        _emptied(reply).set_rcode(rcode)
        return reply.to_wire()

    return fail


def _drop(*_: object) -> DnsReply:
    return None


def _truncate(reply: Message, over: Transport) -> DnsReply:
    if over is Transport.UDP:
        _emptied(reply).flags |= dns.flags.TC
    return reply.to_wire()


def _truncate_and_hang_up(reply: Message, over: Transport) -> DnsReply:
    return HANG_UP if over is Transport.TCP else _truncate(reply, over)


def _garbage(reply: Message, _: Transport) -> DnsReply:
    """The right id, so that nobody can take it for somebody else's answer, and then nonsense."""
    return reply.id.to_bytes(2, "big") + b"\xff" * 30


def _wrong_id(reply: Message, _: Transport) -> DnsReply:
    reply.id ^= 0xFFFF
    return reply.to_wire()


def _wrong_question(reply: Message, _: Transport) -> DnsReply:
    asked = reply.question[0]
    reply.question[0] = RRset(dns.name.from_text("not-what-you-asked.test"), IN, asked.rdtype)
    return reply.to_wire()


def _alias_loop(reply: Message, _: Transport) -> DnsReply:
    name = _emptied(reply).question[0].name
    other = dns.name.from_text("loop", name)
    reply.set_rcode(Rcode.NOERROR)
    reply.answer.extend([_alias(name, other), _alias(other, name)])
    return reply.to_wire()


def _alias(owner: Name, target: Name) -> RRset:
    return dns.rrset.from_text(owner, TTL_SECONDS, IN, RdataType.CNAME, target.to_text())


FAULTS: dict[DnsFault, Misbehaviour] = {
    DnsFault.SERVFAIL: fail_with(Rcode.SERVFAIL),
    DnsFault.REFUSED: fail_with(Rcode.REFUSED),
    DnsFault.DROP: _drop,
    DnsFault.TRUNCATE: _truncate,
    DnsFault.TRUNCATE_AND_HANG_UP: _truncate_and_hang_up,
    DnsFault.GARBAGE: _garbage,
    DnsFault.WRONG_ID: _wrong_id,
    DnsFault.WRONG_QUESTION: _wrong_question,
    DnsFault.ALIAS_LOOP: _alias_loop,
}
