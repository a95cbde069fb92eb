"""The key IDs and the encoding of signing keys in the Matrix specification. Pure."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

ED25519_KEY_ID: Final = re.compile(r"ed25519:[!-~]{1,64}")
"""As peers read it; the specification allows letters, digits and underscores."""

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
