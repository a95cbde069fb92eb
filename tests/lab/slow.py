"""Homeservers that take a while to respond."""

import asyncio
from collections.abc import Callable

from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import Request, RequestHandler, Response, Site
from exporter.demo.servers import Proxy

FOR_HOURS = 4 * 3600.0  # seconds: no client waits so long


def slow_down(seconds: float) -> Proxy:
    return lambda homeserver: Site(fallback=delayed(homeserver, seconds))


def held_back(homeserver: Homeserver, until: Callable[[str], asyncio.Event]) -> RequestHandler:
    """Return what responds like the homeserver, after the event that belongs to the path."""

    async def respond(request: Request) -> Response:
        await until(request.path).wait()
        return await homeserver.respond(request)

    return respond


def delayed(homeserver: Homeserver, seconds: float) -> RequestHandler:
    """Return what responds like the homeserver, that much later."""

    async def respond(request: Request) -> Response:
        await asyncio.sleep(seconds)
        return await homeserver.respond(request)

    return respond
