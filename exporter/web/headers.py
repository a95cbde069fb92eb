"""The headers of every response: of pages, of refusals, and of error responses to invalid requests."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",  # a response is only true at this moment
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",  # it may contain text of remote servers, which must not become a page
    "X-Frame-Options": "DENY",
}
"""With these, a browser does not run, frame, cache or forward any part of a response, whatever it may contain."""


def with_headers(headers: Mapping[str, str], send: Send) -> Send:
    """Return a `send` that adds the headers to a response, except for those that the response already has."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = MutableHeaders(scope=message)
            for header, value in headers.items():
                own.setdefault(header, value)
        await send(message)

    return send_with_headers
