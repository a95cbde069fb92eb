"""Renders templates: what all pages have in common, and the headers that they are sent with."""

import asyncio
from http import HTTPStatus
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from exporter import VERSION
from exporter.model.sanitize import printable
from exporter.web.api.queries import RefusedError
from exporter.web.api.responses import Handler
from exporter.web.pages import assets, formats

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # with no-referrer, a browser does not say that a form is on a page of this site
}
"""A browser runs no script, loads only the exporter's own style and icons, and sends forms nowhere else."""

_NAVIGATION: Final = (
    ("", "Servers"),
    ("reasons", "Reasons"),
    ("warnings", "Warnings"),
    ("runbooks", "Runbooks"),
    ("metrics", "Metrics"),
    ("api/openapi.json", "API"),
)
"""The paths that every page links to, and what they are called."""

_MAX_CHARACTERS = 2000  # of one text on a page


def _sanitize(value: object) -> str:
    """Return the text of a value, made printable. Markup is what templates themselves produce."""
    return value if isinstance(value, Markup) else printable(str(value), _MAX_CHARACTERS)


_environment = Environment(
    loader=PackageLoader("exporter.web.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_sanitize,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals |= {"version": VERSION, "navigation": _NAVIGATION, "asset": assets.url}
_environment.filters |= formats.FILTERS


def render(template: str, root: str = "./", /, **content: object) -> str:
    """Return a page.

    `root` is the relative URL of `/`, so that links work below a path of a reverse proxy too. `content` is what the
    template needs; every text in it is escaped.
    """
    return _environment.get_template(template).render(root=root, **content)


async def respond(
    request: Request, template: str, status: HTTPStatus = HTTPStatus.OK, /, **content: object
) -> Response:
    """Return a page as the response to a request. It is rendered in a thread: probes must not wait for it."""
    html = await asyncio.to_thread(render, template, root_of(request), **content)
    return HTMLResponse(html, status, headers=HEADERS)


def handle_refusals(handler: Handler) -> Handler:
    """Return a handler that turns a RefusedError of `handler` into a page that says why, with its status."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except RefusedError as error:
            status = HTTPStatus(error.status)
            response = await respond(request, "refusal.html", status, status=status, sentence=error.sentence)
            response.headers.update(error.headers)
            return response

    return handle


def root_of(request: Request) -> str:
    """Return the relative URL of `/`, as seen from the requested path."""
    folders: int = request.scope["raw_path"].count(b"/") - 1
    return "../" * folders or "./"
