"""Runs uvicorn in the current event loop, with limits for everything that a client may do."""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import uvicorn
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.runtime.lru import LruCache
from exporter.web.acceptor import Acceptor
from exporter.web.connection import CONNECTION, BoundedConnection
from exporter.web.headers import SECURITY_HEADERS, with_headers
from exporter.web.listeners import ListeningSocket

_KEEP_ALIVE_SECONDS = 75  # longer than most scrape intervals, so that Prometheus keeps its connection
_MAX_TRUSTED = 64  # networks of clients with a right password: as many as there may be connections
GRACE_SECONDS = 2.0  # for responses in progress when the exporter stops


class _UvicornServer(uvicorn.Server):
    """A server that leaves signals to the command line, and accepts connections within limits."""

    async def startup(self, sockets: Any = None) -> None:
        """Called by uvicorn."""
        protocol: Any = self.config.http_protocol_class
        make_protocol = partial(
            protocol, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        self.servers: Any = [Acceptor(each, make_protocol, self.config.ssl) for each in sockets]
        self.started = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """Serves the site on all sockets within `async with`, and closes them at its end."""

    def __init__(self, site: ASGIApp, sockets: Sequence[ListeningSocket], tls: ssl.SSLContext | None = None) -> None:
        self._sockets = sockets
        self._server = _UvicornServer(
            uvicorn.Config(
                cancel_on_disconnect(ServerErrorMiddleware(site)),
                http=self._connection_factory(),
                ws="none",
                lifespan="off",
                log_config=None,
                server_header=False,
                proxy_headers=False,
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

    def _connection_factory(self) -> Any:
        """Return what uvicorn calls in place of a class."""
        return partial(BoundedConnection, on_accept=self._on_accept, trusted=LruCache(_MAX_TRUSTED))

    def _on_accept(self, descriptor: int) -> None:
        for listener in self._sockets:
            listener.pending.pop(descriptor, None)


def cancel_on_disconnect(site: ASGIApp) -> ASGIApp:
    """Return an ASGI application that stops working on a response when its client disconnects."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        connection: BoundedConnection = scope["state"][CONNECTION]
        connection.response_task = asyncio.current_task()
        try:
            await site(scope, receive, with_headers(SECURITY_HEADERS, send))
        except asyncio.CancelledError:
            if not connection.cycle.disconnected:
                raise
        finally:
            connection.response_task = None

    return respond
