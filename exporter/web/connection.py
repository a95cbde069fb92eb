"""One connection of a client: what it may send, how long it may take, and when it is closed to make room for others."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.runtime.lru import LruCache
from exporter.web.headers import SECURITY_HEADERS

MAX_HEADER_BYTES = 16 * 1024
_PIECE_BYTES = 4 * 1024  # received data is passed on in pieces, so that the limit also applies to what arrives at once
_MAX_BODY_BYTES = 16 * 1024  # of a request; no resource reads one
MAX_CONNECTIONS = 64  # enough for a few Prometheus servers and people
RESPONSE_SECONDS = 90  # from one response to the next; a scrape of 100 MB may take half of it on a slow line
CLIENT_CERTIFICATE = "client_certificate"  # in the state of a request: whether the client presented a valid certificate
CONNECTION = "connection"  # in the state of a request: its BoundedConnection

_IPV6_NETWORK_BITS = 64  # one client has all the addresses of such a network

_VERSIONS = (b"1.0", b"1.1")
_TEXTS = {
    400: b"This is not a valid HTTP/1.1 request.\n",
    413: b"The body of the request is too large.\n",
}


class _StrictH11Connection(h11.Connection):
    """Refuses requests that h11 accepts, but that a proxy in between may interpret differently, and large bodies.

    What a client sends of a body is received whether anybody reads it or not, and would take up memory.
    """

    _body_bytes = 0
    refused_status = 400
    """Of a response to what is refused."""
    is_head = False
    """Whether the latest request is one whose response has no body."""

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.is_head, self._body_bytes = event.method == b"HEAD", 0
            if event.http_version not in _VERSIONS:
                raise h11.RemoteProtocolError("another version of HTTP")
            if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
                raise h11.RemoteProtocolError("two lengths: request smuggling (RFC 9112, section 6.1)")
        if isinstance(event, h11.Data):
            self._body_bytes += len(event.data)
            if self._body_bytes > _MAX_BODY_BYTES:
                self.refused_status = 413
                raise h11.RemoteProtocolError("a large body")
        return event


class BoundedConnection(H11Protocol):
    """A connection that is closed unless its client receives its next response in time.

    This covers clients that send slowly, read slowly or are idle. `on_accept` is called with the file descriptor when
    the client may send its first request, which is after the TLS handshake. `trusted` are the networks of clients that
    have given a right password, on whatever connection.
    """

    conn: _StrictH11Connection
    _timer: asyncio.TimerHandle | None = None
    response_task: asyncio.Task[object] | None = None
    """The task that produces a response for this client only."""
    dropped = False
    verified = False
    """Whether its client has given a right password on this connection."""

    def __init__(
        self, *arguments: Any, on_accept: Callable[[int], None], trusted: LruCache[str, bool], **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.conn = _StrictH11Connection(h11.SERVER, MAX_HEADER_BYTES)
        self._on_accept = on_accept
        self._trusted = trusted

    def __repr__(self) -> str:
        state = ("idle", "response not read", *["response pending"] * 2)[self.closing_cost]
        return f"<{type(self).__name__} {self.client_network or 'unknown'}: {'dropped' if self.dropped else state}>"

    @property
    def client_network(self) -> str:
        return client_network(self.client)

    @property
    def is_trusted(self) -> bool:
        """Whether a client in its network has given a right password lately."""
        return bool(self._trusted.get(self.client_network))

    def verify(self) -> None:
        """Say that the client has given a right password."""
        self.verified = True
        self._trusted.put(self.client_network, True)  # noqa: FBT003 - the value of an entry

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self._on_accept(transport.get_extra_info("socket").fileno())
        has_certificate = bool(transport.get_extra_info("peercert"))
        self.app_state = {**self.app_state, CLIENT_CERTIFICATE: has_certificate, CONNECTION: self}
        self._restart_timer()
        _make_room(self.connections - {self})  # type: ignore[arg-type] # all are of this class

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE_BYTES):
            if not self.transport.is_closing():
                super().data_received(data[start : start + _PIECE_BYTES])

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - as in uvicorn
        """Close the connection, and say why first unless another response has begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = self.conn.refused_status
            text = _TEXTS[status]
            headers = {
                **SECURITY_HEADERS,
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Length": str(len(text)),
                "Connection": "close",
            }
            response = h11.Response(status_code=status, headers=[*headers.items()])
            for event in (response, h11.Data(data=b"" if self.conn.is_head else text), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self._cancel_response()
        self.transport.close()

    def on_response_complete(self) -> None:
        self._restart_timer()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        self._cancel_response()
        super().connection_lost(exc)

    # ------------------------------------------------------------ making room

    @property
    def closing_cost(self) -> int:
        """How much is lost if the connection is closed. There are four cases:

        - 0: the client is not waiting for a response.
        - 1: the client has requested a response, and does not read it.
        - 2: the client is waiting for a response, or reading it.
        - 3: so is one that has given a right password.
        """
        if self.cycle is None or self.cycle.response_complete:
            return 0
        if self.flow.write_paused:
            return 1
        return 3 if self.verified else 2

    @property
    def deadline(self) -> float:
        """The time of the event loop at which the connection is closed unless a response is complete by then."""
        return self._timer.when() if self._timer else 0.0

    def drop(self) -> None:
        """Close the connection immediately, even if its client has not read everything that was sent."""
        self.dropped = True
        self.transport.abort()

    def _restart_timer(self) -> None:
        self._cancel_timer()
        self._timer = self.loop.call_later(RESPONSE_SECONDS, self.transport.abort)

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _cancel_response(self) -> None:
        """Stop working on a response that nobody will read."""
        if self.cycle:
            self.cycle.disconnected = True
        if self.response_task:
            self.response_task.cancel()


def _make_room(others: Collection[BoundedConnection]) -> None:
    """Close one of the other connections if there are too many, so that a new one is always accepted.

    The connection that is closed is the first one in this order:

    1. connections from networks in which nobody has given a right password before the others,
    2. among these, connections that are cheap to close before those that are expensive (see `closing_cost`),
    3. among these, the connections of the client network that has the most,
    4. among these, the connection that has waited longest.
    """
    if len(others) < MAX_CONNECTIONS:
        return
    by_network = Counter(connection.client_network for connection in others)
    remaining = [connection for connection in others if not connection.dropped]
    first = min(
        remaining,
        key=lambda each: (each.is_trusted, each.closing_cost, -by_network[each.client_network], each.deadline),
        default=None,
    )
    if first:
        first.drop()


def client_network(client: tuple[str, int] | None) -> str:
    """Return what one client has: an IPv4 address, or an IPv6 network of 64 bits. Empty for a client on
    this machine that has none, as over a Unix socket.
    """
    if client is None:
        return ""
    host, _ = client
    ip = ip_address(host)
    if isinstance(ip, IPv4Address):
        return host
    return str(ip.ipv4_mapped or ip_network((ip, _IPV6_NETWORK_BITS), strict=False))
