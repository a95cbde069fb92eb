"""Signs JSON and requests, and verifies the signatures of other servers. Pure.

Sources: the appendices of the specification, "Signing JSON", and the server-server API, "Request Authentication".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, TypeAlias

from canonicaljson import encode_canonical_json
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from exporter.model.signing_keys import SigningSeed, decode_base64, encode_base64

JsonObject: TypeAlias = dict[str, Any]
_SCHEME: Final = "x-matrix"
_PARAMETER: Final = re.compile(r'[ \t]*([A-Za-z]+)[ \t]*=[ \t]*(?:"([^"\\]*)"|([^\s",]*))[ \t]*(?:,|\Z)')
_MAX_CHARACTERS = 2048  # of a header: two server names, a key ID and a signature take 700
_ID_DIGITS = 8


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The exporter's own key, which signs for `server_name`."""

    server_name: str
    key_id: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_seed(cls, server_name: str, seed: SigningSeed) -> "SigningKey":
        return cls(server_name, seed.key_id, Ed25519PrivateKey.from_private_bytes(seed.seed))

    @property
    def public(self) -> str:
        """The public key in unpadded base64, as it is published."""
        return encode_base64(self.private.public_key().public_bytes_raw())

    def sign(self, document: JsonObject) -> JsonObject:
        """Return the document with a signature by this key. It must not contain signatures yet."""
        return {**document, "signatures": {self.server_name: {self.key_id: self._signature(document)}}}

    def authorization(self, uri: str, destination: str, method: str = "GET") -> str:
        """Return the Authorization header of a request without a body. `uri` is the path and query as sent."""
        signed = _request_object(method, uri, self.server_name, destination)
        parameters = {
            "origin": self.server_name,
            "destination": destination,
            "key": self.key_id,
            "sig": self._signature(signed),
        }
        return "X-Matrix " + ",".join(f'{name}="{value}"' for name, value in parameters.items())

    def _signature(self, document: JsonObject) -> str:
        return encode_base64(self.private.sign(encode_canonical_json(document)))


def generate_seed() -> SigningSeed:
    """Return a new key. Its ID is derived from the key, as peers refuse a new key under an ID that they know."""
    private = Ed25519PrivateKey.generate()
    digest = sha256(private.public_key().public_bytes_raw()).hexdigest()
    return SigningSeed(f"ed25519:a_{digest[:_ID_DIGITS]}", private.private_bytes_raw())


def _request_object(method: str, uri: str, origin: str, destination: str) -> JsonObject:
    """Return the object that the signature of a request without a body covers."""
    return {"method": method, "uri": uri, "origin": origin, "destination": destination}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The parameters of an Authorization header, which nobody has verified yet."""

    origin: str
    destination: str | None
    """None if the sender implements the specification before version 1.3."""
    key_id: str
    signature: str

    def complaint(self, method: str, uri: str, destination: str, keys: Mapping[str, str]) -> str | None:
        """Return what is wrong with the signature of a request without a body; None if it is valid.

        `keys` are the public keys of the origin, by key ID.
        """
        if self.destination not in (None, destination):
            return "it is signed for another server"
        if self.key_id not in keys:
            return "it is signed with a key that the server does not publish"
        message = encode_canonical_json(_request_object(method, uri, self.origin, destination))
        try:
            public = Ed25519PublicKey.from_public_bytes(decode_base64(keys[self.key_id]))
            public.verify(decode_base64(self.signature), message)
        except (InvalidSignature, ValueError):
            return "its signature does not match"
        return None


def parse_authorization(header: str | None) -> Credentials | None:
    """Return the parameters of an Authorization header; None if it is missing or malformed."""
    scheme, _, rest = (header or "")[: _MAX_CHARACTERS + 1].partition(" ")
    if scheme.lower() != _SCHEME or header is None or len(header) > _MAX_CHARACTERS:
        return None
    parameters: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = _PARAMETER.match(rest, position)
        if match is None:
            return None
        parameters[match[1].lower()] = match[2] if match[2] is not None else match[3]
        position = match.end()
    try:
        return Credentials(parameters["origin"], parameters.get("destination"), parameters["key"], parameters["sig"])
    except KeyError:
        return None
