"""A client that fetches the keys of a homeserver and verifies them, in code that the lab does not share."""

import base64
import json
from typing import Any

from canonicaljson import encode_canonical_json
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exporter.demo.homeserver import KEYS, Homeserver
from exporter.demo.https_server import Request


async def fetch_keys(homeserver: Homeserver) -> dict[str, Any]:
    name = homeserver.server_name
    response = await homeserver.respond(Request(name, "GET", KEYS, name, "test"))
    assert (response.status, response.headers) == (200, (("Content-Type", "application/json"),))
    document: dict[str, Any] = json.loads(response.body)
    return document


def verify(document: dict[str, Any]) -> None:
    """Verify as the specification says (Matrix specification, appendices, "Checking for a Signature").

    Raises InvalidSignature.
    """
    signed = {name: value for name, value in document.items() if name not in {"signatures", "unsigned"}}
    for key_id, key in document["verify_keys"].items():
        signature = document["signatures"][document["server_name"]][key_id]
        public_key = Ed25519PublicKey.from_public_bytes(decode_base64(key["key"]))
        public_key.verify(decode_base64(signature), encode_canonical_json(signed))


def decode_base64(text: str) -> bytes:
    """Decode unpadded base64, and nothing else."""
    assert "=" not in text
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
