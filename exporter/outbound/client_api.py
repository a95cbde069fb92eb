"""Finds the client API of a server, as clients do (client-server API, "Server Discovery")."""

from urllib.parse import urlsplit

from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.outcomes import Problem
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Network
from exporter.probing.parsing.json_response import parse_object
from exporter.probing.stages.well_known import REDIRECTS, Url, fetch_hop, redirect_target

_PATH = "/.well-known/matrix/client"
_MAX_REDIRECTS = 3
_MAX_URL_CHARACTERS = 300


async def find_client_api(network: Network, name: ServerName, deadline: Deadline) -> Url | None:
    """Return the base URL from the server's well-known for clients; None if that contains no valid one."""
    url, visited = Url(names.parse(_bracketed(name.host)), _PATH), list[Url]()
    for _ in range(_MAX_REDIRECTS + 1):
        response = (await fetch_hop(network, url, deadline)).response
        if response is None:
            return None
        if response.status not in REDIRECTS:
            return _parse_base_url(response)
        visited.append(url)
        target = redirect_target(url, response, visited)
        if isinstance(target, Problem) or not target.secure:
            return None
        url = target
    return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _parse_base_url(response: HttpResponse) -> Url | None:
    """Return the base URL from a well-known for clients, without a trailing slash; None if there is no https URL."""
    content = parse_object(response) if response.status == 200 else None
    homeserver = content.get("m.homeserver") if isinstance(content, dict) else None
    text = homeserver.get("base_url") if isinstance(homeserver, dict) else None
    if not isinstance(text, str) or len(text) > _MAX_URL_CHARACTERS or not text.isascii() or not text.isprintable():
        return None
    try:
        parts = urlsplit(text)
        authority = names.parse(parts.netloc)
    except ValueError:
        return None
    is_plain = parts.scheme == "https" and not parts.query and not parts.fragment and " " not in parts.path
    return Url(authority, parts.path.rstrip("/")) if is_plain else None
