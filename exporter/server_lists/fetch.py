"""Fetches a server list with one GET request. The response is bounded, and error messages contain no secrets."""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import httpx

from exporter import USER_AGENT
from exporter.config import files
from exporter.model.sanitize import printable, without_bytes_literal

RESPONSE_SECONDS = 30.0  # for a whole response, however slowly it comes
MAX_SHOWN = 200  # characters of a text of a remote server, in an error message

_SECRETS = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)
"""The parts of a URL that may be secret: the user and password, and everything after the path."""

_STATUS_ADVICE: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "check the token",
    HTTPStatus.FORBIDDEN: "check what the token allows",
    HTTPStatus.NOT_FOUND: "check the path of the URL",
}


class ListError(Exception):
    """A list could not be fetched. The message says what was expected and found, and what to do if that is known."""


@dataclass(frozen=True, slots=True)
class ListAccess:
    """The headers and files for the requests of a list. The files are read again for every request."""

    headers: Mapping[str, str] = field(repr=False)
    token_file: Path | None
    ca_file: Path | None


async def get(url: str, access: ListAccess, max_bytes: int) -> bytes:
    """Return the body of the response. Raises ListError."""
    headers, context = await asyncio.to_thread(_prepare, access)
    try:
        async with (
            asyncio.timeout(RESPONSE_SECONDS),
            httpx.AsyncClient(verify=context, trust_env=False) as client,
            client.stream("GET", url, headers=headers, timeout=RESPONSE_SECONDS) as response,
        ):
            _require_usable(response)
            return await _read_body(response, max_bytes)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise ListError(f"expected a response within {RESPONSE_SECONDS:.0f} s, found none") from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        found = printable(without_bytes_literal(str(error)) or "the connection failed", MAX_SHOWN)
        raise ListError(f"expected a response, found an error: {found}") from error


def _prepare(access: ListAccess) -> tuple[httpx.Headers, ssl.SSLContext]:
    """Return the request headers and the TLS context. Blocks on the disk. Raises ListError."""
    headers = httpx.Headers({"User-Agent": USER_AGENT, "Accept": "application/json"})
    headers.update(access.headers)
    headers["Accept-Encoding"] = "identity"
    try:
        if access.token_file:
            headers["Authorization"] = f"Bearer {files.read_token(access.token_file)}"
        return headers, ssl.create_default_context(cafile=access.ca_file)
    except files.UnreadableError as error:
        raise ListError(f"token_file cannot be used: {error}") from error
    except OSError as error:
        raise ListError(f"ca_file cannot be used: {error}") from error


def _require_usable(response: httpx.Response) -> None:
    """Raise ListError unless the status is 200 and the body is not compressed.

    A redirect is not followed: the token is only for the configured server.
    """
    status = response.status_code
    if response.has_redirect_location:
        where = printable(_SECRETS.sub("", response.headers["location"]), MAX_SHOWN)
        raise ListError(f"expected status 200, found {status}, a redirect to {where}: configure the final URL")
    if status != HTTPStatus.OK:
        advice = f": {_STATUS_ADVICE[status]}" if status in _STATUS_ADVICE else ""
        raise ListError(f"expected status 200, found {status}{advice}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ListError("expected a response without compression, as requested, found a compressed one")


async def _read_body(response: httpx.Response, max_bytes: int) -> bytes:
    received = bytearray()
    async for chunk in response.aiter_raw():
        received += chunk
        if len(received) > max_bytes:
            raise ListError(f"expected at most {max_bytes // 2**20} MiB, found more")
    return bytes(received)
