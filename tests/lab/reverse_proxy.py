"""Reverse proxies between peers and a homeserver, each with one fault that changes what passes through."""

from dataclasses import replace
from urllib.parse import unquote

from exporter.demo.homeserver import KEYS, VERSION, Homeserver
from exporter.demo.https_server import HTML, NOT_FOUND, WELCOME, Request, Response, Site
from exporter.model.names import parse

_NGINX_BODY_BYTES = 1 << 20  # nginx's default for client_max_body_size
FORBIDDEN = Response(403, (HTML,), b"<!doctype html><title>Forbidden</title><h1>Forbidden</h1>")
_BAD_REQUEST = Response(400, (HTML,), b"<!doctype html><title>Bad Request</title><h1>Bad Request</h1>")
_TOO_LARGE = Response(413, (HTML,), b"<!doctype html><title>Content Too Large</title><h1>Content Too Large</h1>")


def decode_paths(homeserver: Homeserver) -> Site:
    """As nginx does where `proxy_pass` names a path."""

    async def respond(request: Request) -> Response:
        return await homeserver.respond(replace(request, target=unquote(request.target)))

    return Site(fallback=respond)


def refuse_encoded_slashes(homeserver: Homeserver) -> Site:
    """As Traefik does by default since version 3.6.4, and Envoy and firewalls where they are told to."""

    async def respond(request: Request) -> Response:
        return _BAD_REQUEST if "%2f" in request.path.lower() else await homeserver.respond(request)

    return Site(fallback=respond)


def forward_version_and_keys_only(homeserver: Homeserver) -> Site:
    """As where somebody has added a `location` for each path that a test asks for."""

    async def respond(request: Request) -> Response:
        return await homeserver.respond(request) if request.path in (VERSION, KEYS) else NOT_FOUND

    return Site(fallback=respond)


def forward_version_1_only(homeserver: Homeserver) -> Site:
    """As where somebody has written `location /_matrix/federation/v1`: lookups work, and joins do not."""

    async def respond(request: Request) -> Response:
        return NOT_FOUND if request.path.startswith("/_matrix/federation/v2") else await homeserver.respond(request)

    return Site(fallback=respond)


def add_long_header_line(homeserver: Homeserver) -> Site:
    """As with a Content-Security-Policy that grew over the years."""

    async def respond(request: Request) -> Response:
        response = await homeserver.respond(request)
        policy = "default-src " + " ".join(f"https://{number}.example" for number in range(1000))
        return replace(response, headers=(*response.headers, ("Content-Security-Policy", policy)))

    return Site(fallback=respond)


def limit_bodies(homeserver: Homeserver) -> Site:
    """As nginx does by default."""

    def refuse(_: Request, body_bytes: int) -> Response | None:
        return _TOO_LARGE if body_bytes > _NGINX_BODY_BYTES else None

    return Site(fallback=homeserver.respond, refuse=refuse)


def allow_reads_only(homeserver: Homeserver) -> Site:
    """Only GET and HEAD pass, as with `limit_except GET` of nginx."""

    def refuse(request: Request, _: int) -> Response | None:
        return None if request.method in ("GET", "HEAD") else FORBIDDEN

    return Site(fallback=homeserver.respond, refuse=refuse)


def allow_reads_only_behind_another_proxy(homeserver: Homeserver) -> Site:
    """The proxy in front says `100 Continue` to everything, and the one behind it refuses all but GET and HEAD."""

    async def respond(request: Request) -> Response:
        return await homeserver.respond(request) if request.method in ("GET", "HEAD") else FORBIDDEN

    return Site(fallback=respond)


def serve_own_page_for_unknown_paths(homeserver: Homeserver) -> Site:
    async def respond(request: Request) -> Response:
        response = await homeserver.respond(request)
        return WELCOME if response.status == 404 else response

    return Site(fallback=respond)


def know_host_without_port_only(homeserver: Homeserver) -> Site:
    """Only requests whose `Host` has no port reach the homeserver."""

    async def respond(request: Request) -> Response:
        return NOT_FOUND if parse(request.host).port else await homeserver.respond(request)

    return Site(fallback=respond)


def replace_content_type(homeserver: Homeserver) -> Site:
    async def respond(request: Request) -> Response:
        response = await homeserver.respond(request)
        return replace(response, headers=(("Content-Type", "text/plain; charset=utf-8"),))

    return Site(fallback=respond)


def lead_to_another_homeserver(homeserver: Homeserver) -> Site:
    """To one of the same name, with a signing key of its own."""
    return Site(fallback=Homeserver(homeserver.server_name).respond)
