"""uvicorn, on the event loop that is there, with bounds on all that a client may do."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEADER_BYTES = 16 * 1024
MAX_CONNECTIONS = 64  # a handful of Prometheus servers and people; the next one is answered 503
KEEP_ALIVE_SECONDS = 75  # longer than most scrape intervals, so that Prometheus keeps its connection
ANSWER_SECONDS = 90  # from one answer to the next; a scrape of 100 MB may take half of it on a slow line
CLIENT_CERTIFICATE = "client_certificate"  # in the state of a request: whether a good one came with the connection
GRACE_SECONDS = 2.0  # for answers under way when the exporter stops


class BoundedConnection(H11Protocol):
    """Ends a connection that has not got its next answer in time: one that sends slowly, reads slowly, or is idle."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        shown = bool(transport.get_extra_info("peercert"))
        self.app_state = {**self.app_state, CLIENT_CERTIFICATE: shown}
        self._begin_anew()

    def on_response_complete(self) -> None:
        self._begin_anew()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _begin_anew(self) -> None:
        self._forget()
        self._end = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def _forget(self) -> None:
        if self._end:
            self._end.cancel()


class UvicornServer(uvicorn.Server):
    """Leaves the signals to the command line."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """Answers on all sockets within `async with`, and closes them at the end."""

    def __init__(self, site: ASGIApp, sockets: list[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        self._sockets = sockets
        self._server = UvicornServer(
            uvicorn.Config(
                site,
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                log_config=None,
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                ssl_context_factory=(lambda *_: tls) if tls else None,
            )
        )

    async def __aenter__(self) -> Self:
        self.serving = asyncio.create_task(self._server.serve(self._sockets))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await asyncio.wait({self.serving}, timeout=GRACE_SECONDS)
        for connection in list(self._server.server_state.connections):
            assert isinstance(connection, BoundedConnection)
            connection.transport.abort()
        await self.serving
