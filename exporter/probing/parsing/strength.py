"""Keys and signatures that are too weak. OpenSSL refuses them by default, and lets them pass for us (see
`internet.trust`), so that a server which has them is described, and not merely refused. Pure.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from cryptography import x509
from OpenSSL import crypto

# 112 bits of security (NIST SP 800-57 part 1, table 2): security level 2, which the large distributions choose
_MIN_KEY_BITS: Final = {
    crypto.TYPE_RSA: ("RSA", 2048),
    crypto.TYPE_DSA: ("DSA", 2048),
    crypto.TYPE_EC: ("EC", 224),
}
_BROKEN_HASHES: Final = {"md5": "MD5", "sha1": "SHA-1"}


def weaknesses(chain: Sequence[x509.Certificate]) -> Iterator[tuple[int, str]]:
    """Depth (0 is the leaf) and complaint. Raises ValueError or crypto.Error where a certificate cannot be read."""
    for depth, certificate in enumerate(chain):
        read = crypto.X509.from_cryptography(certificate)
        yield from ((depth, text) for text in _weak_key(read.get_pubkey()))
        if certificate.issuer != certificate.subject:  # a signature by itself proves nothing, and nobody checks it
            yield from ((depth, text) for text in weak_signature(read.get_signature_algorithm().decode()))


def _weak_key(key: crypto.PKey) -> Iterator[str]:
    name, enough = _MIN_KEY_BITS.get(key.type(), ("", 0))
    if key.bits() < enough:
        yield f"has an {name} key of {key.bits()} bits, at least {enough} are expected"


def weak_signature(algorithm: str) -> Iterator[str]:
    """`algorithm` as OpenSSL names it: sha1WithRSAEncryption, ecdsa-with-SHA1."""
    for name, shown in _BROKEN_HASHES.items():
        if name in algorithm.lower():
            yield f"is signed with {shown}, which can be forged ({algorithm})"
