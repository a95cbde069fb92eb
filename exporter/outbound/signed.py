"""Requests that the exporter signs, and what the responses of homeservers mean. Pure.

The first request is for an event that does not exist. Its path and its query contain percent signs, which a proxy must
not change. If it does, the second request looks a user up. Its path contains nothing that a proxy decodes, so it shows
whether the lookups of homeservers still get through. The responses differ between homeservers: their texts are taken
from the sources of Synapse, Dendrite and the Conduit family.
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
    """Return the path of an event that does not exist. Its query is signed too, and homeservers ignore it."""
    return f"/_matrix/federation/v1/event/%24{_nonce()}?look=%23"


def new_lookup_path(server_name: str) -> str:
    """Return the path of the profile of a user who does not exist. For an alias, Synapse would ask its bridges too."""
    return f"/_matrix/federation/v1/query/profile?user_id={quote(f'@{_nonce()}:{server_name}', safe='')}"


def _nonce() -> str:
    return secrets.token_hex(12)


class Accepted(StrEnum):
    """Whether a homeserver accepted a signed request, and why not."""

    YES = "yes"
    NO_KEYS = "no_keys"
    """It could not fetch the exporter's keys, or its clock says that they have expired."""
    DENIED = "denied"
    BAD_SIGNATURE = "bad_signature"
    NO_AUTHORIZATION = "no_authorization"
    UNKNOWN = "unknown"
    """There is no response, or it does not tell."""


@dataclass(frozen=True, slots=True)
class SignedAnswer:
    accepted: Accepted
    detail: str
    """The response of the homeserver, as a printable phrase."""


# The beginnings of the error texts of Synapse (401, 403), Dendrite (401), tuwunel and conduwuit (403), and continuwuity
# (401, 403). "Invalid request signature" is missing: Dendrite also returns that if it could not fetch the keys.
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
    """Evaluate the response to a signed request. There are four cases:

    - the event or the user does not exist: the request was accepted. For an event, Synapse returns an empty string;
    - the request is refused with a known text: that says why;
    - it is refused with another text, or there is another error: unknown;
    - something other than a homeserver answers: unknown.
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
