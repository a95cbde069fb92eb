"""A Matrix server's identity: its signing key, and what it answers to its peers."""

import asyncio
import base64
import re
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256
from typing import Any, TypeAlias

from canonicaljson import encode_canonical_json
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exporter.demo.https_server import Request, Response, json_response

VERSION = "/_matrix/federation/v1/version"
KEYS = "/_matrix/key/v2/server"
_SIGNED_REQUESTS = re.compile(r"GET /_matrix/federation/v1/event/[^/]+|PUT /_matrix/federation/v1/send/[^/]+")
_HOUR = 3600
_KEY_LIFE_SECONDS = 24 * _HOUR  # what Synapse publishes
_OLD_KEY_AGE_SECONDS = 30 * 24 * _HOUR
_WAITS_KEPT = 10_000  # a demo may run for weeks

JsonObject: TypeAlias = dict[str, Any]


class KeyFault(StrEnum):
    """What is wrong with the published keys."""

    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    OTHER_SERVER_NAME = "other_server_name"
    NO_ED25519_KEY = "no_ed25519_key"
    SHORT_LIFE = "short_life"
    """Valid for ten minutes."""
    OLD_KEY_IN_FUTURE = "old_key_in_future"
    """A key that is no longer used will have expired tomorrow."""


class Homeserver:
    """All attributes may be changed at any time.

    `pages` are by path: take one away, and it answers like any path that is not there. `delay` is waited before each
    answer; `waits` holds how long it truly took from the request to the answer, in seconds, the latest last.
    """

    def __init__(self, server_name: str, *, delay: float = 0.0, fault: KeyFault | None = None) -> None:
        self.server_name = server_name
        self.software = {"name": "Lab", "version": "1.0"}
        self.key_life_seconds = _KEY_LIFE_SECONDS
        self.delay = delay
        self.fault = fault
        self.waits: deque[float] = deque(maxlen=_WAITS_KEPT)
        self.key = Ed25519PrivateKey.generate()
        self.old_key = Ed25519PrivateKey.generate()
        self.pages: dict[str, Callable[[], Response]] = {VERSION: self.version, KEYS: self.keys}

    async def answer(self, request: Request) -> Response:
        """Unknown paths and methods as the specification says (server-server API, "Unsupported endpoints").

        Paths are compared as they were sent, like Synapse does: who decodes them on the way changes what they mean.
        """
        arrived = time.perf_counter()
        await asyncio.sleep(self.delay)
        answer = self._answer(request)
        self.waits.append(time.perf_counter() - arrived)
        return answer

    def _answer(self, request: Request) -> Response:
        if _SIGNED_REQUESTS.fullmatch(f"{request.method} {request.path}"):
            return _error(401, "M_UNAUTHORIZED", "Missing Authorization headers")
        page = self.pages.get(request.path)
        if page is None:
            return unrecognized(404)
        return page() if request.method == "GET" else unrecognized(405)

    def version(self) -> Response:
        return json_response({"server": self.software})

    def keys(self) -> Response:
        document = self.unsigned_keys()
        if self.fault in _DISTORTIONS:
            document |= _DISTORTIONS[self.fault]()
        signer = self.old_key if self.fault is KeyFault.BAD_SIGNATURE else self.key
        signature = encode_base64(signer.sign(encode_canonical_json(document)))
        return json_response({**document, "signatures": {document["server_name"]: {key_id(self.key): signature}}})

    def unsigned_keys(self) -> JsonObject:
        return {
            "server_name": self.server_name,
            "valid_until_ts": _milliseconds_from_now(self.key_life_seconds),
            "verify_keys": {key_id(self.key): {"key": encode_public_key(self.key)}},
            "old_verify_keys": {
                key_id(self.old_key): {
                    "key": encode_public_key(self.old_key),
                    "expired_ts": _milliseconds_from_now(-_OLD_KEY_AGE_SECONDS),
                }
            },
        }


_DISTORTIONS: dict[KeyFault | None, Callable[[], JsonObject]] = {
    KeyFault.EXPIRED: lambda: {"valid_until_ts": _milliseconds_from_now(-_HOUR)},
    KeyFault.OTHER_SERVER_NAME: lambda: {"server_name": "somebody-else.test"},
    KeyFault.NO_ED25519_KEY: lambda: {"verify_keys": {"curve25519:1": {"key": encode_base64(bytes(32))}}},
    KeyFault.SHORT_LIFE: lambda: {"valid_until_ts": _milliseconds_from_now(_HOUR / 6)},
    KeyFault.OLD_KEY_IN_FUTURE: lambda: {
        "old_verify_keys": {
            "ed25519:old": {"key": encode_base64(bytes(32)), "expired_ts": _milliseconds_from_now(_KEY_LIFE_SECONDS)}
        }
    },
}
"""What a fault puts into the document before it is signed."""


def unrecognized(status: int) -> Response:
    return _error(status, "M_UNRECOGNIZED", "Unrecognized request")


def _error(status: int, errcode: str, sentence: str) -> Response:
    """As every error of Matrix is written (Matrix specification, "Standard error response")."""
    return json_response({"errcode": errcode, "error": sentence}, status)


def key_id(key: Ed25519PrivateKey) -> str:
    """Made from the key: peers refuse another key under an id that they know."""
    return f"ed25519:a_{sha256(key.public_key().public_bytes_raw()).hexdigest()[:6]}"


def encode_public_key(key: Ed25519PrivateKey) -> str:
    return encode_base64(key.public_key().public_bytes_raw())


def encode_base64(raw: bytes) -> str:
    """Unpadded base64 (Matrix specification, appendices)."""
    return base64.b64encode(raw).decode().rstrip("=")


def _milliseconds_from_now(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)
