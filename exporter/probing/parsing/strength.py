"""Keys and signatures that are too weak. Pure.

OpenSSL rejects them by default. The exporter makes it accept them (see `internet.tls_contexts`), so that a server which
has them can be described in full.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from cryptography import x509
from OpenSSL import crypto

# 112 bits of security (NIST SP 800-57 part 1, table 2): security level 2 of OpenSSL, as the large distributions choose
_MIN_KEY_BITS: Final = {
    crypto.TYPE_RSA: ("RSA", 2048),
    crypto.TYPE_DSA: ("DSA", 2048),
    crypto.TYPE_EC: ("EC", 224),
}
_BROKEN_HASHES: Final = {"md5": "MD5", "sha1": "SHA-1"}


def weaknesses(chain: Sequence[x509.Certificate]) -> Iterator[tuple[int, str]]:
    """Yield a depth (0 is the leaf) and a complaint for each weakness.

    Raises ValueError or crypto.Error if a certificate cannot be parsed.
    """
    for depth, certificate in enumerate(chain):
        parsed = crypto.X509.from_cryptography(certificate)
        yield from ((depth, text) for text in _weak_key(parsed.get_pubkey()))
        if certificate.issuer != certificate.subject:  # a signature by itself proves nothing, and nobody checks it
            yield from ((depth, text) for text in weak_signature(parsed.get_signature_algorithm().decode()))


def _weak_key(key: crypto.PKey) -> Iterator[str]:
    name, min_bits = _MIN_KEY_BITS.get(key.type(), ("", 0))
    if key.bits() < min_bits:
        yield f"has an {name} key of {key.bits()} bits, expected at least {min_bits}"


def weak_signature(algorithm: str) -> Iterator[str]:
    """Yield a complaint if a signature algorithm is weak. OpenSSL names it, as in sha1WithRSAEncryption."""
    for name, shown in _BROKEN_HASHES.items():
        if name in algorithm.lower():
            yield f"is signed with {shown}, which can be forged ({algorithm})"
