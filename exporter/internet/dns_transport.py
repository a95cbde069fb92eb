"""One lookup at one DNS server: over UDP, and over TCP where the answer does not fit, or over TCP alone.

Every query has a socket of its own, so that the kernel chooses a random port for it. The socket is connected, so that
the kernel drops datagrams from other addresses, and reports when nothing listens at the server's port.

A server is an IP address and a port. A deadline is a time on the event loop's clock, in seconds.
"""

import asyncio
import socket
from contextlib import closing, suppress
from typing import Final

import dns.rcode
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from exporter.internet.dns_message import (
    CONCLUSIVE_RCODES,
    ROOT,
    Answer,
    MalformedAnswerError,
    MismatchedAnswerError,
    Query,
    read_answer,
)
from exporter.internet.tcp import IPEndpoint, connect
from exporter.probing.network import DnsFailureError, NoFreePortError
from exporter.probing.problems import missing_resource

_RESEND_SECONDS = 0.5  # until a query over UDP is sent once more: packets get lost
_MAX_DATAGRAM_BYTES = 65535  # some servers send more than EDNS allows them to
_MAX_UNREAD = 64  # datagrams that are still read at the deadline: a flood must not stall the event loop
_LENGTH_BYTES = 2  # in front of a message over TCP (RFC 1035, section 4.2.2)
_EDNS_REFUSALS: Final = (Rcode.FORMERR, Rcode.NOTIMP)  # from servers that are older than EDNS (RFC 6891, section 7)


class _HungUpError(ConnectionError):
    """The server closed the connection before its answer was complete."""


async def exchange(
    server: IPEndpoint, name: bytes, rdtype: RdataType, deadline: float, *, over_tcp: bool = False
) -> Answer:
    """Return the answer, which has records or says that there are none.

    Raises DnsFailureError for any other answer, and OSError where none comes; TimeoutError is an OSError.
    """
    query_server = query_over_tcp if over_tcp else _query_over_udp
    answer = await query_server(server, Query(name, rdtype), deadline)
    if answer.rcode in _EDNS_REFUSALS:
        answer = await query_server(server, Query(name, rdtype, edns=False), deadline)
    if answer.truncated:
        answer = await _fetch_truncated(server, name, rdtype, deadline)
    if answer.rcode == Rcode.NOTIMP and rdtype is RdataType.SRV:  # as homeservers read it: there is no record
        return Answer(Rcode.NOERROR, canonical_name=name)
    if answer.rcode not in CONCLUSIVE_RCODES:
        raise DnsFailureError(dns.rcode.to_text(Rcode.make(answer.rcode)))
    return answer


async def _fetch_truncated(server: IPEndpoint, name: bytes, rdtype: RdataType, deadline: float) -> Answer:
    try:
        return await query_over_tcp(server, Query(name, rdtype), deadline)
    except _HungUpError as error:
        raise DnsFailureError(str(error)) from error


async def responds(server: IPEndpoint, deadline: float, *, over_tcp: bool = False) -> bool:
    """Whether the server sends any answer to a query for the root, an error included.

    Recursion is not desired: the server need not know the root, as in a closed federation, and need not query servers
    that may be down. If this process has no socket left for the query, the server is assumed to respond.
    """
    query_server = query_over_tcp if over_tcp else _query_over_udp
    try:
        await query_server(server, Query(ROOT, RdataType.A, recursion_desired=False), deadline)
    except DnsFailureError:
        return True
    except OSError as error:
        return missing_resource(error) is not None
    return True


async def _query_over_udp(server: IPEndpoint, query: Query, deadline: float) -> Answer:
    loop = asyncio.get_running_loop()
    with closing(new_socket(server, socket.SOCK_DGRAM)) as sock:
        _connect_udp(sock, server)
        sock.send(query.wire)
        pending = PendingQuery(sock, query, loop.create_future(), deadline)
        loop.add_reader(sock.fileno(), pending.on_readable)
        try:
            return await pending.answer
        finally:
            pending.stop_waiting()
            loop.remove_reader(sock.fileno())


