"""Requests that the exporter signs, and what the answers of homeservers to them mean. Pure.

The first one asks for an event that does not exist: its path and its query contain percent signs, which a proxy must
not touch. If it arrives changed, the second one looks a user up: its path contains nothing that a proxy would decode,
so it shows whether homeservers still get through with lookups. What the answers mean differs between homeservers; the
sources are those of Synapse, Dendrite and the Conduit family.
"""

import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from exporter.model.sanitize import printable
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing.json_response import summarize


def new_event_path() -> str:
    """Return the path of an event that does not exist. Homeservers ignore the query, which is signed all the same."""
    return f"/_matrix/federation/v1/event/%24{_nonce()}?look=%23"


def new_lookup_path(server_name: str) -> str:
    """Return the path of the profile of a user who does not exist. Unlike a room alias, it is asked of nobody else."""
    return f"/_matrix/federation/v1/query/profile?user_id={quote(f'@{_nonce()}:{server_name}', safe='')}"


def _nonce() -> str:
    return secrets.token_hex(12)


class Accepted(StrEnum):
    """What a homeserver made of a signed request."""

    YES = "yes"
    NO_KEYS = "no_keys"
    """It could not get the exporter's keys, or they had expired by its clock."""
    DENIED = "denied"
    BAD_SIGNATURE = "bad_signature"
    NO_AUTHORIZATION = "no_authorization"
    UNKNOWN = "unknown"
    """The answer says nothing, or there is none."""


@dataclass(frozen=True, slots=True)
class SignedAnswer:
    accepted: Accepted
    detail: str
    """What the homeserver answered; printable."""


# The texts of Synapse (401, 403), Dendrite (401), tuwunel and conduwuit (403), and continuwuity (401, 403), by how they
# begin. Dendrite says the same of a bad signature as of keys that it could not get.
_TEXTS: Final = {
    "Failed to find any key to satisfy": Accepted.NO_KEYS,
    "Failed to fetch signing keys": Accepted.NO_KEYS,
    "Federation denied": Accepted.DENIED,
    "Federation requests from": Accepted.DENIED,
    "Federation is disabled": Accepted.DENIED,
    "You are blocked": Accepted.DENIED,
    "Invalid signature for server": Accepted.BAD_SIGNATURE,
    "Failed to verify X-Matrix": Accepted.BAD_SIGNATURE,
    "Missing Authorization header": Accepted.NO_AUTHORIZATION,
    'Missing "Authorization: X-Matrix': Accepted.NO_AUTHORIZATION,
}
_REFUSALS: Final = frozenset({401, 403})
_MAX_SHOWN = 200


def evaluate(response: HttpResponse) -> SignedAnswer:
    """Say what the answer to a signed request means. There are four cases:

    - the event or the user does not exist: the request was accepted. For an event, Synapse says so with an empty text;
    - the request is refused with a text that is known;
    - it is refused with another one, or nothing but a homeserver's error: it says nothing;
    - the answer is not that of a homeserver: it says nothing either.
    """
    content = _parse(response)
    if response.status == 404 and (content == "" or _errcode(content) == "M_NOT_FOUND"):
        return SignedAnswer(Accepted.YES, "it accepts a request that the exporter signed")
    text = content.get("error", content.get("message")) if isinstance(content, dict) else None
    shown = f": {printable(text, _MAX_SHOWN)}" if isinstance(text, str) else ""
    detail = f"to a signed request it answers with {summarize(response)}{shown}"
    if response.status in _REFUSALS and isinstance(text, str):
        known = (meaning for beginning, meaning in _TEXTS.items() if text.startswith(beginning))
        return SignedAnswer(next(known, Accepted.UNKNOWN), detail)
    return SignedAnswer(Accepted.UNKNOWN, detail)


def _parse(response: HttpResponse) -> object:
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return None


def _errcode(content: object) -> object:
    return content.get("errcode") if isinstance(content, dict) else None
