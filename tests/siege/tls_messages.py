"""Messages of TLS 1.3 that no library sends on request: what may follow a handshake, again and again (RFC 8446)."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.lab.hostile.tls_records import APPLICATION_DATA, HANDSHAKE, message

_NEW_SESSION_TICKET, _KEY_UPDATE = 4, 24  # section 4
_CIPHERS: dict[str, tuple[HashAlgorithm, int]] = {
    "TLS_AES_256_GCM_SHA384": (SHA384(), 32),
    "TLS_AES_128_GCM_SHA256": (SHA256(), 16),
}
"""The hash and the length of a key in bytes, by name."""
_NONCE_BYTES, _TAG_BYTES = 12, 16
_BURST = 50  # messages that are sent at once
_PAUSE_SECONDS = 0.05  # between two bursts

Side: TypeAlias = str
CLIENT: Side = "CLIENT"
SERVER: Side = "SERVER"


class Sealer:
    """Encrypts what one side of a connection sends, from its first record after the handshake on."""

    def __init__(self, cipher: str, secret: bytes) -> None:
        self._hash, self._key_bytes = _CIPHERS[cipher]
        self._use(secret)

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._cipher = AESGCM(self._expand(b"key", self._key_bytes))
        self._iv = int.from_bytes(self._expand(b"iv", _NONCE_BYTES))
        self._sequence = 0

    def _expand(self, label: bytes, length: int) -> bytes:
        """HKDF-Expand-Label without a context (section 7.1)."""
        whole = b"tls13 " + label
        info = length.to_bytes(2) + bytes([len(whole)]) + whole + b"\0"
        return HKDFExpand(self._hash, length, info).derive(self._secret)

    def seal(self, content: bytes) -> bytes:
        """Return a record with messages of TLS itself (section 5.2)."""
        inner = content + bytes([HANDSHAKE])
        head = bytes([APPLICATION_DATA, 3, 3]) + (len(inner) + _TAG_BYTES).to_bytes(2)
        nonce = (self._iv ^ self._sequence).to_bytes(_NONCE_BYTES)
        self._sequence += 1
        return head + self._cipher.encrypt(nonce, inner, head)

    def key_update(self) -> bytes:
        """Say that the next key is used from now on, and use it (section 4.6.3)."""
        sealed = self.seal(message(_KEY_UPDATE, b"\0"))
        self._use(self._expand(b"traffic upd", self._hash.digest_size))
        return sealed

    def session_ticket(self) -> bytes:
        lifetime, age_add, nonce, ticket, extensions = (
            bytes(3) + b"\x78",
            bytes(4),
            b"\0",
            b"\0\x20" + bytes(32),
            b"\0\0",
        )
        return self.seal(message(_NEW_SESSION_TICKET, lifetime + age_add + nonce + ticket + extensions))


Flood: TypeAlias = Callable[[Sealer], bytes]


class KeyLog:
    """Receives the secrets of the connections of one context, each of which must be used for one connection only."""

    def __init__(self, context: ssl.SSLContext, folder: Path) -> None:
        self._file = folder / f"keys-{id(context)}"
        context.keylog_filename = str(self._file)

    def sealer(self, cipher: str, side: Side) -> Sealer:
        lines = map(str.split, self._file.read_text().splitlines())
        (secret,) = (words[2] for words in lines if words[0] == f"{side}_TRAFFIC_SECRET_0")
        self._file.unlink()
        return Sealer(cipher, bytes.fromhex(secret))


async def send_flood(writer: asyncio.StreamWriter, sealer: Sealer, flood: Flood, bursts: int) -> int:
    """Send past the TLS of `writer`, until the peer closes the connection. Return how many messages it accepted."""
    sent = 0
    with suppress(OSError), socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as raw:
        raw.setblocking(False)  # noqa: FBT003 - as in `socket`
        for _ in range(bursts):
            burst = b"".join(flood(sealer) for _ in range(_BURST))
            await asyncio.get_running_loop().sock_sendall(raw, burst)
            sent += _BURST
            await asyncio.sleep(_PAUSE_SECONDS)
    return sent
