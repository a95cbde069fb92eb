"""Chains whose verification takes far more CPU time than that of others, in OpenSSL and in one call.

With an exponent as long as the modulus, one verification of an RSA signature takes some 6 ms instead of 50 µs. OpenSSL
accepts such exponents up to 3072 bits. Each of these is a `CertificateSource`, or a function that makes one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from math import lcm

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from exporter.demo.authority import (
    Authority,
    IssuedCertificate,
    Issuer,
    PrivateKey,
    common_name,
    new_p256_key,
)
from exporter.demo.servers import CertificateSource
from tests.lab.hostile.bad_certificates import DAY, leaf_for

MAX_BITS = 3072
LARGE_BITS = 8200  # a few more than are accepted
ISSUERS = 11  # as many as fit into the values and the bytes that the exporter reads
_PRIVATE_EXPONENT = 65537  # short, so that the lab signs as fast as others verify


@cache
def slow_key() -> rsa.RSAPrivateKey:
    """Return a key whose public exponent is as long as its modulus."""
    numbers = rsa.generate_private_key(65537, MAX_BITS).private_numbers()
    p, q, d = numbers.p, numbers.q, _PRIVATE_EXPONENT
    public = rsa.RSAPublicNumbers(pow(d, -1, lcm(p - 1, q - 1)), p * q)
    private = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), numbers.iqmp, public)
    return private.private_key(unsafe_skip_rsa_key_validation=True)


def issued_by_slow_keys(issuers: int) -> CertificateSource:
    """Each of these issuers is signed by the next one, and the last one by the root."""
    return lambda authority, name: _chain(name, [slow_key()] * issuers, authority.trusted.root_signer)


def issued_by_untrusted_slow_keys(issuers: int) -> CertificateSource:
    """Nobody knows who signed the last issuer."""
    return lambda _, name: _chain(name, [slow_key()] * issuers, Issuer(common_name("Nobody"), new_p256_key()))


def issued_by_itself_and_slow_keys(issuers: int) -> CertificateSource:
    """The last issuer has signed itself."""

    def issue(_: Authority, name: str) -> IssuedCertificate:
        top = Issuer(common_name("Slow Root"), slow_key())
        below = _chain(name, [slow_key()] * (issuers - 1), top)
        return IssuedCertificate(below.key, (*below.chain, _sign(top, top)))

    return issue


def with_slow_leaf(authority: Authority, name: str) -> IssuedCertificate:
    """The server proves in the handshake that it has this key, which takes another verification."""
    key = slow_key()
    return IssuedCertificate(key, (authority.trusted.signer.sign(leaf_for(name, key)), authority.trusted.intermediate))


def issued_by_large_key(authority: Authority, name: str) -> IssuedCertificate:
    """Nobody has the private key of the issuer: it would take minutes to generate."""
    key, issuer = new_p256_key(), Issuer(common_name("Large Key"), slow_key())
    large = rsa.RSAPublicNumbers(65537, 2**LARGE_BITS - 1).public_key()
    above = authority.trusted.root_signer.sign(_draft(issuer.name, large))
    return IssuedCertificate(key, (_sign(issuer, Issuer(common_name(name), key)), above))


def issued_by_dsa_key(authority: Authority, name: str) -> IssuedCertificate:
    key, signer = new_p256_key(), dsa.generate_private_key(1024)
    above = authority.trusted.root_signer.sign(_draft(common_name("Old Key"), signer.public_key()))
    leaf = _draft(common_name(name), key.public_key()).issuer_name(common_name("Old Key")).sign(signer, SHA256())
    return IssuedCertificate(key, (leaf, above))


def issued_by_many(issuers: int) -> CertificateSource:
    """Each of these issuers has an ordinary key, and is signed by the next one."""
    return lambda authority, name: _chain(name, [new_p256_key() for _ in range(issuers)], authority.trusted.root_signer)


def _chain(name: str, keys: Sequence[PrivateKey], top: Issuer) -> IssuedCertificate:
    """Sign a leaf with the first of these keys, each issuer with the next one, and the last one by `top`."""
    issuers = [*(Issuer(common_name(f"Authority {number}"), key) for number, key in enumerate(keys)), top]
    key = new_p256_key()
    above = (_sign(signer, subject) for subject, signer in pairwise(issuers))
    return IssuedCertificate(key, (issuers[0].sign(leaf_for(name, key)), *above))


def _sign(signer: Issuer, subject: Issuer) -> x509.Certificate:
    """Sign an issuer that consists of as few values as possible."""
    return _draft(subject.name, subject.key.public_key()).issuer_name(signer.name).sign(signer.key, SHA256())


def _draft(
    name: x509.Name, public_key: dsa.DSAPublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
