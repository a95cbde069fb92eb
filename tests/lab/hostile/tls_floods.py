"""Servers that begin like any other in TLS, and then send messages of TLS itself in place of a response.

No library offers to send them without end, so they are made from the secrets of the connection.
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import suppress
from socket import socket
from tempfile import NamedTemporaryFile

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL, crypto

from exporter.demo.authority import Authority, IssuedCertificate
from exporter.demo.listener import Listener, Port
from exporter.demo.ports import FIRST_BYTES
from exporter.demo.servers import PortFactory
from tests.lab.hostile.tls_records import APPLICATION_DATA, HANDSHAKE, message
from tests.lab.ports import stall

KEY_UPDATES = 2000
_KEY_UPDATE, _NOT_REQUESTED = 24, b"\0"
_CIPHER, _SECRET_BYTES, _KEY_BYTES, _IV_BYTES, _TAG_BYTES = "TLS_AES_256_GCM_SHA384", 48, 32, 12, 16


# ---------------------------------------------------------------- TLS 1.3


def update_keys_forever(name: str) -> PortFactory:
    """A port that answers every request with KeyUpdate messages (RFC 8446, section 4.6.3)."""

    def make(authority: Authority) -> Port:
        issued = authority.issue([name])
        return Listener(lambda accepted: _update_keys(issued, accepted))

    return make


async def _update_keys(issued: IssuedCertificate, accepted: socket) -> None:
    if secret := await _shake_hands(issued, accepted):
        await asyncio.get_running_loop().sock_sendall(accepted, b"".join(_key_updates(secret)))
        await stall(accepted)


async def _shake_hands(issued: IssuedCertificate, accepted: socket) -> bytes | None:
    """Return the secret that protects what the server sends after a request, or None if the client leaves before."""
    loop, incoming, outgoing = asyncio.get_running_loop(), ssl.MemoryBIO(), ssl.MemoryBIO()
    context = issued.server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # so that nothing has been sent yet with this secret
    with NamedTemporaryFile("r") as log:
        context.keylog_filename = log.name
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        while content := await loop.sock_recv(accepted, FIRST_BYTES):
            incoming.write(content)
            try:
                tls.do_handshake()
                tls.read()
            except ssl.SSLWantReadError:
                await loop.sock_sendall(accepted, outgoing.read())
            else:
                assert tls.cipher() == (_CIPHER, "TLSv1.3", 256)
                return _logged_secret(log.read())
    return None


def _logged_secret(log: str) -> bytes:
    """Return a secret from the log of a connection, which has the format of NSS."""
    (secret,) = (line.split()[2] for line in log.splitlines() if line.startswith("SERVER_TRAFFIC_SECRET_0 "))
    return bytes.fromhex(secret)


def _key_updates(secret: bytes) -> Iterator[bytes]:
    """Yield records, each with a new key, so that the first one of every key is its only one."""
    content = message(_KEY_UPDATE, _NOT_REQUESTED) + bytes([HANDSHAKE])
    header = bytes([APPLICATION_DATA, 3, 3]) + (len(content) + _TAG_BYTES).to_bytes(2, "big")
    for _ in range(KEY_UPDATES):
        key, nonce = _expand(secret, b"key", _KEY_BYTES), _expand(secret, b"iv", _IV_BYTES)
        yield header + AESGCM(key).encrypt(nonce, content, header)
        secret = _expand(secret, b"traffic upd", _SECRET_BYTES)


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label without a context (RFC 8446, section 7.1)."""
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    return HKDFExpand(SHA384(), length, info).derive(secret)


# ---------------------------------------------------------------- TLS 1.2


def renegotiate(name: str) -> PortFactory:
    """A port that answers every request with a demand to shake hands again (RFC 5246, section 7.4.1.1)."""

    def make(authority: Authority) -> Port:
        issued = authority.issue([name])
        return Listener(lambda accepted: _renegotiate(issued, accepted))

    return make


async def _renegotiate(issued: IssuedCertificate, accepted: socket) -> None:
    tls = SSL.Connection(_context(issued), None)
    tls.set_accept_state()
    with suppress(SSL.Error):  # the client refuses
        await _receive(tls, accepted)
        tls.renegotiate()
        await _receive(tls, accepted)


async def _receive(tls: SSL.Connection, accepted: socket) -> None:
    """Shake hands, and receive a request, unless the client leaves before."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            tls.do_handshake()
            tls.recv(FIRST_BYTES)
        except SSL.WantReadError:
            await loop.sock_sendall(accepted, _pending(tls))
            if not (content := await loop.sock_recv(accepted, FIRST_BYTES)):
                return
            tls.bio_write(content)
        else:
            return


def _pending(tls: SSL.Connection) -> bytes:
    try:
        return tls.bio_read(FIRST_BYTES)
    except SSL.WantReadError:
        return b""


def _context(issued: IssuedCertificate) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.use_privatekey(crypto.PKey.from_cryptography_key(issued.key))
    context.use_certificate(crypto.X509.from_cryptography(issued.chain[0]))
    for certificate in issued.chain[1:]:
        context.add_extra_chain_cert(crypto.X509.from_cryptography(certificate))
    return context
