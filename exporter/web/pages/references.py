"""The references, offline: `/reasons`, `/warnings`, and the runbook of every alert. `make docs` renders them."""

from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from typing import Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.web.pages import rendering

_FOLDER: Final = files("exporter.web.pages").joinpath("offline")
_SUFFIX: Final = ".md"  # of the same runbooks in the repository: either base makes a working link


def _read(*folder: str) -> Mapping[str, Markup]:
    """Return the pages of a folder by their name. They are part of the exporter, so that their HTML is trusted."""
    pages = (file for file in _FOLDER.joinpath(*folder).iterdir() if file.name.endswith(".html"))
    return {file.name.removesuffix(".html"): Markup(file.read_text("utf-8")) for file in pages}  # noqa: S704 - as above


_REFERENCES: Final = _read()
_RUNBOOKS: Final = _read("runbooks")


def routes() -> list[Route]:
    """Return the routes of all references."""
    return [
        *(Route(f"/{name}", _reference) for name in _REFERENCES),
        Route("/runbooks", _runbooks),
        Route("/runbooks/{name}", _runbook),
    ]


async def _reference(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    return await rendering.respond(
        request, "reference.html", here=name, heading=name.capitalize(), content=_REFERENCES[name]
    )


async def _runbooks(request: Request) -> Response:
    return await rendering.respond(request, "runbooks.html", here="runbooks", names=sorted(_RUNBOOKS))


async def _runbook(request: Request) -> Response:
    name = request.path_params["name"].removesuffix(_SUFFIX)
    if name not in _RUNBOOKS:
        return await rendering.respond(
            request, "runbooks.html", HTTPStatus.NOT_FOUND, here=None, names=sorted(_RUNBOOKS), missing=name
        )
    return await rendering.respond(request, "reference.html", here=None, heading=name, content=_RUNBOOKS[name])