def _connect_udp(sock: socket.socket, server: IPEndpoint) -> None:
    try:
        sock.connect((str(server[0]), server[1]))
    except BlockingIOError as error:  # a connection over UDP never blocks: this is how Linux says it
        raise NoFreePortError(error.errno, error.strerror) from error


class PendingQuery:
    """A query over UDP that has not been answered, and the datagrams that arrive at its socket.

    A datagram is one of these:

    - An answer to the query, which ends it.
    - An answer to the query that contradicts itself, or an error of the socket, which end it too.
    - A malformed answer: it is kept, and ends the query at the deadline if nothing better has come until then.
    - A message that does not match the query: it is ignored, as anybody may have sent it.

    Each iteration of the event loop reads one datagram, and the deadline a limited number, so that a flood of them does
    not stall the event loop.
    """

    def __init__(self, sock: socket.socket, query: Query, answer: "asyncio.Future[Answer]", deadline: float) -> None:
        self.answer = answer
        self._sock, self._query = sock, query
        self._deadline = deadline
        loop = answer.get_loop()
        resend_at = loop.time() + _RESEND_SECONDS
        # Not decided when it fires: a timer of uvloop may be a little early, and the deadline would seem to be ahead.
        on_timer = self._on_resend_time if resend_at < deadline else self.on_deadline
        self._timer = loop.call_at(min(resend_at, deadline), on_timer)
        self._malformed: MalformedAnswerError | None = None

    def on_readable(self) -> None:
        if not self.answer.done():
            self._read_datagram()

    def _read_datagram(self) -> bool:
        """Return whether there was a datagram to read."""
        try:
            self.answer.set_result(read_answer(self._sock.recv(_MAX_DATAGRAM_BYTES), self._query))
        except BlockingIOError:
            return False
        except MismatchedAnswerError:
            pass
        except MalformedAnswerError as error:
            self._malformed = error
        except Exception as error:  # noqa: BLE001 - the event loop would only log it
            self.answer.set_exception(error)
        return True

    def _on_resend_time(self) -> None:
        """Send the query again, and then wait until the deadline."""
        self.resend()
        self._timer = self.answer.get_loop().call_at(self._deadline, self.on_deadline)

    def stop_waiting(self) -> None:
        self._timer.cancel()

    def resend(self) -> None:
        """Send the same message again: its answer counts like one to the first. Errors arrive at the socket."""
        with suppress(OSError):
            self._sock.send(self._query.wire)

    def on_deadline(self) -> None:
        """Report a timeout, unless the answer has arrived.

        After a stall of the process, timers may run before the event loop has looked at the sockets: then an answer
        that came in time is still in the kernel. A malformed answer is reported only if no better one came after it.
        """
        for _ in range(_MAX_UNREAD):
            if self.answer.done() or not self._read_datagram():
                break
        if not self.answer.done():
            self.answer.set_exception(self._malformed or TimeoutError())


async def query_over_tcp(server: IPEndpoint, query: Query, deadline: float) -> Answer:
    """Return the answer to a query over TCP.

    Nobody but the server can send over the connection, so a message that does not match the query is a failure.
    Raises DnsFailureError, or OSError where no answer comes; _HungUpError is an OSError.
    """
    loop = asyncio.get_running_loop()
    with closing(new_socket(server, socket.SOCK_STREAM)) as sock:
        async with asyncio.timeout_at(deadline):
            await connect(sock, server)
            await loop.sock_sendall(sock, len(query.wire).to_bytes(_LENGTH_BYTES, "big") + query.wire)
            length = int.from_bytes(await _receive_exactly(sock, _LENGTH_BYTES), "big")
            wire = await _receive_exactly(sock, length)
    try:
        answer = read_answer(wire, query)
    except MismatchedAnswerError as error:
        raise DnsFailureError(f"{error}, over TCP") from error
    if answer.truncated:
        raise DnsFailureError("its answer is truncated even over TCP")
    return answer


async def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = await asyncio.get_running_loop().sock_recv(sock, size - len(received))
        if not chunk:
            raise _HungUpError("it closed the connection before its answer was complete")
        received += chunk
    return received


def new_socket(server: IPEndpoint, socket_kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if server[0].version == 6 else socket.AF_INET
    return socket.socket(family, socket_kind | socket.SOCK_NONBLOCK)
