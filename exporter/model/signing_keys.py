"""The key IDs and the encoding of signing keys in the Matrix specification. Pure."""

import base64
import binascii
import re
from typing import Final

ED25519_KEY_ID: Final = re.compile(r"ed25519:[!-~]{1,64}")
"""As peers read it; the specification allows letters, digits and underscores."""

_FROM_URL_SAFE: Final = str.maketrans("-_", "+/")


def decode_base64(text: str) -> bytes:
    """Decode unpadded base64 (appendices, "Unpadded Base64"), in its URL-safe form too, as homeservers do.

    Padding is tolerated. Raises ValueError.
    """
    unpadded = text.rstrip("=").translate(_FROM_URL_SAFE)
    try:
        return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
