"""One client's connection: what it may send, how long it may take, and when it must give way to others."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.web.headers import SAFE

MAX_HEADER_BYTES = 16 * 1024
_PIECE_BYTES = 4 * 1024  # of what has come in, looked at one by one: what comes in one go is no exception to the bound
MAX_CONNECTIONS = 64  # a handful of Prometheus servers and people
ANSWER_SECONDS = 90  # from one answer to the next; a scrape of 100 MB may take half of it on a slow line
CLIENT_CERTIFICATE = "client_certificate"  # in the state of a request: whether a good one came with the connection
CONNECTION = "connection"  # in the state of a request: the one that it came over

_VERSIONS = (b"1.0", b"1.1")
_NOT_HTTP = b"This is no HTTP/1.1 request.\n"
_NOT_HTTP_HEADERS = {**SAFE, "Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(_NOT_HTTP))}


class _StrictH11Connection(h11.Connection):
    """Refuses what h11 still makes sense of, but a proxy in between may read in another way."""

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            if event.http_version not in _VERSIONS:
                raise h11.RemoteProtocolError("another version of HTTP")
            if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
                raise h11.RemoteProtocolError("two lengths: request smuggling (RFC 9112, section 6.1)")
        return event


class BoundedConnection(H11Protocol):
    """Ends where its client has not got its next answer in time: it sends slowly, reads slowly, or is idle.

    `on_accept` is told the descriptor when the client may begin to speak.
    """

    _end: asyncio.TimerHandle | None = None
    answering: asyncio.Task[object] | None = None
    """Works on an answer for this client, and for nobody else."""
    dropped = False

    def __init__(self, *arguments: Any, on_accept: Callable[[int], None], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn = _StrictH11Connection(h11.SERVER, MAX_HEADER_BYTES)
        self._on_accept = on_accept

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self._on_accept(transport.get_extra_info("socket").fileno())
        shown = bool(transport.get_extra_info("peercert"))
        self.app_state = {**self.app_state, CLIENT_CERTIFICATE: shown, CONNECTION: self}
        self._begin_anew()
        _make_room(self.connections - {self})  # type: ignore[arg-type] # all are of this class

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE_BYTES):
            if not self.transport.is_closing():
                super().data_received(data[start : start + _PIECE_BYTES])

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - as in uvicorn
        """Only where no answer has begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = h11.Response(status_code=400, headers=[*_NOT_HTTP_HEADERS.items(), ("Connection", "close")])
            for event in (answer, h11.Data(data=_NOT_HTTP), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self._give_up()
        self.transport.close()

    def on_response_complete(self) -> None:
        self._begin_anew()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        self._give_up()
        super().connection_lost(exc)

    # ------------------------------------------------------------ giving way

    @property
    def loss(self) -> int:
        """What ends with it: 0 where nothing is asked, 1 where an answer is not read, 2 where one is due."""
        if self.cycle is None or self.cycle.response_complete:
            return 0
        return 1 if self.flow.write_paused else 2

    @property
    def since(self) -> float:
        """When its time for the next answer began, on the clock of the event loop."""
        return self._end.when() if self._end else 0.0

    def drop(self) -> None:
        """At once, whatever it has still to read."""
        self.dropped = True
        self.transport.abort()

    def _begin_anew(self) -> None:
        self._forget()
        self._end = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def _forget(self) -> None:
        if self._end:
            self._end.cancel()

    def _give_up(self) -> None:
        """Nobody will read the answer."""
        if self.cycle:
            self.cycle.disconnected = True
        if self.answering:
            self.answering.cancel()


def _make_room(others: Collection[BoundedConnection]) -> None:
    """One that comes is let in, and where there are too many another one ends: those of the busiest address first."""
    if len(others) < MAX_CONNECTIONS:
        return
    crowd = Counter(_client_address(connection) for connection in others)
    staying = [connection for connection in others if not connection.dropped]
    least = min(staying, key=lambda one: (one.loss, -crowd[_client_address(one)], one.since), default=None)
    if least:
        least.drop()


def _client_address(connection: BoundedConnection) -> str:
    """Empty where the client left before anybody asked for it."""
    return connection.client[0] if connection.client else ""
