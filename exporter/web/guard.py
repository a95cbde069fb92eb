"""Who may ask, how often, and what goes with every answer."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.connection import CLIENT_CERTIFICATE
from exporter.web.fetch_metadata import is_of_another_page
from exporter.web.headers import with_headers
from exporter.web.settings.live_config import WebConfig, WebConfigInForce
from exporter.web.settings.passwords import credentials

HEALTH = ("/-/healthy", "/-/ready")
CHALLENGE = {"WWW-Authenticate": 'Basic realm="matrix-federation-exporter", charset="UTF-8"'}

TOO_MANY = PlainTextResponse("Too many requests: ask more rarely.\n", HTTPStatus.TOO_MANY_REQUESTS)
NO_CERTIFICATE = PlainTextResponse("A client certificate is needed.\n", HTTPStatus.FORBIDDEN)
OTHER_PAGE = PlainTextResponse("Pages of other sites may not ask this exporter.\n", HTTPStatus.FORBIDDEN)
NO_PASSWORD = PlainTextResponse("A user name and password are needed.\n", HTTPStatus.UNAUTHORIZED, CHALLENGE)


class Guard:
    """An ASGI application around the site, by the web configuration that is in force when a request comes."""

    def __init__(self, site: ASGIApp, in_force: WebConfigInForce) -> None:
        self._site = site
        self._in_force = in_force

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        config = self._in_force.today()
        exempt = self._in_force.health_without_auth and scope["path"] in HEALTH
        refusal = too_many(config) or strange_page(scope) or (None if exempt else await self._refusal(config, scope))
        await (refusal or self._site)(scope, receive, with_headers(config.headers, send))

    async def _refusal(self, config: WebConfig, scope: Scope) -> ASGIApp | None:
        if config.client_certificate_needed and not scope["state"][CLIENT_CERTIFICATE]:
            return NO_CERTIFICATE
        if config.passwords is None:
            return None
        given = credentials(Headers(scope=scope).get("authorization", ""))
        return None if given and await config.passwords.are_right(given) else NO_PASSWORD


def too_many(config: WebConfig) -> ASGIApp | None:
    return TOO_MANY if config.rate_limit and config.rate_limit.take() else None


def strange_page(scope: Scope) -> ASGIApp | None:
    return OTHER_PAGE if is_of_another_page(scope["method"], Headers(scope=scope)) else None
