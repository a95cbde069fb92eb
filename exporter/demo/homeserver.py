"""A Matrix homeserver: its signing key, and its responses to other homeservers."""

import base64
import re
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Protocol, TypeAlias

from canonicaljson import encode_canonical_json
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exporter.demo.https_server import Request, Response, json_response

VERSION = "/_matrix/federation/v1/version"
KEYS = "/_matrix/key/v2/server"
_SIGNED_REQUESTS = re.compile(
    r"GET /_matrix/federation/v1/(event/[^/]+|query/directory)"
    r"|PUT /_matrix/federation/(v1/send/[^/]+|v2/send_join/[^/]+/[^/]+)"
)
_HOUR = 3600
_KEY_LIFETIME_SECONDS = 24 * _HOUR  # as in Synapse
_OLD_KEY_AGE_SECONDS = 30 * 24 * _HOUR

JsonObject: TypeAlias = dict[str, Any]
KeyPublisher: TypeAlias = Callable[["Homeserver"], JsonObject]
"""Makes the document in which a homeserver publishes its keys."""


class Outgoing(Protocol):
    """What makes a homeserver connect to others."""

    async def respond(self, request: Request) -> Response | None:
        """Respond to a request that needs another server; None to every other one."""


class Homeserver:
    """A homeserver whose attributes may all be changed at any time.

    `resources` are by path; a path that is removed gets the response of an unknown path. Without `outgoing`, nothing
    makes it connect to other servers.
    """

    def __init__(self, server_name: str) -> None:
        self.server_name = server_name
        self.software = {"name": "Lab", "version": "1.0"}
        self.key = Ed25519PrivateKey.generate()
        self.old_key = Ed25519PrivateKey.generate()
        self.publish_keys: KeyPublisher = publish_signed_keys
        self.outgoing: Outgoing | None = None
        self.resources: dict[str, Callable[[], Response]] = {VERSION: self.version, KEYS: self.keys}

    async def respond(self, request: Request) -> Response:
        """Respond to unknown paths and methods as the specification says (server-server API, "Unsupported endpoints").

        Paths are compared as they were sent, as Synapse does: a proxy that decodes a path changes its meaning.
        """
        if self.outgoing and (response := await self.outgoing.respond(request)):
            return response
        if _SIGNED_REQUESTS.fullmatch(f"{request.method} {request.path}"):
            return error(401, "M_UNAUTHORIZED", "Missing Authorization headers")
        resource = self.resources.get(request.path)
        if resource is None:
            return unrecognized(404)
        return resource() if request.method == "GET" else unrecognized(405)

    def version(self) -> Response:
        return json_response({"server": self.software})

    def keys(self) -> Response:
        return json_response(self.publish_keys(self))

    def unsigned_keys(self) -> JsonObject:
        return {
            "server_name": self.server_name,
            "valid_until_ts": milliseconds_from_now(_KEY_LIFETIME_SECONDS),
            "verify_keys": {key_id(self.key): {"key": encode_public_key(self.key)}},
            "old_verify_keys": {
                key_id(self.old_key): {
                    "key": encode_public_key(self.old_key),
                    "expired_ts": milliseconds_from_now(-_OLD_KEY_AGE_SECONDS),
                }
            },
        }


HomeserverFactory: TypeAlias = Callable[[str], Homeserver]
"""Makes the homeserver of a server name."""


def without(path: str) -> HomeserverFactory:
    """Make homeservers that do not know `path`."""

    def make(server_name: str) -> Homeserver:
        homeserver = Homeserver(server_name)
        del homeserver.resources[path]
        return homeserver

    return make


def publishing(publish_keys: KeyPublisher) -> HomeserverFactory:
    def make(server_name: str) -> Homeserver:
        homeserver = Homeserver(server_name)
        homeserver.publish_keys = publish_keys
        return homeserver

    return make


def unrecognized(status: int) -> Response:
    return error(status, "M_UNRECOGNIZED", "Unrecognized request")


def error(status: int, errcode: str, message: str) -> Response:
    """Return an error as every Matrix API does (Matrix specification, "Standard error response")."""
    return json_response({"errcode": errcode, "error": message}, status)


# ---------------------------------------------------------------- published keys


def publish_signed_keys(homeserver: Homeserver) -> JsonObject:
    return sign_as(homeserver, homeserver.unsigned_keys())


def publish_badly_signed_keys(homeserver: Homeserver) -> JsonObject:
    """The signature claims to be by the current key, and was made with the old one."""
    unsigned = homeserver.unsigned_keys()
    return sign(unsigned, homeserver.server_name, homeserver.old_key, key_id(homeserver.key))


def publish_expired_keys(homeserver: Homeserver) -> JsonObject:
    return sign_as(homeserver, homeserver.unsigned_keys() | {"valid_until_ts": milliseconds_from_now(-_HOUR)})


def publish_keys_of_another_server(homeserver: Homeserver) -> JsonObject:
    name = "somebody-else.test"
    return sign(homeserver.unsigned_keys() | {"server_name": name}, name, homeserver.key)


# ---------------------------------------------------------------- signatures (Matrix specification, appendices)


def sign_as(homeserver: Homeserver, document: JsonObject) -> JsonObject:
    return sign(document, homeserver.server_name, homeserver.key)


def sign(document: JsonObject, signer: str, key: Ed25519PrivateKey, key_name: str | None = None) -> JsonObject:
    """Return the document with one more signature, under the ID of `key` unless `key_name` is given."""
    signed = {name: value for name, value in document.items() if name not in ("signatures", "unsigned")}
    signature = encode_base64(key.sign(encode_canonical_json(signed)))
    signatures = document.get("signatures", {})
    return {**document, "signatures": {**signatures, signer: {key_name or key_id(key): signature}}}


def key_id(key: Ed25519PrivateKey) -> str:
    """Derive the ID from the key: peers refuse another key under an ID that they know."""
    return f"ed25519:a_{sha256(key.public_key().public_bytes_raw()).hexdigest()[:6]}"


def encode_public_key(key: Ed25519PrivateKey) -> str:
    return encode_base64(key.public_key().public_bytes_raw())


def encode_base64(raw: bytes) -> str:
    """Return unpadded base64."""
    return base64.b64encode(raw).decode().rstrip("=")


def milliseconds_from_now(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)
