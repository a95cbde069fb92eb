"""One question to one resolver: over UDP, and over TCP where the answer does not fit.

Every message has a socket of its own, so that the kernel chooses a random port for it. The socket is connected, so that
the kernel drops what comes from elsewhere, and tells where nobody listens.
"""

import asyncio
import socket
from contextlib import closing
from typing import Final, TypeAlias

import dns.rcode
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from exporter.internet.dns_message import (
    ROOT,
    WITH_ANSWER,
    Answer,
    MalformedAnswerError,
    Query,
    StrayMessageError,
    read_answer,
)
from exporter.model.addresses import IPAddress
from exporter.probing.network import DnsFailureError
from exporter.probing.problems import RESOURCE_ERRNOS

_MAX_DATAGRAM_BYTES = 65535  # some send more than they were asked to
_MAX_UNREAD = 64  # messages that are still read when the time is up: a flood may not hold the event loop
_LENGTH_BYTES = 2  # in front of a message over TCP (RFC 1035, 4.2.2)
_EDNS_REFUSALS: Final = (Rcode.FORMERR, Rcode.NOTIMP)  # by what is older than it (RFC 6891, section 7)

IPEndpoint: TypeAlias = tuple[IPAddress, int]


async def exchange(place: IPEndpoint, name: bytes, kind: RdataType, until: float) -> Answer:
    """What there is, or that there is nothing. `until` is a time of the event loop's clock.

    Raises DnsFailureError for any other answer; OSError, which TimeoutError is too, where none comes.
    """
    answer = await _over_udp(place, Query(name, kind), until)
    if answer.rcode in _EDNS_REFUSALS:
        answer = await _over_udp(place, Query(name, kind, edns=False), until)
    if answer.truncated:
        answer = await over_tcp(place, Query(name, kind), until)
    if answer.rcode not in WITH_ANSWER:
        raise DnsFailureError(dns.rcode.to_text(Rcode.make(answer.rcode)))
    return answer


async def responds(place: IPEndpoint, until: float) -> bool:
    """It need not know the root, which a closed federation does without, nor ask anybody, who may be down: whatever it
    says, it is there. Where we lack a socket to ask with, it is given the benefit of the doubt.
    """
    try:
        await _over_udp(place, Query(ROOT, RdataType.A, recursion_desired=False), until)
    except DnsFailureError:
        return True
    except OSError as error:
        return error.errno in RESOURCE_ERRNOS
    return True


async def _over_udp(place: IPEndpoint, query: Query, until: float) -> Answer:
    loop = asyncio.get_running_loop()
    with closing(new_socket(place, socket.SOCK_DGRAM)) as sock:
        sock.connect((str(place[0]), place[1]))
        sock.send(query.wire)
        mailbox = PendingQuery(sock, query, loop.create_future())
        loop.add_reader(sock.fileno(), mailbox.receive)
        timer = loop.call_at(until, mailbox.give_up)
        try:
            return await mailbox.answer
        finally:
            timer.cancel()
            loop.remove_reader(sock.fileno())


class PendingQuery:
    """Where the answer to one question arrives, and whatever else anybody sends there: one message for each turn of
    the event loop, so that no flood of them holds it.
    """

    def __init__(self, sock: socket.socket, query: Query, answer: "asyncio.Future[Answer]") -> None:
        self.answer = answer
        self._sock, self._query = sock, query
        self._nonsense: MalformedAnswerError | None = None

    def receive(self) -> None:
        if not self.answer.done():
            self._read_one()

    def _read_one(self) -> bool:
        """Whether there was a message to read."""
        try:
            self.answer.set_result(read_answer(self._sock.recv(_MAX_DATAGRAM_BYTES), self._query))
        except BlockingIOError:
            return False
        except StrayMessageError:
            pass
        except MalformedAnswerError as error:
            self._nonsense = error
        except Exception as error:  # noqa: BLE001 - the event loop would only log it
            self.answer.set_exception(error)
        return True

    def give_up(self) -> None:
        """Report a timeout, unless the answer is already there.

        After a stall of the process, timers may run before the event loop has looked at the sockets: then an answer
        that came in time is still in the kernel. Nonsense is reported only if nothing better came after it.
        """
        for _ in range(_MAX_UNREAD):
            if self.answer.done() or not self._read_one():
                break
        if not self.answer.done():
            self.answer.set_exception(self._nonsense or TimeoutError())


async def over_tcp(place: IPEndpoint, query: Query, until: float) -> Answer:
    """Nobody else can speak here: a stray message is as bad as nonsense."""
    loop = asyncio.get_running_loop()
    with closing(new_socket(place, socket.SOCK_STREAM)) as sock:
        async with asyncio.timeout_at(until):
            await loop.sock_connect(sock, (str(place[0]), place[1]))
            await loop.sock_sendall(sock, len(query.wire).to_bytes(_LENGTH_BYTES, "big") + query.wire)
            length = int.from_bytes(await _receive(sock, _LENGTH_BYTES), "big")
            wire = await _receive(sock, length)
    try:
        answer = read_answer(wire, query)
    except StrayMessageError as error:
        raise DnsFailureError(f"{error}, over TCP") from error
    if answer.truncated:
        raise DnsFailureError("its answer is truncated even over TCP")
    return answer


async def _receive(sock: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        piece = await asyncio.get_running_loop().sock_recv(sock, size - len(content))
        if not piece:
            raise DnsFailureError("it closed the connection before its answer was whole")
        content += piece
    return content


def new_socket(place: IPEndpoint, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if place[0].version == 6 else socket.AF_INET
    return socket.socket(family, kind | socket.SOCK_NONBLOCK)
