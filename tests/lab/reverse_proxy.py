"""What stands between peers and a homeserver, and what it does to what passes. One more fault is one more member, and
its line in FAULTS.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import unquote

from exporter.demo.https_server import HTML, NOT_FOUND, Request, Response, Site
from exporter.model.names import parse

_NGINX_BODY_BYTES = 1 << 20  # nginx's default for client_max_body_size
WELCOME = Response(200, (HTML,), b"<!doctype html><title>Welcome</title><h1>Welcome</h1>")

Homeserver: TypeAlias = Callable[[Request], Awaitable[Response]]


class ProxyFault(StrEnum):
    DECODES_PATHS = "decodes_paths"
    """As nginx does where `proxy_pass` names a path."""
    LIMITS_BODIES = "limits_bodies"
    READS_ONLY = "reads_only"
    """Only GET and HEAD get through, as with `limit_except GET` of nginx."""
    CATCHES_ALL = "catches_all"
    """A page of its own stands in for whatever the homeserver does not know."""
    HOST_WITHOUT_PORT_ONLY = "host_without_port_only"
    """The homeserver is found by a `Host` that bears no port, and by no other."""
    LOSES_CONTENT_TYPE = "loses_content_type"


def in_front_of(homeserver: Homeserver, fault: ProxyFault | None) -> Site:
    """The homeserver, as it is seen through the proxy; without a fault, the proxy is not seen."""
    return FAULTS[fault](homeserver) if fault else Site(otherwise=homeserver)


def _decodes_paths(homeserver: Homeserver) -> Site:
    async def answer(request: Request) -> Response:
        return await homeserver(replace(request, target=unquote(request.target)))

    return Site(otherwise=answer)


def _limits_bodies(homeserver: Homeserver) -> Site:
    return Site(otherwise=homeserver, body_limit=_NGINX_BODY_BYTES)


def _reads_only(homeserver: Homeserver) -> Site:
    return Site(otherwise=homeserver, methods=frozenset({"GET", "HEAD"}))


def _catches_all(homeserver: Homeserver) -> Site:
    async def answer(request: Request) -> Response:
        answer = await homeserver(request)
        return WELCOME if answer.status == 404 else answer

    return Site(otherwise=answer)


def _host_without_port_only(homeserver: Homeserver) -> Site:
    async def answer(request: Request) -> Response:
        return NOT_FOUND if parse(request.host).port else await homeserver(request)

    return Site(otherwise=answer)


def _loses_content_type(homeserver: Homeserver) -> Site:
    async def answer(request: Request) -> Response:
        return replace(await homeserver(request), headers=(("Content-Type", "text/plain; charset=utf-8"),))

    return Site(otherwise=answer)


FAULTS: dict[ProxyFault, Callable[[Homeserver], Site]] = {
    ProxyFault.DECODES_PATHS: _decodes_paths,
    ProxyFault.LIMITS_BODIES: _limits_bodies,
    ProxyFault.READS_ONLY: _reads_only,
    ProxyFault.CATCHES_ALL: _catches_all,
    ProxyFault.HOST_WITHOUT_PORT_ONLY: _host_without_port_only,
    ProxyFault.LOSES_CONTENT_TYPE: _loses_content_type,
}
