"""Keys and signatures that are too weak."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from exporter.demo.authority import PrivateKey
from exporter.probing.parsing.strength import Weakness, weak_signature, weaknesses
from tests.certificates import RSA_KEY, certificate

PKCS1 = bytes.fromhex("2a864886f70d0101")
RSA_ENCRYPTION, MD5_WITH_RSA, SHA1_WITH_RSA, SHA256_WITH_RSA = (PKCS1 + bytes([last, 5, 0]) for last in (1, 4, 5, 11))
RSASSA_PSS = PKCS1 + b"\x0a\x30\x00"
SHA1_WITH_PSS = RSASSA_PSS
"""Without parameters, its hash is SHA-1 (RFC 8017, appendix A.2.3)."""


def found_in(*certificates: bytes) -> list[tuple[int, Weakness]]:
    """Return the weaknesses of a chain, the last certificate of which is the root."""
    chain = [x509.load_der_x509_certificate(der) for der in certificates]
    return list(weaknesses(chain, len(chain) - 1))


def signed_with(algorithm: bytes) -> bytes:
    """Return a certificate that names another signature algorithm. Libraries no longer sign with weak ones."""
    return certificate(signed_by=RSA_KEY).replace(SHA256_WITH_RSA, algorithm)


def only_for_pss(bits: int) -> bytes:
    """Return a certificate whose RSA key is for RSASSA-PSS only."""
    return certificate(key=rsa.generate_private_key(65537, bits)).replace(RSA_ENCRYPTION, RSASSA_PSS)


@pytest.mark.parametrize(
    ("key", "weakness"),
    [
        (
            rsa.generate_private_key(65537, 1962),
            Weakness("has an RSA key of 1962 bits, expected at least 2048", "RSA", 1962),
        ),
        (
            ec.generate_private_key(ec.SECP192R1()),
            Weakness("has an EC key of 192 bits, expected at least 224", "EC", 192),
        ),
    ],
    ids=["rsa", "ec"],
)
def test_finds_weak_keys_anywhere_in_the_chain(key: PrivateKey, weakness: Weakness) -> None:
    """The depth says which certificate it is."""
    good, weak = certificate(), certificate(key=key)
    assert found_in(weak, good) == [(0, weakness)]
    assert found_in(good, weak) == [(1, weakness)]


@pytest.mark.parametrize(
    "key",
    [
        RSA_KEY,
        rsa.generate_private_key(65537, 1963),
        ec.generate_private_key(ec.SECP224R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
)
def test_accepts_strong_keys(key: PrivateKey) -> None:
    """A key of exactly the minimum is strong enough, and ed25519 has no minimum."""
    assert found_in(certificate(key=key)) == []


@pytest.mark.parametrize(
    ("algorithm", "complaint"),
    [
        (SHA1_WITH_RSA, "is signed with SHA-1, which can be forged (sha1WithRSAEncryption)"),
        (MD5_WITH_RSA, "is signed with MD5, which can be forged (md5WithRSAEncryption)"),
        (SHA1_WITH_PSS, "is signed with SHA-1, which can be forged (rsassaPss with sha1)"),
    ],
    ids=["sha1", "md5", "sha1-pss"],
)
def test_finds_weak_signatures_below_the_root(algorithm: bytes, complaint: str) -> None:
    """The depth says which certificate it is."""
    good, weak = certificate(), signed_with(algorithm)
    assert found_in(weak, good) == [(0, Weakness(complaint))]
    assert found_in(good, weak, good) == [(1, Weakness(complaint))]


def test_ignores_the_signature_of_a_root() -> None:
    """Old roots have signed themselves with SHA-1. They are trusted for other reasons than their signature."""
    assert found_in(certificate(), signed_with(SHA1_WITH_RSA)) == []


def test_finds_weak_keys_that_are_for_rsassa_pss_only() -> None:
    """They are a kind of their own for OpenSSL."""
    weakness = Weakness("has an RSA-PSS key of 1024 bits, expected at least 2048", "RSA-PSS", 1024)
    assert found_in(only_for_pss(1024), only_for_pss(2048)) == [(0, weakness)]


@pytest.mark.parametrize(
    ("algorithm", "weak"),
    [("ecdsa-with-SHA1", True), ("ecdsa-with-SHA256", False), ("sha512WithRSAEncryption", False), ("ED25519", False)],
)
def test_recognises_weak_algorithms_by_their_names(algorithm: str, *, weak: bool) -> None:
    """The names are those of OpenSSL."""
    assert bool(list(weak_signature(algorithm))) is weak
