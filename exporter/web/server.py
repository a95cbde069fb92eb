"""uvicorn, on the event loop that is there, with bounds on all that a client may do."""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import uvicorn
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.connection import CONNECTION, BoundedConnection
from exporter.web.headers import SAFE, with_headers
from exporter.web.listeners import ListeningSocket

_KEEP_ALIVE_SECONDS = 75  # longer than most scrape intervals, so that Prometheus keeps its connection
BACKLOG = 128  # connections that the kernel holds, and that are let in in one go
GRACE_SECONDS = 2.0  # for answers under way when the exporter stops


class _UvicornServer(uvicorn.Server):
    """Leaves the signals to the command line."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """Answers at all sockets within `async with`, and closes them at the end."""

    def __init__(self, site: ASGIApp, sockets: Sequence[ListeningSocket], tls: ssl.SSLContext | None = None) -> None:
        self._sockets = sockets
        self._server = _UvicornServer(
            uvicorn.Config(
                cancel_when_client_leaves(ServerErrorMiddleware(site)),
                http=self._connection(),
                ws="none",
                lifespan="off",
                log_config=None,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                ssl_context_factory=(lambda *_: tls) if tls else None,
            )
        )

    async def __aenter__(self) -> Self:
        self.serving = asyncio.create_task(self._server.serve(list(self._sockets)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await asyncio.wait({self.serving}, timeout=GRACE_SECONDS)
        for connection in list(self._server.server_state.connections):
            assert isinstance(connection, BoundedConnection)
            connection.transport.abort()
        await self.serving

    def _connection(self) -> Any:
        """As uvicorn makes them, in place of a class."""
        return partial(BoundedConnection, on_accept=self._on_accept)

    def _on_accept(self, descriptor: int) -> None:
        for listener in self._sockets:
            listener.waiting.pop(descriptor, None)


def cancel_when_client_leaves(site: ASGIApp) -> ASGIApp:
    """Works on an answer for as long as there is somebody to read it."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        connection: BoundedConnection = scope["state"][CONNECTION]
        connection.answering = asyncio.current_task()
        try:
            await site(scope, receive, with_headers(SAFE, send))
        except asyncio.CancelledError:
            if not connection.cycle.disconnected:
                raise
        finally:
            connection.answering = None

    return answer
