"""One GET for a list. Its answer is bounded, and nothing secret is in what is said of a failure."""

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
from exporter.model.sanitize import printable

ANSWER_SECONDS = 30.0  # for one answer, however it comes
MAX_BYTES = 32 * 1024 * 1024  # 200,000 names take 6 MiB
MAX_SHOWN = 200  # characters of what a remote server said

_SECRETS = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)
"""Where a URL may hold them: its user and password, and what follows its path."""

_STATUS_ADVICE: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "check the token",
    HTTPStatus.FORBIDDEN: "check what the token allows",
    HTTPStatus.NOT_FOUND: "check the path of the URL",
}


class ListError(Exception):
    """A list that cannot be had: what was expected, what was found and, where that is known, what to do."""


@dataclass(frozen=True, slots=True)
class ListAccess:
    """How to reach a list. The files are read again for every request."""

    headers: Mapping[str, str] = field(repr=False)
    token_file: Path | None
    ca_file: Path | None


async def get(url: str, access: ListAccess) -> bytes:
    """The body. Raises ListError."""
    headers, context = await asyncio.to_thread(_prepare, access)
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            httpx.AsyncClient(verify=context, trust_env=False) as client,
            client.stream("GET", url, headers=headers, timeout=ANSWER_SECONDS) as answer,
        ):
            _require_status_200(answer)
            return await _read_body(answer)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise ListError(f"expected an answer within {ANSWER_SECONDS:.0f} s, found none") from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        found = printable(str(error) or type(error).__name__, MAX_SHOWN)
        raise ListError(f"expected an answer, found an error: {found}") from error


def _prepare(access: ListAccess) -> tuple[httpx.Headers, ssl.SSLContext]:
    """Headers, and whom to trust. Blocks on the disk. Raises ListError."""
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


def _require_status_200(answer: httpx.Response) -> None:
    """A redirect is not followed: the token is for the server that was named, and for no other."""
    status = answer.status_code
    if answer.has_redirect_location:
        where = printable(_SECRETS.sub("", answer.headers["location"]), MAX_SHOWN)
        raise ListError(f"expected status 200, found {status}, a redirect to {where}: write the final URL")
    if status != HTTPStatus.OK:
        advice = f": {_STATUS_ADVICE[status]}" if status in _STATUS_ADVICE else ""
        raise ListError(f"expected status 200, found {status}{advice}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise ListError("expected an answer that is not compressed, as was asked for, found one that is")


async def _read_body(answer: httpx.Response) -> bytes:
    received = bytearray()
    async for piece in answer.aiter_raw():
        received += piece
        if len(received) > MAX_BYTES:
            raise ListError(f"expected at most {MAX_BYTES // 2**20} MiB, found more")
    return bytes(received)
