"""A certificate authority built like a public one, which issues good and bad certificates.

The chain is leaf <- intermediate <- root, with the extensions that public authorities use, so that strict verifiers
accept it.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from exporter.model.names import ip_literal

LEAF_LIFETIME = timedelta(days=90)  # that of Let's Encrypt, the most used public authority
AUTHORITY_LIFETIME = timedelta(days=3650)
_BACKDATED = timedelta(hours=1)  # as public authorities do, for clients whose clocks are slow
_MAX_COMMON_NAME = 64  # ub-common-name (RFC 5280, appendix A.1)

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NewKey: TypeAlias = Callable[[], PrivateKey]


def new_p256_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class ChainKeys:
    """Generates the keys of a chain."""

    root: NewKey = new_p256_key
    intermediate: NewKey = new_p256_key
    leaf: NewKey = new_p256_key


_P256_KEYS: Final = ChainKeys()


# ---------------------------------------------------------------- certificates that are issued


class Signer(StrEnum):
    """Who signs a certificate."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"
    """An authority whose root no client knows."""
    ITSELF = "itself"


@dataclass(frozen=True, slots=True)
class CertificateProfile:
    """How a certificate is made; the defaults make a good one. Times are relative to now."""

    not_before: timedelta = -_BACKDATED
    not_after: timedelta = LEAF_LIFETIME
    names: tuple[str, ...] = ()
    """Replace the names that are asked for."""
    has_alternative_names: bool = True
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH
    signer: Signer = Signer.TRUSTED
    issuers_sent: int = 1
    """How many of the intermediate and the root, in this order, the server sends after its own certificate."""


VALID: Final = CertificateProfile()
EXPIRED: Final = CertificateProfile(not_before=-LEAF_LIFETIME, not_after=-timedelta(days=1))
WRONG_NAME: Final = CertificateProfile(names=("somewhere-else.test",))
UNTRUSTED: Final = CertificateProfile(signer=Signer.UNTRUSTED, issuers_sent=2)
"""The whole chain is sent, including its root: nothing is missing but trust."""
INCOMPLETE_CHAIN: Final = CertificateProfile(issuers_sent=0)


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A private key, and the certificates as a server sends them, the leaf first."""

    key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def pem(self) -> bytes:
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self.chain)

    def server_context(self) -> ssl.SSLContext:
        """Return a context for TLS 1.2 and newer, which accepts weak keys and signatures too."""
        context = empty_context()
        with NamedTemporaryFile(suffix=".pem") as file:  # Python's ssl module reads keys from files only
            file.write(self.pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context


def empty_context() -> ssl.SSLContext:
    """Return a context for servers, without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL's default level refuses weak keys, and TLS below 1.2
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass(frozen=True, slots=True)
class Issuer:
    """The name and the key of an authority."""

    name: x509.Name
    key: PrivateKey

    def sign(self, draft: x509.CertificateBuilder) -> x509.Certificate:
        key_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return draft.issuer_name(self.name).add_extension(key_identifier, critical=False).sign(self.key, SHA256())


class Hierarchy:
    """A root, and the intermediate that signs for it. The root expires `ends` from now."""

    def __init__(self, name: str, keys: ChainKeys = _P256_KEYS, ends: timedelta = AUTHORITY_LIFETIME) -> None:
        self.root_signer = Issuer(common_name(f"{name} Root"), keys.root())
        self.signer = Issuer(common_name(f"{name} Intermediate"), keys.intermediate())
        self.root = self.root_signer.sign(authority_draft(self.root_signer, path_length=None, ends=ends))
        self.intermediate = self.root_signer.sign(authority_draft(self.signer, path_length=0))


class Authority:
    """Issues certificates. `ca_file`, in `folder`, is the PEM bundle of the roots that clients should trust."""

    def __init__(self, folder: Path, keys: ChainKeys = _P256_KEYS) -> None:
        self.trusted = Hierarchy("Lab", keys)
        self._hierarchies = {Signer.TRUSTED: self.trusted, Signer.UNTRUSTED: Hierarchy("Unknown")}
        self._new_leaf_key = keys.leaf
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self.trusted.root.public_bytes(Encoding.PEM))

    def trust(self, root: x509.Certificate) -> None:
        """Add a root to `ca_file`."""
        with self.ca_file.open("ab") as file:
            file.write(root.public_bytes(Encoding.PEM))

    def issue(
        self,
        names: Sequence[str],
        profile: CertificateProfile = VALID,
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> IssuedCertificate:
        """Issue a certificate for DNS names (wildcards too) and IP addresses.

        The dates are truncated to seconds, and override those of the profile.
        """
        now, key = datetime.now(UTC), self._new_leaf_key()
        names = profile.names or tuple(names)
        subject = Issuer(common_name(names[0]), key)
        leaf = leaf_draft(subject, not_before or now + profile.not_before, not_after or now + profile.not_after)
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([profile.purpose]), critical=False)
        if profile.has_alternative_names:
            leaf = leaf.add_extension(alternative_names(names), critical=False)
        if profile.signer is Signer.ITSELF:
            return IssuedCertificate(key, (subject.sign(leaf),))
        hierarchy = self._hierarchies[profile.signer]
        issuers = (hierarchy.intermediate, hierarchy.root)[: profile.issuers_sent]
        return IssuedCertificate(key, (hierarchy.signer.sign(leaf), *issuers))


def common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:_MAX_COMMON_NAME])])


def alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [x509.IPAddress(ip_address(name)) if ip_literal(name) else x509.DNSName(name) for name in names]
    )


# ---------------------------------------------------------------- drafts: certificates without issuer and signature


def draft(subject: Issuer, not_before: datetime, not_after: datetime) -> x509.CertificateBuilder:
    public_key = subject.key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject.name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def authority_draft(
    subject: Issuer,
    path_length: int | None,
    *,
    begins: timedelta = -AUTHORITY_LIFETIME,
    ends: timedelta = AUTHORITY_LIFETIME,
) -> x509.CertificateBuilder:
    """`path_length` is how many intermediates may follow below, None for any number; times are relative to now."""
    now = datetime.now(UTC)
    return (
        draft(subject, now + begins, now + ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
    )


def leaf_draft(subject: Issuer, not_before: datetime, not_after: datetime) -> x509.CertificateBuilder:
    return (
        draft(subject, not_before, not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
