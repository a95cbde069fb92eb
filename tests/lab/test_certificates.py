import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from exporter.demo.authority import Authority, CertificateProfile
from exporter.demo.https_server import HttpsServer
from tests.demo.independent_clients import connect
from tests.lab.certificates import COMMON_NAME_ONLY, FOR_CLIENTS, NOT_YET_VALID, PUBLIC_CHAINS, SELF_SIGNED

pytestmark = pytest.mark.lab

NAME = "hs.lab.test"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[HttpsServer]:
    server = HttpsServer()
    await server.start()
    yield server
    await server.stop()


@pytest.mark.parametrize(
    ("profile", "outcome"),
    [
        pytest.param(NOT_YET_VALID, f"verify error {9}", id="not yet valid"),  # X509_V_ERR_CERT_NOT_YET_VALID
        pytest.param(SELF_SIGNED, f"verify error {18}", id="self-signed"),  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
        pytest.param(COMMON_NAME_ONLY, f"verify error {62}", id="common name"),  # X509_V_ERR_HOSTNAME_MISMATCH
        pytest.param(FOR_CLIENTS, f"verify error {26}", id="for clients"),  # X509_V_ERR_INVALID_PURPOSE
    ],
)
async def test_openssl_reports_what_is_wrong(
    authority: Authority, server: HttpsServer, profile: CertificateProfile, outcome: str
) -> None:
    """Each profile has exactly the fault that it is named after."""
    server.certificates[NAME] = authority.issue([NAME], profile).server_context()
    assert await connect(server.address, NAME, authority.ca_file) == outcome


def test_a_self_signed_certificate_is_sent_alone(authority: Authority) -> None:
    chain = authority.issue([NAME], SELF_SIGNED).chain
    assert [certificate.subject.rfc4514_string() for certificate in chain] == [f"CN={NAME}"]


async def test_only_the_alternative_names_are_missing(authority: Authority, server: HttpsServer) -> None:
    """Old clients, which read the common name, accept the certificate."""
    server.certificates[NAME] = authority.issue([NAME], COMMON_NAME_ONLY).server_context()
    lenient = ssl.create_default_context(cafile=str(authority.ca_file))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = lenient.wrap_bio(incoming, outgoing, server_hostname=NAME)
    peer = server.certificates[NAME].wrap_bio(outgoing, incoming, server_side=True)
    shake_hands(client, peer)
    assert client.version() == "TLSv1.3"


def shake_hands(*sides: ssl.SSLObject) -> None:
    waiting = list(sides)
    while waiting:
        for side in tuple(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)


@pytest.mark.parametrize(
    ("algorithm", "leaf", "intermediate"),
    [
        ("ecdsa", ec.EllipticCurvePublicKey, ec.EllipticCurvePublicKey),
        ("rsa", rsa.RSAPublicKey, rsa.RSAPublicKey),
    ],
)
async def test_chains_with_the_keys_of_a_public_authority(
    server: HttpsServer, algorithm: str, leaf: type, intermediate: type, tmp_path: Path
) -> None:
    """They verify like any other chain; the root has an RSA key in both."""
    authority = await asyncio.to_thread(Authority, tmp_path, PUBLIC_CHAINS[algorithm])
    issued = authority.issue([NAME])
    public_keys = [certificate.public_key() for certificate in (*issued.chain, authority.trusted.root)]
    kinds = (leaf, intermediate, rsa.RSAPublicKey)
    assert all(isinstance(key, kind) for key, kind in zip(public_keys, kinds, strict=True))
    server.certificates[NAME] = issued.server_context()
    assert await connect(server.address, NAME, authority.ca_file) == "verified"
