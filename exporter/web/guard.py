"""Decides whether a request is allowed, and adds the configured headers to every response."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.api import tester
from exporter.web.connection import CLIENT_CERTIFICATE, CONNECTION, client_network
from exporter.web.fetch_metadata import is_cors_read, is_cross_site, is_image, is_own_form
from exporter.web.headers import with_headers
from exporter.web.pages import badge, servers
from exporter.web.settings.live_config import LiveWebConfig
from exporter.web.settings.loading import WebConfig
from exporter.web.settings.passwords import parse_credentials

_HEALTH_PATHS = ("/-/healthy", "/-/ready")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="matrix-federation-exporter", charset="UTF-8"'}

_RATE_LIMITED = PlainTextResponse("Too many requests: try again later.\n", HTTPStatus.TOO_MANY_REQUESTS)
_CROSS_SITE = PlainTextResponse("Pages of other sites may only link to this exporter.\n", HTTPStatus.FORBIDDEN)
_NO_CERTIFICATE = PlainTextResponse("A client certificate is required.\n", HTTPStatus.FORBIDDEN)
_NO_PASSWORD = PlainTextResponse("A user name and a password are required.\n", HTTPStatus.UNAUTHORIZED, _CHALLENGE)
_OUTSIDE = PlainTextResponse("There is nothing at this path: see --web.route-prefix.\n", HTTPStatus.NOT_FOUND)


class Guard:
    """An ASGI application around the site. It applies the web configuration in effect when a request arrives."""

    def __init__(self, site: ASGIApp, live_config: LiveWebConfig) -> None:
        self._site = site
        self._live_config = live_config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, or refuse it. The checks are made in this order:

        1. the rate limit, which applies to every request, including those that are refused,
        2. requests that a page of another site made a browser send, unless all sites may read the path,
           or it is a form of the exporter's own page,
        3. the client certificate and
        4. the password, unless the path is for health checks and these are exempt.
        """
        site, scope = self._enter(scope)
        config = self._live_config.current()
        exempt = self._live_config.health_without_auth and scope["path"] in _HEALTH_PATHS
        refusal = (
            _check_rate(config) or _check_origin(scope) or (None if exempt else await self._authenticate(config, scope))
        )
        await (refusal or site)(scope, receive, with_headers(config.headers, send))

    def _enter(self, scope: Scope) -> tuple[ASGIApp, Scope]:
        """Return the site, and the request as if there were no route prefix. Outside of it, there is no site."""
        prefix, path = self._live_config.location.prefix, scope["path"]
        if not prefix:
            return self._site, scope
        if scope["raw_path"].startswith(f"{prefix}/".encode()):
            return self._site, {**scope, "path": path[len(prefix) :], "raw_path": scope["raw_path"][len(prefix) :]}
        return RedirectResponse(f"{prefix}/") if path in ("/", prefix) else _OUTSIDE, scope

    async def _authenticate(self, config: WebConfig, scope: Scope) -> ASGIApp | None:
        if config.client_certificate_needed and not scope["state"][CLIENT_CERTIFICATE]:
            return _NO_CERTIFICATE
        if config.passwords is None:
            return None
        given = parse_credentials(Headers(scope=scope).get("authorization", ""))
        if not given or not await config.passwords.verify(given, client_network(scope["client"])):
            return _NO_PASSWORD
        scope["state"][CONNECTION].verify()
        return None


def _check_rate(config: WebConfig) -> ASGIApp | None:
    return _RATE_LIMITED if config.rate_limit and config.rate_limit.take() else None


def _check_origin(scope: Scope) -> ASGIApp | None:
    method, headers = scope["method"], Headers(scope=scope)
    path = scope["path"]
    allowed = (
        (path in tester.OPEN_PATHS and is_cors_read(method, headers))
        or (path.startswith(servers.FOLDER) and is_own_form(method, headers))
        or (path.startswith(badge.FOLDER) and is_image(method, headers))
    )
    return _CROSS_SITE if not allowed and is_cross_site(method, headers) else None
