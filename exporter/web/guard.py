"""Who may ask, how often, and what goes with every answer."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.connection import CLIENT_CERTIFICATE
from exporter.web.fetch_metadata import is_cross_site
from exporter.web.headers import with_headers
from exporter.web.settings.live_config import LiveWebConfig
from exporter.web.settings.loading import WebConfig
from exporter.web.settings.passwords import credentials

_HEALTH = ("/-/healthy", "/-/ready")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="matrix-federation-exporter", charset="UTF-8"'}

_RATE_LIMITED = PlainTextResponse("Too many requests: ask more rarely.\n", HTTPStatus.TOO_MANY_REQUESTS)
_NO_CERTIFICATE = PlainTextResponse("A client certificate is needed.\n", HTTPStatus.FORBIDDEN)
_CROSS_SITE = PlainTextResponse("Pages of other sites may not ask this exporter.\n", HTTPStatus.FORBIDDEN)
_NO_PASSWORD = PlainTextResponse("A user name and password are needed.\n", HTTPStatus.UNAUTHORIZED, _CHALLENGE)


class Guard:
    """An ASGI application around the site, by the web configuration that is in force when a request comes."""

    def __init__(self, site: ASGIApp, live_config: LiveWebConfig) -> None:
        self._site = site
        self._live_config = live_config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        config = self._live_config.current()
        exempt = self._live_config.health_without_auth and scope["path"] in _HEALTH
        refusal = (
            _check_rate(config) or _check_origin(scope) or (None if exempt else await self._refusal(config, scope))
        )
        await (refusal or self._site)(scope, receive, with_headers(config.headers, send))

    async def _refusal(self, config: WebConfig, scope: Scope) -> ASGIApp | None:
        if config.client_certificate_needed and not scope["state"][CLIENT_CERTIFICATE]:
            return _NO_CERTIFICATE
        if config.passwords is None:
            return None
        given = credentials(Headers(scope=scope).get("authorization", ""))
        return None if given and await config.passwords.verify(given) else _NO_PASSWORD


def _check_rate(config: WebConfig) -> ASGIApp | None:
    return _RATE_LIMITED if config.rate_limit and config.rate_limit.take() else None


def _check_origin(scope: Scope) -> ASGIApp | None:
    return _CROSS_SITE if is_cross_site(scope["method"], Headers(scope=scope)) else None
