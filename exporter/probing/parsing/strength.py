"""Keys and signatures that are too weak. Pure.

OpenSSL rejects them by default. The exporter makes it accept them (see `internet.tls_contexts`), so that a server which
has them can be described in full.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import SignatureAlgorithmOID
from OpenSSL import crypto

_TYPE_RSA_PSS = 912  # EVP_PKEY_RSA_PSS (openssl/evp.h): an RSA key that is for RSASSA-PSS only (RFC 4055)
# 112 bits of security: security level 2 of OpenSSL, as the large distributions choose
_MIN_RSA_BITS = 1963  # as OpenSSL computes it (ossl_ifc_ffc_compute_security_bits)
_MIN_KEY_BITS: Final = {
    crypto.TYPE_RSA: ("RSA", _MIN_RSA_BITS),
    _TYPE_RSA_PSS: ("RSA-PSS", _MIN_RSA_BITS),
    crypto.TYPE_EC: ("EC", 224),
}
_USUAL_BITS: Final = {"RSA": 2048, "RSA-PSS": 2048}  # (NIST SP 800-57 part 1, table 2)
_BROKEN_HASHES: Final = {"md5": "MD5", "sha1": "SHA-1"}


class Weakness(NamedTuple):
    """What is weak about a certificate: a signature, or a key, which then has a kind and a size."""

    text: str
    key_kind: str = ""
    key_bits: int = 0


def weaknesses(chain: Sequence[x509.Certificate], signatures: int) -> Iterator[tuple[int, Weakness]]:
    """Yield a depth (0 is the leaf) and each weakness of a chain that OpenSSL has built.

    Only the first `signatures` of its signatures count: a root is trusted for other reasons.

    Raises ValueError or crypto.Error if a certificate cannot be parsed.
    """
    for depth, certificate in enumerate(chain):
        parsed = crypto.X509.from_cryptography(certificate)
        yield from ((depth, weakness) for weakness in _weak_key(parsed.get_pubkey()))
        if depth < signatures:
            complaints = weak_signature(_signature_algorithm(certificate, parsed))
            yield from ((depth, Weakness(text)) for text in complaints)


def _weak_key(key: crypto.PKey) -> Iterator[Weakness]:
    name, min_bits = _MIN_KEY_BITS.get(key.type(), ("", 0))
    if key.bits() < min_bits:
        text = f"has an {name} key of {key.bits()} bits, expected at least {_USUAL_BITS.get(name, min_bits)}"
        yield Weakness(text, name, key.bits())


def _signature_algorithm(certificate: x509.Certificate, parsed: crypto.X509) -> str:
    """Return OpenSSL's name of the algorithm, as in sha1WithRSAEncryption. RSASSA-PSS has the hash as a parameter."""
    name = parsed.get_signature_algorithm().decode()
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
        return name
    try:
        used = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return name
    return f"{name} with {used.name}" if used else name


def weak_signature(algorithm: str) -> Iterator[str]:
    """Yield a complaint if a signature algorithm is weak."""
    for name, shown in _BROKEN_HASHES.items():
        if name in algorithm.lower():
            yield f"is signed with {shown}, which can be forged ({algorithm})"
