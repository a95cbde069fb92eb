"""Making a server connect to the exporter without credentials: by a room alias, or as a notary.

Both requests make it come at once, whatever it has cached, and both return something that only who came can know.
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

# A homeserver that does not get an answer says one of these: Synapse 502, Dendrite 500, all of them 404.
_NOT_FOUND_STATUSES = frozenset({404, 500, 502, 504})
_UNRECOGNIZED = "M_UNRECOGNIZED"


class Provoked(StrEnum):
    """What a request to connect to the exporter led to."""

    CAME_BACK = "came_back"
    NOTHING = "nothing"
    """The server has tried, and got no answer."""
    UNSUPPORTED = "unsupported"
    """The server does not do this for the exporter: it says nothing."""


@dataclass(frozen=True, slots=True)
class Provocation:
    """The result of one such request."""

    method: OutboundMethod
    result: Provoked
    detail: str
    """What the server answered, in words; printable."""


# ---------------------------------------------------------------- the room alias


def alias_path(prefix: str, alias: str) -> str:
    return f"{prefix}{_DIRECTORY_PATH}{quote(alias, safe='')}"


async def get_from_client_api(network: Network, base: Url, alias: str, deadline: Deadline) -> HttpResponse | Problem:
    """Ask a client API for a room alias."""
    hop = await fetch_hop(network, Url(base.authority, alias_path(base.path, alias)), deadline)
    assert hop.response or hop.problem
    return hop.response or hop.problem  # type: ignore[return-value] # one of them is set


def evaluate_alias(response: HttpResponse | Problem, room_id: str) -> Provocation:
    """Say what the answer of a client API to a request for an alias means. There are four cases:

    - it returns the room ID that only the exporter can have told it;
    - it returns an error that homeservers return when they cannot reach the server of the alias;
    - it does not answer in time: it still waits for the server of the alias;
    - anything else: there is no client API, or it demands credentials.
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
    """Return a query for the exporter's keys that no document in a cache can satisfy."""
    criteria = {"minimum_valid_until_ts": peer.latest_validity}
    return json.dumps({"server_keys": {peer.name.text: {peer.key.key_id: criteria}}}).encode()


def evaluate_notary(response: HttpResponse | Problem, expected: Expectation, name: str) -> Provocation:
    """Say what the answer to a query for the exporter's keys means. There are four cases:

    - it contains a document that was made after the look began: the server has just fetched it, by itself;
    - it contains an older one, or none: the server has tried to fetch it;
    - it does not come in time: the server still tries;
    - anything else: the server is no notary, or not for the exporter.
    """
    method = OutboundMethod.NOTARY
    if isinstance(response, Problem):
        result = Provoked.NOTHING if response.reason == "http_timeout" else Provoked.UNSUPPORTED
        return Provocation(
            method, result, f"asked for our keys, it does not answer ({printable(response.detail, 200)})"
        )
    content = parse_object(response)
    documents = content.get("server_keys") if isinstance(content, dict) and response.status == 200 else None
    if not isinstance(documents, list):
        return Provocation(method, Provoked.UNSUPPORTED, f"it is no notary: {summarize(response)}")
    if any(_is_fresh(document, expected, name) for document in documents):
        return Provocation(method, Provoked.CAME_BACK, "it has fetched the exporter's keys")
    return Provocation(method, Provoked.NOTHING, "asked for the exporter's keys, it does not get them")


def _is_fresh(document: Any, expected: Expectation, name: str) -> bool:
    until = document.get("valid_until_ts") if isinstance(document, dict) else None
    return isinstance(until, int) and until > expected.signed_after and document.get("server_name") == name
