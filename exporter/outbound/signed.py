"""A request that the exporter signs, and what the answer of a homeserver to it means. Pure.

It asks for an event that does not exist: its path contains a percent sign, which a proxy must not touch. What the
answers mean differs between homeservers; the sources are those of Synapse, Dendrite and the Conduit family.
"""

import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.model.sanitize import printable
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing.json_response import summarize


def new_path() -> str:
    """Return the path of an event that does not exist."""
    return f"/_matrix/federation/v1/event/%24{secrets.token_hex(12)}"


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
    """Say what the answer to the request for an event means. There are four cases:

    - the event does not exist: the request was accepted. Synapse says so with an empty text instead of an error;
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
