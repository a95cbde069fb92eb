"""The key IDs and the encoding of signing keys in the Matrix specification. Pure."""

import base64
import binascii
import re
from typing import Final

ED25519_KEY_ID: Final = re.compile(r"ed25519:[A-Za-z0-9_]{1,64}", re.ASCII)


def decode_base64(text: str) -> bytes:
    """Decode unpadded base64 (appendices, "Unpadded Base64"). Padding is tolerated, as real servers do.

    Raises ValueError.
    """
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
