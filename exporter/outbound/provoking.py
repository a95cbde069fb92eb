"""Requests without credentials that make a server connect to the exporter: for a room alias, or for its keys.

The server connects at once, whatever it has cached. Its response contains something that it can only have got from the
exporter.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from exporter.model.enums import OutboundMethod
from exporter.model.outcomes import Problem
from exporter.model.sanitize import printable
from exporter.outbound.peer import Expectation, Peer
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Network
from exporter.probing.parsing.json_response import parse_object, summarize
from exporter.probing.stages.well_known import Url, fetch_hop

_DIRECTORY_PATH: Final = "/_matrix/client/v3/directory/room/"
QUERY_PATH: Final = "/_matrix/key/v2/query"

# Returned by homeservers that cannot reach the server of an alias: 502 by Synapse, 500 by Dendrite, 404 by any.
_NOT_FOUND_STATUSES = frozenset({404, 500, 502, 504})
_UNRECOGNIZED = "M_UNRECOGNIZED"


class Provoked(StrEnum):
    """Whether a server connected to the exporter when a request made it do so."""

    CAME_BACK = "came_back"
    NOTHING = "nothing"
    """The server tried, and got no answer."""
    UNSUPPORTED = "unsupported"
    """The server does not support the request, or refuses it. That proves nothing."""


@dataclass(frozen=True, slots=True)
class Provocation:
    """The result of one such request."""

    method: OutboundMethod
    result: Provoked
    detail: str
    """The answer of the server, as a printable phrase."""


# ---------------------------------------------------------------- the room alias


def alias_path(prefix: str, alias: str) -> str:
    return f"{prefix}{_DIRECTORY_PATH}{quote(alias, safe='')}"


async def get_from_client_api(network: Network, base: Url, alias: str, deadline: Deadline) -> HttpResponse | Problem:
    """Ask a client API for a room alias."""
    hop = await fetch_hop(network, Url(base.authority, alias_path(base.path, alias)), deadline)
    assert hop.response or hop.problem
    return hop.response or hop.problem  # type: ignore[return-value] # one of them is set


def evaluate_alias(response: HttpResponse | Problem, room_id: str) -> Provocation:
    """Evaluate the response of a client API to the request for an alias. There are four cases:

    - it contains the room ID, which only the exporter knows: the server reached the exporter;
    - it is an error that homeservers return when they cannot reach the server of the alias;
    - there is none in time: the server still waits for the exporter;
    - anything else: there is no client API, or it requires credentials.
    """
    method = OutboundMethod.ALIAS
    if isinstance(response, Problem):
        timed_out = response.reason == "http_timeout"
        result = Provoked.NOTHING if timed_out else Provoked.UNSUPPORTED
        return Provocation(method, result, f"its client API does not answer ({printable(response.detail, 200)})")
    content = parse_object(response)
    if response.status == 200 and isinstance(content, dict) and content.get("room_id") == room_id:
        return Provocation(method, Provoked.CAME_BACK, "its client API returns the room of the alias")
    summary = summarize(response)
    tried = response.status in _NOT_FOUND_STATUSES and summary.errcode not in (None, _UNRECOGNIZED)
    detail = f"asked for a room alias, its client API answers with {summary}"
    return Provocation(method, Provoked.NOTHING if tried else Provoked.UNSUPPORTED, detail)


# ---------------------------------------------------------------- the notary


def notary_query(peer: Peer) -> bytes:
    """Return the body of a query for the exporter's keys that no cached document can satisfy."""
    criteria = {"minimum_valid_until_ts": peer.latest_validity}
    return json.dumps({"server_keys": {peer.name.text: {peer.key.key_id: criteria}}}).encode()


def evaluate_notary(response: HttpResponse | Problem, expected: Expectation, name: str) -> Provocation:
    """Evaluate the response to a query for the exporter's keys. There are four cases:

    - it contains a document that was made after the look began: the server has just fetched it itself;
    - it contains an older document, or none: the server tried to fetch one, and could not;
    - there is none in time: the server still tries;
    - anything else: the server is not a notary, or not for the exporter.
    """
    method = OutboundMethod.NOTARY
    if isinstance(response, Problem):
        result = Provoked.NOTHING if response.reason == "http_timeout" else Provoked.UNSUPPORTED
        return Provocation(
            method, result, f"asked for the exporter's keys, it does not answer ({printable(response.detail, 200)})"
        )
    content = parse_object(response)
    documents = content.get("server_keys") if isinstance(content, dict) and response.status == 200 else None
    if not isinstance(documents, list):
        return Provocation(method, Provoked.UNSUPPORTED, f"it is not a notary: {summarize(response)}")
    if any(_is_fresh(document, expected, name) for document in documents):
        return Provocation(method, Provoked.CAME_BACK, "it has fetched the exporter's keys")
    return Provocation(method, Provoked.NOTHING, "asked for the exporter's keys, it does not get them")


def _is_fresh(document: Any, expected: Expectation, name: str) -> bool:
    until = document.get("valid_until_ts") if isinstance(document, dict) else None
    return isinstance(until, int) and until > expected.signed_after and document.get("server_name") == name
