"""A DNS server over UDP and TCP that replies from a zone, as a resolver would, or with the faults of the zone."""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.message
import dns.rdatatype
from dns.message import Message
from dns.rcode import Rcode

from exporter.demo.listener import LOOPBACK, Listener, streams
from exporter.demo.zone import HANG_UP, DnsFault, DnsReply, Transport, Zone, start_of_authority

_QUESTIONS_KEPT = 10_000  # a demo may run for weeks
_PORT_ATTEMPTS = 20  # a port that is free for UDP may be in use for TCP
_UDP_BYTES = 512  # without EDNS (RFC 1035, 4.2.1)
_TCP_BYTES = 65535
_MAX_AT_ONCE = 100  # queries in one iteration of the event loop, in which asyncio itself reads only one
_RECEIVE_BUFFER_BYTES = 4 << 20  # for a thousand probes that begin at once; the kernel reduces it to its maximum


@dataclass(frozen=True, slots=True)
class DnsQuestion:
    """A question that was received."""

    name: str
    """In lower case, without the final dot."""
    rdtype: str
    transport: Transport


class DnsServer(asyncio.DatagramProtocol):
    """A DNS server. `zone` may be changed at any time; `questions` are the latest questions received."""

    def __init__(self) -> None:
        self.zone = Zone()
        self.questions: deque[DnsQuestion] = deque(maxlen=_QUESTIONS_KEPT)
        self._listener = Listener(self._serve_tcp)

    @property
    def address(self) -> str:
        """`127.0.0.1:port`, for both TCP and UDP: resolvers are configured with one port."""
        return self._listener.address

    async def start(self) -> None:
        """Listen. After a stop, the server takes the same port again, unless another program has it by then."""
        loop = asyncio.get_running_loop()
        for _ in range(_PORT_ATTEMPTS):
            datagrams = _udp_socket(self._listener.port)
            self._listener.port = datagrams.getsockname()[1]
            try:
                await self._listener.start()
            except OSError:  # another program has this port for TCP
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
        await asyncio.sleep(0)  # the transport closes its socket in the next iteration of the event loop

    def connection_made(self, transport: Any) -> None:
        self._datagrams: asyncio.DatagramTransport = transport

    def datagram_received(self, wire: bytes, client: tuple[Any, ...]) -> None:
        self._send_reply(wire, client)
        with suppress(BlockingIOError):
            for _ in range(_MAX_AT_ONCE):
                self._send_reply(*self._socket.recvfrom(_TCP_BYTES))

    def _send_reply(self, wire: bytes, client: tuple[Any, ...]) -> None:
        for message in _messages(self.reply(wire, Transport.UDP)):
            self._datagrams.sendto(message, client)

    async def _serve_tcp(self, accepted: socket.socket) -> None:
        """Over TCP, each message follows its length (RFC 1035, 4.2.2)."""
        async with streams(accepted) as (reader, writer):
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                reply = self.reply(await reader.readexactly(length), Transport.TCP)
                if reply == HANG_UP:
                    return
                for message in _messages(reply):
                    writer.write(len(message).to_bytes(2, "big") + message)

    def reply(self, wire: bytes, transport: Transport) -> DnsReply:
        try:
            query = dns.message.from_wire(wire)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError):
            return None  # a client that does not speak DNS
        rdtype = dns.rdatatype.to_text(question.rdtype)
        name = question.name.to_text(omit_final_dot=True).lower()
        self.questions.append(DnsQuestion(name, rdtype, transport))
        reply, fault = _reply_from(self.zone, query)
        if fault:
            return fault(reply, transport)
        return reply.to_wire(max_size=_max_bytes(query, transport), prefer_truncation=True)


def _udp_socket(port: int) -> socket.socket:
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    datagrams.bind((LOOPBACK, port))
    return datagrams


def _messages(reply: DnsReply) -> Sequence[bytes]:
    if isinstance(reply, bytes):
        return (reply,)
    return reply or ()


def _max_bytes(query: Message, transport: Transport) -> int:
    return _TCP_BYTES if transport is Transport.TCP else max(query.payload, _UDP_BYTES)


def _reply_from(zone: Zone, query: Message) -> tuple[Message, DnsFault | None]:
    """Return the records of the zone, with the aliases that lead to them, and the fault that is still to be applied."""
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
