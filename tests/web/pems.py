"""Certificates and keys for the web configuration."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from exporter.demo.authority import Authority, Hierarchy, Issuer, PrivateKey, common_name, draft, new_p256_key

HOUR = timedelta(hours=1)


def key_pem(key: PrivateKey, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def chain_pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def write_server(folder: Path, authority: Authority) -> None:
    """Write `cert.pem` and `key.pem`, a new certificate for localhost."""
    issued = authority.issue(["localhost"])
    (folder / "cert.pem").write_bytes(chain_pem(*issued.chain))
    (folder / "key.pem").write_bytes(key_pem(issued.key))


def write_client(folder: Path, name: str, hierarchy: Hierarchy, names: Sequence[x509.GeneralName] = ()) -> None:
    """Write `NAME.pem` and `NAME-key.pem`, a client certificate."""
    subject, now = Issuer(common_name(name), new_p256_key()), datetime.now(UTC)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    leaf = draft(subject, now - HOUR, now + HOUR).add_extension(purpose, critical=False)
    if names:
        leaf = leaf.add_extension(x509.SubjectAlternativeName(names), critical=False)
    (folder / f"{name}.pem").write_bytes(chain_pem(hierarchy.signer.sign(leaf), hierarchy.intermediate))
    (folder / f"{name}-key.pem").write_bytes(key_pem(subject.key))


def write_small(folder: Path) -> None:
    """Write `small.pem` and `small-key.pem`, whose key is too small for OpenSSL."""
    subject, now = Issuer(common_name("small"), rsa.generate_private_key(65537, 1024)), datetime.now(UTC)
    (folder / "small.pem").write_bytes(chain_pem(subject.sign(draft(subject, now - HOUR, now + HOUR))))
    (folder / "small-key.pem").write_bytes(key_pem(subject.key))


def write_all(folder: Path) -> None:
    """Write every file that the web configurations in tests/web/settings/cases name."""
    authority = Authority(folder)
    authority.trust(Hierarchy("Second").root)
    write_server(folder, authority)
    write_small(folder)
    key = authority.issue(["localhost"]).key
    (folder / "other-key.pem").write_bytes(key_pem(key))
    (folder / "encrypted-key.pem").write_bytes(key_pem(key, BestAvailableEncryption(b"secret")))
