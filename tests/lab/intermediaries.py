"""What stands between peers and a homeserver and answers in its place: CDNs, bot filters, proxies that compress."""

import gzip
from dataclasses import replace

from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import HTML, Request, Response, Site
from exporter.demo.servers import Proxy
from tests.lab.reverse_proxy import FORBIDDEN

_CLOUDFLARE = ("Server", "cloudflare")
_CHALLENGE_PAGE = b"<!doctype html><title>Just a moment...</title>"
CHALLENGE = Response(403, (HTML, _CLOUDFLARE, ("cf-mitigated", "challenge")), _CHALLENGE_PAGE)
ORIGIN_TLS_FAILED = Response(525, (HTML, _CLOUDFLARE), b"<!doctype html><title>525: SSL handshake failed</title>")
MISDIRECTED = Response(421, (HTML, ("Server", "nginx")), b"<!doctype html><title>421 Misdirected Request</title>")
BAD_GATEWAY = Response(502, (HTML, ("Server", "nginx")), b"<!doctype html><title>502 Bad Gateway</title>")


def always(response: Response) -> Proxy:
    """Return a proxy behind which the homeserver never gets a request."""
    return lambda _: Site(fallback=response)


def admit_homeservers_only(homeserver: Homeserver) -> Site:
    """As a filter of user agents does that knows Synapse and Dendrite."""

    async def respond(request: Request) -> Response:
        known = request.user_agent.startswith(("Synapse/", "Dendrite/"))
        return await homeserver.respond(request) if known else FORBIDDEN

    return Site(fallback=respond)


def compress(homeserver: Homeserver) -> Site:
    """As a proxy does that ignores Accept-Encoding."""

    async def respond(request: Request) -> Response:
        response = await homeserver.respond(request)
        headers = (*response.headers, ("Content-Encoding", "gzip"))
        return replace(response, headers=headers, body=gzip.compress(response.body))

    return Site(fallback=respond)
