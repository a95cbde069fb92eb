"""Certificates and keys that `demo` does not show."""

from datetime import timedelta
from functools import partial
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from exporter.demo.authority import CertificateProfile, ChainKeys, PrivateKey, Signer, new_p256_key

NOT_YET_VALID: Final = CertificateProfile(not_before=timedelta(days=1))
SELF_SIGNED: Final = CertificateProfile(signer=Signer.ITSELF, issuers_sent=0)
COMMON_NAME_ONLY: Final = CertificateProfile(has_alternative_names=False)
FOR_CLIENTS: Final = CertificateProfile(purpose=ExtendedKeyUsageOID.CLIENT_AUTH)
"""Its purpose is to authenticate a client, not a server."""


def new_rsa_key(bits: int = 2048) -> PrivateKey:
    return rsa.generate_private_key(65537, bits)


def _new_p384_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


# As Let's Encrypt has them (https://letsencrypt.org/certificates/), and with it most servers.
PUBLIC_CHAINS: Final = {
    "ecdsa": ChainKeys(partial(new_rsa_key, 4096), _new_p384_key, new_p256_key),
    "rsa": ChainKeys(partial(new_rsa_key, 4096), new_rsa_key, new_rsa_key),
}
