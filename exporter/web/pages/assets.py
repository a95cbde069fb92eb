"""The style sheet and the icons, which the exporter serves itself."""

from hashlib import sha256
from importlib.resources import files
from mimetypes import guess_type
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_CONTENT: Final = {file.name: file.read_bytes() for file in files("exporter.web.pages").joinpath("static").iterdir()}
_DIGESTS: Final = {name: sha256(content).hexdigest()[:8] for name, content in _CONTENT.items()}
_HEADERS: Final = {"Cache-Control": "private, max-age=31536000, immutable"}  # another version has another URL


def url(name: str) -> str:
    """Return the URL of an asset, relative to `/`."""
    return f"static/{name}?{_DIGESTS[name]}"


def routes() -> list[Route]:
    """Return the route of all assets."""
    return [Route("/static/{name}", _asset)]


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _CONTENT:
        return PlainTextResponse("There is no such file.\n", 404)
    media_type, _ = guess_type(name)
    return Response(_CONTENT[name], headers=_HEADERS, media_type=media_type)
