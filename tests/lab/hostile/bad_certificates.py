"""Certificates that no authority should issue, and chains that no server should send.

Each is a `CertificateSource`, or a function that makes one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from exporter.demo.authority import (
    AUTHORITY_LIFETIME,
    LEAF_LIFETIME,
    Authority,
    Hierarchy,
    IssuedCertificate,
    Issuer,
    PrivateKey,
    alternative_names,
    authority_draft,
    common_name,
    leaf_draft,
    new_p256_key,
)
from exporter.demo.servers import CertificateSource
from tests.lab.certificates import new_rsa_key

DAY = timedelta(days=1)
RSA_BITS, WEAK_RSA_BITS = 2048, 1024
# Object identifiers with their parameters, DER (RFC 8017, appendix C). RSASSA-PSS without any uses SHA-1.
SHA256_WITH_RSA = bytes.fromhex("2a864886f70d01010b0500")
SHA1_WITH_RSA = bytes.fromhex("2a864886f70d0101050500")
MD5_WITH_RSA = bytes.fromhex("2a864886f70d0101040500")
SHA1_WITH_PSS = bytes.fromhex("2a864886f70d01010a3000")
SHA1_PADDING = PSS(MGF1(SHA1()), 20)
SEQUENCE = 0x30
DNS_NAME, DIRECTORY_NAME, IP_ADDRESS = 0x82, 0xA4, 0x87  # tags in subjectAltName (RFC 5280, section 4.2.1.6)
UNKNOWN_EXTENSION = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), b"\x05\x00")  # RFC 5612
_MARKUP = '<script>alert(1)</script>"\n\x1b[2J{{x}}\u202e'
_LAST_SECOND = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # "no well-defined expiration date" (RFC 5280, 4.1.2.5)


def nameless_leaf(name: str, key: PrivateKey, subject: x509.Name | None = None) -> x509.CertificateBuilder:
    """Draft a leaf without subjectAltName."""
    now = datetime.now(UTC)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    owner = Issuer(subject or common_name(name), key)
    return leaf_draft(owner, now - DAY, now + LEAF_LIFETIME).add_extension(purpose, critical=False)


def leaf_for(name: str, key: PrivateKey) -> x509.CertificateBuilder:
    return nameless_leaf(name, key).add_extension(alternative_names([name]), critical=False)


def issue_with_intermediate(authority: Authority, key: PrivateKey, leaf: x509.CertificateBuilder) -> IssuedCertificate:
    """Sign the leaf, and send the intermediate with it, as usual."""
    return IssuedCertificate(key, (authority.trusted.signer.sign(leaf), authority.trusted.intermediate))


# ---------------------------------------------------------------- the chain


def with_intermediate(
    begins: timedelta = -AUTHORITY_LIFETIME, ends: timedelta = AUTHORITY_LIFETIME
) -> CertificateSource:
    """The intermediate is valid between these times, which are relative to now."""

    def issue(authority: Authority, name: str) -> IssuedCertificate:
        key, trusted = new_p256_key(), authority.trusted
        intermediate = trusted.root_signer.sign(authority_draft(trusted.signer, 0, begins=begins, ends=ends))
        return IssuedCertificate(key, (trusted.signer.sign(leaf_for(name, key)), intermediate))

    return issue


def with_expired_root(authority: Authority, name: str) -> IssuedCertificate:
    """The root is trusted, and expired yesterday."""
    key, expired = new_p256_key(), Hierarchy("Expired", ends=-DAY)
    authority.trust(expired.root)
    return IssuedCertificate(key, (expired.signer.sign(leaf_for(name, key)), expired.intermediate))


def signed_by_leaf(authority: Authority, name: str) -> IssuedCertificate:
    """The issuer is a leaf, which may not sign certificates."""
    key, signer = new_p256_key(), Issuer(common_name("No Authority"), new_p256_key())
    above = issue_with_intermediate(authority, signer.key, leaf_for("no-authority.hostile.test", signer.key))
    leaf = Issuer(above.chain[0].subject, signer.key).sign(leaf_for(name, key))
    return IssuedCertificate(key, (leaf, *above.chain))


def with_one_intermediate_too_many(authority: Authority, name: str) -> IssuedCertificate:
    """The intermediate may have no authority below it, and has one."""
    key, lower, trusted = new_p256_key(), Issuer(common_name("Too Deep"), new_p256_key()), authority.trusted
    between = trusted.signer.sign(authority_draft(lower, path_length=0))
    return IssuedCertificate(key, (lower.sign(leaf_for(name, key)), between, trusted.intermediate))


def with_name_constraints(authority: Authority, name: str) -> IssuedCertificate:
    """The intermediate may only sign for names of another domain."""
    key, trusted = new_p256_key(), authority.trusted
    allowed = x509.NameConstraints(permitted_subtrees=[x509.DNSName("elsewhere.test")], excluded_subtrees=None)
    intermediate = authority_draft(trusted.signer, 0).add_extension(allowed, critical=True)
    return IssuedCertificate(key, (trusted.signer.sign(leaf_for(name, key)), trusted.root_signer.sign(intermediate)))


def signed_by_namesake(authority: Authority, name: str) -> IssuedCertificate:
    """The issuer has the name of the intermediate, and another key."""
    key = new_p256_key()
    namesake = Issuer(authority.trusted.signer.name, new_p256_key())
    return IssuedCertificate(key, (namesake.sign(leaf_for(name, key)), authority.trusted.intermediate))


def in_wrong_order(authority: Authority, name: str) -> IssuedCertificate:
    good = authority.issue([name])
    return IssuedCertificate(good.key, (good.chain[0], authority.trusted.root, good.chain[1]))


def with_unrelated(count: int) -> CertificateSource:
    """After the chain, the server sends this many unrelated certificates of some 600 bytes each."""

    def issue(authority: Authority, name: str) -> IssuedCertificate:
        good = authority.issue([name])
        return IssuedCertificate(good.key, (*good.chain, *[Hierarchy("Unrelated").root] * count))

    return issue


# ---------------------------------------------------------------- keys and signatures


def with_rsa(authority: Authority, name: str) -> IssuedCertificate:
    """A good certificate with an RSA key."""
    key = new_rsa_key()
    return issue_with_intermediate(authority, key, leaf_for(name, key))


def with_weak_rsa(authority: Authority, name: str) -> IssuedCertificate:
    key = new_rsa_key(WEAK_RSA_BITS)
    return issue_with_intermediate(authority, key, leaf_for(name, key))


def with_weak_curve(authority: Authority, name: str) -> IssuedCertificate:
    key = ec.generate_private_key(ec.SECP192R1())
    return issue_with_intermediate(authority, key, leaf_for(name, key))


def signed_with(
    algorithm: HashAlgorithm, identifier: bytes, padding: AsymmetricPadding | None = None
) -> CertificateSource:
    """The leaf is signed with a hash that the library refuses: the signature is replaced in the finished leaf."""

    def issue(authority: Authority, name: str) -> IssuedCertificate:
        key, signer = new_p256_key(), rsa.generate_private_key(65537, RSA_BITS)
        issuer = Issuer(common_name("Old Habits"), signer)
        intermediate = authority.trusted.root_signer.sign(authority_draft(issuer, path_length=0))
        good = issuer.sign(leaf_for(name, key)).public_bytes(Encoding.DER).replace(SHA256_WITH_RSA, identifier)
        signed = x509.load_der_x509_certificate(good).tbs_certificate_bytes
        weak = good[: -RSA_BITS // 8] + signer.sign(signed, padding or PKCS1v15(), algorithm)
        return IssuedCertificate(key, (x509.load_der_x509_certificate(weak), intermediate))

    return issue


def with_weak_pss_issuer(authority: Authority, name: str) -> IssuedCertificate:
    """The leaf has an RSASSA-PSS signature, by an intermediate whose key is too short."""
    key, issuer = new_p256_key(), Issuer(common_name("Short Key"), new_rsa_key(WEAK_RSA_BITS))
    assert isinstance(issuer.key, rsa.RSAPrivateKey)
    intermediate = authority.trusted.root_signer.sign(authority_draft(issuer, path_length=0))
    padding = PSS(MGF1(SHA256()), PSS.DIGEST_LENGTH)
    leaf = leaf_for(name, key).issuer_name(issuer.name).sign(issuer.key, SHA256(), rsa_padding=padding)
    return IssuedCertificate(key, (leaf, intermediate))


# ---------------------------------------------------------------- names


def with_names(names: Sequence[str]) -> CertificateSource:
    """`{}` in these names stands for the name that is asked for."""

    def issue(authority: Authority, name: str) -> IssuedCertificate:
        return authority.issue([template.replace("{}", name) for template in names])

    return issue


def with_raw_name(tag: int, content: bytes) -> CertificateSource:
    """One entry of subjectAltName, byte for byte; `{}` in it stands for the name that is asked for."""

    def issue(authority: Authority, name: str) -> IssuedCertificate:
        key, entry = new_p256_key(), der(tag, content.replace(b"{}", name.encode()))
        leaf = nameless_leaf(name, key).add_extension(raw_names(entry), critical=False)
        return issue_with_intermediate(authority, key, leaf)

    return issue


def raw_names(*entries: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, der(SEQUENCE, b"".join(entries)))


def der(tag: int, content: bytes) -> bytes:
    """Encode one value of at most 64 KiB (X.690, section 8.1)."""
    size = len(content)
    long_form = b"" if size < 0x80 else b"\x81" if size < 0x100 else b"\x82"
    return bytes([tag]) + long_form + size.to_bytes(2 if size > 0xFF else 1, "big") + content


def with_markup(authority: Authority, name: str) -> IssuedCertificate:
    """The names of the issuer and the subject would do harm in a page, in a label and on a terminal."""
    key, issuer, trusted = new_p256_key(), Issuer(_markup_name(), new_p256_key()), authority.trusted
    intermediate = trusted.root_signer.sign(authority_draft(issuer, path_length=0))
    leaf = nameless_leaf(name, key, _markup_name()).add_extension(alternative_names([name]), critical=False)
    return IssuedCertificate(key, (issuer.sign(leaf), intermediate))


def _markup_name() -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _MARKUP)])


# ---------------------------------------------------------------- other extensions and dates


def with_unknown_critical_extension(authority: Authority, name: str) -> IssuedCertificate:
    key = new_p256_key()
    leaf = leaf_for(name, key).add_extension(UNKNOWN_EXTENSION, critical=True)
    return issue_with_intermediate(authority, key, leaf)


def without_end(authority: Authority, name: str) -> IssuedCertificate:
    return authority.issue([name], not_after=_LAST_SECOND)
