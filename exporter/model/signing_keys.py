"""The key IDs and the encoding of signing keys in the Matrix specification. Pure."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

ED25519_KEY_ID: Final = re.compile(r"ed25519:[!-~]{1,64}")
"""As peers read it; the specification allows letters, digits and underscores."""

_KEY_BYTES: Final = 32  # RFC 8032, section 5.1.5
_FROM_URL_SAFE: Final = str.maketrans("-_", "+/")


_SEED_LINE: Final = re.compile(r"ed25519[ \t]+([A-Za-z0-9_]{1,64})[ \t]+([A-Za-z0-9+/_-]{43}=?)")
"""As Synapse writes it: the algorithm, the version of the key, and the seed in base64."""


@dataclass(frozen=True, slots=True)
class SigningSeed:
    """A private signing key. Its text form never shows the seed."""

    key_id: str
    """With the algorithm, such as ed25519:a_1."""
    seed: bytes = field(repr=False)

    def __str__(self) -> str:
        """Return the line of a file in Synapse's format."""
        algorithm, _, version = self.key_id.partition(":")
        return f"{algorithm} {version} {encode_base64(self.seed)}\n"


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """A key that a server may have; without `key`, only its ID is known."""

    key_id: str
    """With the algorithm, such as ed25519:a_1."""
    key: str | None = None
    """In unpadded base64."""

    def __str__(self) -> str:
        return f"{self.key_id} {self.key}" if self.key else self.key_id


def parse_pinned_key(text: str) -> PinnedKey:
    """Parse a key ID, which the key in base64 may follow. Raises ValueError, whose message is the remedy."""
    key_id, space, key = text.partition(" ")
    if not ED25519_KEY_ID.fullmatch(key_id):
        better = f"ed25519:{key_id}"
        raise ValueError(f"use {better}" if ":" not in key_id and ED25519_KEY_ID.fullmatch(better) else "")
    return PinnedKey(key_id, _parse_public_key(key) if space else None)


def _parse_public_key(text: str) -> str:
    try:
        raw = decode_base64(text)
    except ValueError:
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"write the key as the server publishes it, {_KEY_BYTES} bytes in base64")
    return encode_base64(raw)


def parse_seed(text: str) -> SigningSeed:
    """Parse the content of a file in Synapse's format. Raises ValueError, whose message contains nothing of it."""
    match = _SEED_LINE.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected one line with ed25519, the version of the key, and its seed in base64")
    version, seed = match.groups()
    return SigningSeed(f"ed25519:{version}", decode_base64(seed))


def encode_base64(raw: bytes) -> str:
    """Return unpadded base64 (appendices, "Unpadded Base64")."""
    return base64.b64encode(raw).decode().rstrip("=")


def decode_base64(text: str) -> bytes:
    """Decode unpadded base64 (appendices, "Unpadded Base64"), in its URL-safe form too, as homeservers do.

    Padding is tolerated. Raises ValueError.
    """
    unpadded = text.rstrip("=").translate(_FROM_URL_SAFE)
    try:
        return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
