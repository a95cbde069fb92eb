"""Certificates made on the spot, as DER, in whatever state a test needs. Their dates are fixed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from exporter.demo.authority import PrivateKey, alternative_names
from exporter.probing.evidence import Handshake, VerifyError

NOT_BEFORE = datetime(2026, 9, 1, tzinfo=UTC)
NOT_AFTER = NOT_BEFORE + timedelta(days=90)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
INTERMEDIATE = "Test Intermediate"


def distinguished(common_name: str, organization: str | None = None) -> x509.Name:
    attributes = {NameOID.ORGANIZATION_NAME: organization, NameOID.COMMON_NAME: common_name}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes.items() if value])


def certificate(
    *names: str,
    subject: str = "example.test",
    issuer: str = INTERMEDIATE,
    issuer_organization: str | None = None,
    key: PrivateKey = EC_KEY,
    signed_by: PrivateKey = EC_KEY,
    not_after: datetime = NOT_AFTER,
) -> bytes:
    """`names` stand in subjectAltName; there is none without them."""
    draft = (
        x509.CertificateBuilder()
        .subject_name(distinguished(subject))
        .issuer_name(distinguished(issuer, issuer_organization))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(not_after)
    )
    if names:
        draft = draft.add_extension(alternative_names(names), critical=False)
    return draft.sign(signed_by, SHA256()).public_bytes(Encoding.DER)


def chain(*names: str) -> tuple[bytes, bytes]:
    """A good leaf, and the intermediate that issued it."""
    return certificate(*names, subject=names[0]), certificate(subject=INTERMEDIATE, issuer="Test Root")


def check_nothing(_: Handshake) -> None:
    """Accept whatever certificate a later connection presents."""


def handshake(*names: str, errors: Sequence[VerifyError] = ()) -> Handshake:
    return Handshake(chain(*names), tuple(errors), "TLSv1.3")
