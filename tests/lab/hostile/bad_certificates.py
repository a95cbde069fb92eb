"""Certificates that no authority should have issued, and chains that no server should send."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from exporter.demo.authority import (
    AUTHORITY_LIFETIME,
    LEAF_LIFETIME,
    Authority,
    IssuedCertificate,
    Issuer,
    KeyType,
    PrivateKey,
    alternative_names,
    authority_draft,
    common_name,
    leaf_draft,
    new_key,
)
from exporter.demo.servers import CertificateSource

DAY = timedelta(days=1)
RSA_BITS, WEAK_RSA_BITS = 2048, 1024
SHA256_WITH_RSA = bytes.fromhex("2a864886f70d01010b")  # object identifiers, DER (RFC 8017, appendix C)
SHA1_WITH_RSA = bytes.fromhex("2a864886f70d010105")
MD5_WITH_RSA = bytes.fromhex("2a864886f70d010104")
SEQUENCE = 0x30
DNS_NAME, DIRECTORY_NAME, IP_ADDRESS = 0x82, 0xA4, 0x87  # in subjectAltName (RFC 5280, section 4.2.1.6)
UNKNOWN_EXTENSION = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), b"\x05\x00")  # RFC 5612
MARKUP = '<script>alert(1)</script>"\n\x1b[2J{{x}}\u202e'
LAST_SECOND = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # "no well-defined expiration date" (RFC 5280, 4.1.2.5)


def a_leaf(name: str, key: PrivateKey, subject: x509.Name | None = None) -> x509.CertificateBuilder:
    """Without the names for which it is."""
    now = datetime.now(UTC)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    whole = Issuer(subject or common_name(name), key)
    return leaf_draft(whole, now - DAY, now + LEAF_LIFETIME).add_extension(purpose, critical=False)


def for_name(name: str, key: PrivateKey) -> x509.CertificateBuilder:
    return a_leaf(name, key).add_extension(alternative_names([name]), critical=False)


def issued(authority: Authority, key: PrivateKey, leaf: x509.CertificateBuilder) -> IssuedCertificate:
    """As it is usual: with the intermediate."""
    return IssuedCertificate(key, (authority.trusted.signer.sign(leaf), authority.trusted.intermediate))


# ---------------------------------------------------------------- the chain


def under_an_intermediate(
    begins: timedelta = -AUTHORITY_LIFETIME, ends: timedelta = AUTHORITY_LIFETIME
) -> CertificateSource:
    """Which is valid from and to so long from now."""

    def issue(authority: Authority, name: str) -> IssuedCertificate:
        key, trusted = new_key(KeyType.EC), authority.trusted
        intermediate = authority_draft(trusted.signer, 0, begins=begins, ends=ends)
        return IssuedCertificate(
            key, (trusted.signer.sign(for_name(name, key)), trusted.root_signer.sign(intermediate))
        )

    return issue


def under_a_lapsed_root(authority: Authority, name: str) -> IssuedCertificate:
    key, lapsed = new_key(KeyType.EC), authority.lapsed
    return IssuedCertificate(key, (lapsed.signer.sign(for_name(name, key)), lapsed.intermediate))


def under_a_leaf(authority: Authority, name: str) -> IssuedCertificate:
    """Signed by one who may not sign."""
    key, middle = new_key(KeyType.EC), Issuer(common_name("No Authority"), new_key(KeyType.EC))
    above = issued(authority, middle.key, for_name("no-authority.hostile.test", middle.key))
    leaf = Issuer(above.chain[0].subject, middle.key).sign(for_name(name, key))
    return IssuedCertificate(key, (leaf, *above.chain))


def under_one_too_many(authority: Authority, name: str) -> IssuedCertificate:
    """The intermediate may have no authority beneath it, and has one."""
    key, middle, trusted = new_key(KeyType.EC), Issuer(common_name("Too Deep"), new_key(KeyType.EC)), authority.trusted
    between = trusted.signer.sign(authority_draft(middle, path_length=0))
    return IssuedCertificate(key, (middle.sign(for_name(name, key)), between, trusted.intermediate))


def under_one_for_others(authority: Authority, name: str) -> IssuedCertificate:
    """The intermediate may only sign for names of another domain."""
    key, trusted = new_key(KeyType.EC), authority.trusted
    allowed = x509.NameConstraints(permitted_subtrees=[x509.DNSName("elsewhere.test")], excluded_subtrees=None)
    intermediate = authority_draft(trusted.signer, 0).add_extension(allowed, critical=True)
    return IssuedCertificate(key, (trusted.signer.sign(for_name(name, key)), trusted.root_signer.sign(intermediate)))


def by_a_namesake(authority: Authority, name: str) -> IssuedCertificate:
    """Signed in the name of the intermediate, with another key."""
    key = new_key(KeyType.EC)
    namesake = Issuer(authority.trusted.signer.name, new_key(KeyType.EC))
    return IssuedCertificate(key, (namesake.sign(for_name(name, key)), authority.trusted.intermediate))


def in_wrong_order(authority: Authority, name: str) -> IssuedCertificate:
    good = authority.issue([name])
    return IssuedCertificate(good.key, (good.chain[0], authority.trusted.root, good.chain[1]))


def with_copies(count: int) -> CertificateSource:
    """So many certificates that have nothing to do with it, of some 600 bytes each."""

    def issue(authority: Authority, name: str) -> IssuedCertificate:
        good = authority.issue([name])
        return IssuedCertificate(good.key, (*good.chain, *[authority.lapsed.root] * count))

    return issue


# ---------------------------------------------------------------- keys and signatures


def with_rsa(authority: Authority, name: str) -> IssuedCertificate:
    """As it should be."""
    return authority.issue([name], key_type=KeyType.RSA)


def with_weak_rsa(authority: Authority, name: str) -> IssuedCertificate:
    key = rsa.generate_private_key(65537, WEAK_RSA_BITS)
    return issued(authority, key, for_name(name, key))


def with_weak_curve(authority: Authority, name: str) -> IssuedCertificate:
    key = ec.generate_private_key(ec.SECP192R1())
    return issued(authority, key, for_name(name, key))


def signed_with(algorithm: HashAlgorithm, identifier: bytes) -> CertificateSource:
    def issue(authority: Authority, name: str) -> IssuedCertificate:
        key, signer = new_key(KeyType.EC), rsa.generate_private_key(65537, RSA_BITS)
        middle = Issuer(common_name("Old Habits"), signer)
        intermediate = authority.trusted.root_signer.sign(authority_draft(middle, path_length=0))
        sound = middle.sign(for_name(name, key)).public_bytes(Encoding.DER).replace(SHA256_WITH_RSA, identifier)
        signed = x509.load_der_x509_certificate(sound).tbs_certificate_bytes
        weak = sound[: -RSA_BITS // 8] + signer.sign(signed, PKCS1v15(), algorithm)
        return IssuedCertificate(key, (x509.load_der_x509_certificate(weak), intermediate))

    return issue


# ---------------------------------------------------------------- names


def bearing(names: Sequence[str]) -> CertificateSource:
    """These instead of the one that is asked for; `{}` in them stands for it."""

    def issue(authority: Authority, name: str) -> IssuedCertificate:
        return authority.issue([borne.replace("{}", name) for borne in names])

    return issue


def bearing_raw(kind: int, content: bytes) -> CertificateSource:
    """One entry of subjectAltName, byte for byte; `{}` in it stands for the name."""

    def issue(authority: Authority, name: str) -> IssuedCertificate:
        key, entry = new_key(KeyType.EC), der(kind, content.replace(b"{}", name.encode()))
        return issued(authority, key, a_leaf(name, key).add_extension(raw_names(entry), critical=False))

    return issue


def raw_names(*entries: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, der(SEQUENCE, b"".join(entries)))


def der(kind: int, content: bytes) -> bytes:
    """One value of at most 64 KiB (X.690, section 8.1)."""
    size = len(content)
    long_form = b"" if size < 0x80 else b"\x81" if size < 0x100 else b"\x82"
    return bytes([kind]) + long_form + size.to_bytes(2 if size > 0xFF else 1, "big") + content


def called_by_markup(authority: Authority, name: str) -> IssuedCertificate:
    """Issued by, and for, what would do harm in a page, in a label and on a terminal."""
    key, middle, trusted = new_key(KeyType.EC), Issuer(markup(), new_key(KeyType.EC)), authority.trusted
    intermediate = trusted.root_signer.sign(authority_draft(middle, path_length=0))
    leaf = a_leaf(name, key, markup()).add_extension(alternative_names([name]), critical=False)
    return IssuedCertificate(key, (middle.sign(leaf), intermediate))


def markup() -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, MARKUP)])


# ---------------------------------------------------------------- and else


def with_unknown_demand(authority: Authority, name: str) -> IssuedCertificate:
    """An extension that must be understood, and that nobody knows."""
    key = new_key(KeyType.EC)
    return issued(authority, key, for_name(name, key).add_extension(UNKNOWN_EXTENSION, critical=True))


def without_end(authority: Authority, name: str) -> IssuedCertificate:
    return authority.issue([name], not_after=LAST_SECOND)
