"""A certificate authority that is built like a public one, and certificates in every state that servers get into.

Leaf <- intermediate <- root, with the extensions of real authorities, so that strict verification has no complaint.
"""

import ssl
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
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

LEAF_LIFETIME = timedelta(days=90)  # as the most used public authority has it
AUTHORITY_LIFETIME = timedelta(days=3650)
_BACKDATED = timedelta(hours=1)  # public authorities do so, for clocks that are slow
_MAX_COMMON_NAME = 64  # ub-common-name (RFC 5280, appendix A.1)

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyType(StrEnum):
    EC = "ec"
    RSA = "rsa"


def _p256() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _p384() -> PrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def _rsa_key(bits: int) -> PrivateKey:
    return rsa.generate_private_key(65537, bits)


_KEYS: Final[dict[KeyType, Callable[[], PrivateKey]]] = {KeyType.EC: _p256, KeyType.RSA: partial(_rsa_key, 2048)}


@dataclass(frozen=True, slots=True)
class ChainKeys:
    """What keys a chain is made of."""

    root: Callable[[], PrivateKey]
    intermediate: Callable[[], PrivateKey]
    leaf: KeyType


P256_KEYS: Final = ChainKeys(_p256, _p256, KeyType.EC)
# As Let's Encrypt has them (https://letsencrypt.org/certificates/), and with it most of the servers there are.
LINEAGES: Final = {
    "ecdsa": ChainKeys(partial(_rsa_key, 4096), _p384, KeyType.EC),
    "rsa": ChainKeys(partial(_rsa_key, 4096), partial(_rsa_key, 2048), KeyType.RSA),
}


class CertificateState(StrEnum):
    VALID = "valid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_NAME = "wrong_name"
    SELF_SIGNED = "self_signed"
    UNTRUSTED = "untrusted"
    """Of an authority that nobody trusts, and the whole chain is sent, its root too: nothing is missing but trust."""
    INCOMPLETE_CHAIN = "incomplete_chain"
    COMMON_NAME_ONLY = "common_name_only"
    FOR_CLIENTS = "for_clients"
    """Its purpose is to name a client, and no server."""


class _Signer(StrEnum):
    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    ITSELF = "itself"


@dataclass(frozen=True, slots=True)
class _Making:
    """How a certificate is made; the defaults make a good one. `begins` and `ends` are counted from now."""

    begins: timedelta = -_BACKDATED
    ends: timedelta = LEAF_LIFETIME
    names: tuple[str, ...] = ()
    """Instead of those asked for."""
    alternative_names: bool = True
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH
    signer: _Signer = _Signer.TRUSTED
    issuers_sent: int = 1
    """How many of intermediate and root, in this order, the server sends after its own."""


_MAKINGS = {
    CertificateState.VALID: _Making(),
    CertificateState.EXPIRED: _Making(begins=-LEAF_LIFETIME, ends=-timedelta(days=1)),
    CertificateState.NOT_YET_VALID: _Making(begins=timedelta(days=1)),
    CertificateState.WRONG_NAME: _Making(names=("somewhere-else.test",)),
    CertificateState.SELF_SIGNED: _Making(signer=_Signer.ITSELF, issuers_sent=0),
    CertificateState.UNTRUSTED: _Making(signer=_Signer.UNKNOWN, issuers_sent=2),
    CertificateState.INCOMPLETE_CHAIN: _Making(issuers_sent=0),
    CertificateState.COMMON_NAME_ONLY: _Making(alternative_names=False),
    CertificateState.FOR_CLIENTS: _Making(purpose=ExtendedKeyUsageOID.CLIENT_AUTH),
}


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A private key, and the certificates as a server sends them, the leaf first."""

    key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def pem(self) -> bytes:
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self.chain)

    def server_context(self, only: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """TLS 1.2 and newer, or `only` one version; with keys and signatures that are weak, too."""
        context = empty_context(only)
        with NamedTemporaryFile(suffix=".pem") as file:  # OpenSSL's wrapper reads keys from files only
            file.write(self.pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context


def empty_context(only: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """For servers, without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL's default level has no weak keys, and nothing below 1.2
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if only:
        with warnings.catch_warnings():  # Python's are about old versions, which are just what is wanted
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = only
    return context


@dataclass(frozen=True, slots=True)
class Issuer:
    name: x509.Name
    key: PrivateKey

    def sign(self, draft: x509.CertificateBuilder) -> x509.Certificate:
        key_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return draft.issuer_name(self.name).add_extension(key_identifier, critical=False).sign(self.key, SHA256())


class Hierarchy:
    """A root, and the intermediate that signs in its name. The root `ends` so long from now."""

    def __init__(self, name: str, lineage: ChainKeys = P256_KEYS, ends: timedelta = AUTHORITY_LIFETIME) -> None:
        self.root_signer = Issuer(common_name(f"{name} Root"), lineage.root())
        self.signer = Issuer(common_name(f"{name} Intermediate"), lineage.intermediate())
        self.root = self.root_signer.sign(authority_draft(self.root_signer, path_length=None, ends=ends))
        self.intermediate = self.root_signer.sign(authority_draft(self.signer, path_length=0))


class Authority:
    """Issues certificates. `ca_file` holds the roots that clients are to trust, as PEM, and lies in `folder`."""

    def __init__(self, folder: Path, lineage: ChainKeys = P256_KEYS) -> None:
        self.trusted = Hierarchy("Lab", lineage)
        self.lapsed = Hierarchy("Lapsed", ends=-timedelta(days=1))
        """Trusted, but for its root having expired yesterday."""
        self._hierarchies = {_Signer.TRUSTED: self.trusted, _Signer.UNKNOWN: Hierarchy("Unknown")}
        self._leaf = lineage.leaf
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(
            b"".join(hierarchy.root.public_bytes(Encoding.PEM) for hierarchy in (self.trusted, self.lapsed))
        )

    def issue(
        self,
        names: Sequence[str],
        state: CertificateState = CertificateState.VALID,
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key_type: KeyType | None = None,
    ) -> IssuedCertificate:
        """A certificate for DNS names (wildcards too) and IP addresses.

        Dates are cut to the second, and replace those of the state.
        `key_type` is that of the leaf, instead of the lineage's.
        """
        making, now, key = _MAKINGS[state], datetime.now(UTC), new_key(key_type or self._leaf)
        names = making.names or tuple(names)
        subject = Issuer(common_name(names[0]), key)
        leaf = leaf_draft(subject, not_before or now + making.begins, not_after or now + making.ends)
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([making.purpose]), critical=False)
        if making.alternative_names:
            leaf = leaf.add_extension(alternative_names(names), critical=False)
        if making.signer is _Signer.ITSELF:
            return IssuedCertificate(key, (subject.sign(leaf),))
        hierarchy = self._hierarchies[making.signer]
        issuers = (hierarchy.intermediate, hierarchy.root)[: making.issuers_sent]
        return IssuedCertificate(key, (hierarchy.signer.sign(leaf), *issuers))


def new_key(key_type: KeyType) -> PrivateKey:
    return _KEYS[key_type]()


def common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:_MAX_COMMON_NAME])])


def alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [x509.IPAddress(ip_address(name)) if ip_literal(name) else x509.DNSName(name) for name in names]
    )


# ---------------------------------------------------------------- drafts: all but the issuer and the signature


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
    """`path_length`: how many more authorities may stand beneath; none for no bound. The times are counted from now."""
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
