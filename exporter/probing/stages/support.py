"""The request of the deep look for the support document: whom to contact about a server.

Client-server API, "Server support" (MSC1929): https://<host of the server name>/.well-known/matrix/support. Whether
there is one is nobody's business but the server's: what cannot be fetched, or is not valid, counts as absent.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import httpx

from exporter.model import names
from exporter.model.findings import Contact, Support
from exporter.model.names import ServerName
from exporter.model.outcomes import Problem
from exporter.model.sanitize import printable
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Network
from exporter.probing.parsing.json_response import parse_object
from exporter.probing.stages.well_known import REDIRECTS, Url, fetch_hop, redirect_target

PATH: Final = "/.well-known/matrix/support"
MAX_BYTES = 16 * 1024
MAX_CONTACTS = 10  # the others are not kept
MAX_CHARACTERS = 255  # of a Matrix ID (appendices, "User Identifiers"), and of an email address that any server accepts
MAX_PAGE_CHARACTERS = 500
_MAX_ROLE_CHARACTERS = 64
_MAX_REDIRECTS = 5

_MATRIX_ID: Final = re.compile(r"@[!-9;-~]+:[!-~]+")
_EMAIL_ADDRESS: Final = re.compile(r"[^\s@<>\"'(),:;\\]+@[^\s@<>\"'(),:;\\]+")


async def run(network: Network, name: ServerName, tls_slots: asyncio.Semaphore, deadline: Deadline) -> Support | None:
    """Return the support document, or None if there is none. Redirects are followed to https only."""
    async with tls_slots:
        response = await _fetch(network, Url(names.parse(name.host), PATH), deadline)
    return evaluate(response) if response else None


async def _fetch(network: Network, url: Url, deadline: Deadline) -> HttpResponse | None:
    """Return the last response."""
    visited = list[Url]()
    response = (await fetch_hop(network, url, deadline)).response
    while response and response.status in REDIRECTS:
        visited.append(url)
        target = redirect_target(url, response, visited)
        if isinstance(target, Problem) or not target.secure or len(visited) > _MAX_REDIRECTS:
            return None
        url = target
        response = (await fetch_hop(network, url, deadline)).response
    return response


# ---------------------------------------------------------------- evaluation


def evaluate(response: HttpResponse) -> Support | None:
    """Return the contacts and the page that are valid, or None if there is neither."""
    if len(response.body) > MAX_BYTES:
        return None
    content = parse_object(response)
    if isinstance(content, Problem):
        return None
    contacts, page = tuple(_contacts(content.get("contacts"))), _support_page(content.get("support_page"))
    return Support(contacts, page) if contacts or page else None


def _contacts(listed: Any) -> Iterator[Contact]:
    """Yield the contacts that can be reached, the first so many of those listed."""
    for each in _objects(listed)[:MAX_CONTACTS]:
        matrix_id, email_address = each.get("matrix_id"), each.get("email_address")
        reachable = Contact(
            role=_role(each.get("role")),
            matrix_id=matrix_id if _matches(_MATRIX_ID, matrix_id) else None,
            email_address=email_address if _matches(_EMAIL_ADDRESS, email_address) else None,
        )
        if reachable.matrix_id or reachable.email_address:
            yield reachable


def _objects(listed: Any) -> Sequence[dict[str, Any]]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _matches(pattern: re.Pattern[str], text: Any) -> bool:
    """Whether it is a printable text that matches the whole pattern, and is not too long."""
    if not isinstance(text, str) or len(text) > MAX_CHARACTERS or not text.isprintable():
        return False
    return pattern.fullmatch(text) is not None


def _role(text: Any) -> str | None:
    return printable(text, _MAX_ROLE_CHARACTERS) if isinstance(text, str) and text else None


def _support_page(text: Any) -> str | None:
    """Return a URL that a page may link to: https or http, without user information."""
    if not isinstance(text, str) or len(text) > MAX_PAGE_CHARACTERS or not text.isprintable() or " " in text:
        return None
    try:
        url = httpx.URL(text)
        plain = text.startswith(("https://", "http://")) and bool(url.host) and not url.userinfo
    except (httpx.InvalidURL, ValueError):
        return None
    return text if plain else None
