"""What goes with every answer, whoever gave it: pages, refusals, and what is said of requests that are none."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

SAFE: Final = {
    "Cache-Control": "no-store",  # it is true at this moment
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",  # it may hold words of remote servers, which are no page
    "X-Frame-Options": "DENY",
}
"""No browser runs, frames, keeps or passes on anything of it, whatever might slip into it."""


def with_headers(headers: Mapping[str, str], send: Send) -> Send:
    """Those of an answer itself go first."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = MutableHeaders(scope=message)
            for header, value in headers.items():
                own.setdefault(header, value)
        await send(message)

    return sent
