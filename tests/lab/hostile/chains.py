"""Chains with a certificate that is missing, that nobody needs, or that expires before the leaf.

Each is a `CertificateSource`, or a function that makes one.
"""

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.demo.authority import (
    Authority,
    Hierarchy,
    IssuedCertificate,
    Issuer,
    authority_draft,
    common_name,
    new_p256_key,
)
from tests.lab.certificates import new_rsa_key
from tests.lab.hostile.bad_certificates import (
    DAY,
    SHA1_WITH_RSA,
    SHA256_WITH_RSA,
    WEAK_RSA_BITS,
    leaf_for,
)

FORMER_INTERMEDIATE = "Lab Former Intermediate"
ISSUER_DAYS = 5


def _followed_by(authority: Authority, name: str, *others: x509.Certificate) -> IssuedCertificate:
    """Send these certificates after a good leaf."""
    good = authority.issue([name])
    return IssuedCertificate(good.key, (good.chain[0], *others))


# ---------------------------------------------------------------- the issuer is missing


def with_former_intermediate(authority: Authority, name: str) -> IssuedCertificate:
    """The leaf was renewed, and its issuer is another one since then."""
    former = Issuer(common_name(FORMER_INTERMEDIATE), new_p256_key())
    return _followed_by(authority, name, authority.trusted.root_signer.sign(authority_draft(former, path_length=0)))


def with_root_only(authority: Authority, name: str) -> IssuedCertificate:
    return _followed_by(authority, name, authority.trusted.root)


def with_leaf_twice(authority: Authority, name: str) -> IssuedCertificate:
    good = authority.issue([name])
    return IssuedCertificate(good.key, (good.chain[0], good.chain[0]))


def without_upper_intermediate(authority: Authority, name: str) -> IssuedCertificate:
    """There are two intermediates, and the root is sent in place of the upper one."""
    key, upper = new_p256_key(), Hierarchy("Unknown").signer
    lower = Issuer(common_name("Lab Lower"), new_p256_key())
    below = upper.sign(authority_draft(lower, path_length=0))
    return IssuedCertificate(key, (lower.sign(leaf_for(name, key)), below, authority.trusted.root))


# ---------------------------------------------------------------- the issuer has the name of the leaf


def self_issued(authority: Authority, name: str) -> IssuedCertificate:
    key, namesake = new_p256_key(), Issuer(common_name(name), new_p256_key())
    intermediate = authority.trusted.root_signer.sign(authority_draft(namesake, path_length=0))
    return IssuedCertificate(key, (namesake.sign(leaf_for(name, key)), intermediate))


def self_issued_without_key_identifier(authority: Authority, name: str) -> IssuedCertificate:
    """Nothing says that the issuer has another key, so OpenSSL takes the certificate for a self-signed one."""
    key, namesake = new_p256_key(), Issuer(common_name(name), new_p256_key())
    intermediate = authority.trusted.root_signer.sign(authority_draft(namesake, path_length=0))
    leaf = leaf_for(name, key).issuer_name(namesake.name).sign(namesake.key, hashes.SHA256())
    return IssuedCertificate(key, (leaf, intermediate))


# ---------------------------------------------------------------- nobody needs it


def cross_signature(authority: Authority, *, ends: timedelta) -> x509.Certificate:
    """Return a certificate of the root's key by an older root, which expires `ends` from now."""
    older = Hierarchy("Older").root_signer
    return older.sign(authority_draft(authority.trusted.root_signer, path_length=None, ends=ends))


def with_expired_cross_signature(authority: Authority, name: str) -> IssuedCertificate:
    expired = cross_signature(authority, ends=-DAY)
    return _followed_by(authority, name, authority.trusted.intermediate, expired)


def with_sha1_cross_signature(authority: Authority, name: str) -> IssuedCertificate:
    """It claims SHA-1. That its signature is not valid either does not matter: nobody looks at it."""
    older = Issuer(common_name("Older Root"), new_rsa_key())
    good = older.sign(authority_draft(authority.trusted.root_signer, path_length=None)).public_bytes(Encoding.DER)
    weak = x509.load_der_x509_certificate(good.replace(SHA256_WITH_RSA, SHA1_WITH_RSA))
    return _followed_by(authority, name, authority.trusted.intermediate, weak)


def with_unneeded_weak_key(authority: Authority, name: str) -> IssuedCertificate:
    key = rsa.generate_private_key(65537, WEAK_RSA_BITS)
    weak = Issuer(common_name("Unneeded"), key)
    return _followed_by(
        authority, name, authority.trusted.intermediate, weak.sign(authority_draft(weak, path_length=None))
    )


# ---------------------------------------------------------------- it is needed


def with_expiring_intermediate(authority: Authority, name: str) -> IssuedCertificate:
    """The intermediate expires in some days, long before the leaf."""
    key, trusted = new_p256_key(), authority.trusted
    ends = authority_draft(trusted.signer, 0, ends=timedelta(days=ISSUER_DAYS))
    return IssuedCertificate(key, (trusted.signer.sign(leaf_for(name, key)), trusted.root_signer.sign(ends)))
