import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.verification import PolicyBuilder, Store

from exporter.demo.authority import Authority, CertificateState, IssuedCertificate, KeyType
from exporter.demo.https_server import HttpsServer
from tests.demo.independent_clients import get, host_and_port, meet

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
    ("state", "outcome"),
    [
        (CertificateState.VALID, "verified"),
        (CertificateState.EXPIRED, f"verify error {10}"),  # X509_V_ERR_CERT_HAS_EXPIRED
        (CertificateState.NOT_YET_VALID, f"verify error {9}"),  # X509_V_ERR_CERT_NOT_YET_VALID
        (CertificateState.WRONG_NAME, f"verify error {62}"),  # X509_V_ERR_HOSTNAME_MISMATCH
        (CertificateState.SELF_SIGNED, f"verify error {18}"),  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
        (CertificateState.UNTRUSTED, f"verify error {19}"),  # X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
        (CertificateState.INCOMPLETE_CHAIN, f"verify error {20}"),  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        (CertificateState.COMMON_NAME_ONLY, f"verify error {62}"),
        (CertificateState.FOR_CLIENTS, f"verify error {26}"),  # X509_V_ERR_INVALID_PURPOSE
    ],
)
async def test_openssl_sees_the_state(
    authority: Authority, server: HttpsServer, state: CertificateState, outcome: str
) -> None:
    """Each state of a certificate has the one complaint of OpenSSL that it is named after."""
    server.certificates[NAME] = authority.issue([NAME], state).server_context()
    assert await meet(server.address, NAME, authority.ca_file) == outcome


async def test_common_name_is_right_where_it_stands_alone(authority: Authority, server: HttpsServer) -> None:
    """A certificate without alternative names lacks nothing else: clients of old accept it."""
    server.certificates[NAME] = authority.issue([NAME], CertificateState.COMMON_NAME_ONLY).server_context()
    lenient = ssl.create_default_context(cafile=str(authority.ca_file))
    client, peer = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = lenient.wrap_bio(client, peer, server_hostname=NAME)
    theirs = server.certificates[NAME].wrap_bio(peer, client, server_side=True)
    shake_hands(ours, theirs)
    assert ours.version() == "TLSv1.3"


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
    ("names", "asked", "outcome"),
    [
        (["192.0.2.1"], "192.0.2.1", "verified"),
        (["2001:db8::1"], "2001:db8::1", "verified"),
        (["192.0.2.1"], "192.0.2.2", f"verify error {64}"),  # X509_V_ERR_IP_ADDRESS_MISMATCH
        (["*.lab.test"], "any.lab.test", "verified"),
        (["*.lab.test"], "lab.test", f"verify error {62}"),
        (["one.test", "two.test", "192.0.2.1"], "two.test", "verified"),
    ],
)
async def test_names(authority: Authority, server: HttpsServer, names: list[str], asked: str, outcome: str) -> None:
    """A certificate is for DNS names, wildcards and IP addresses, and for nothing else."""
    server.certificates["default"] = authority.issue(names).server_context()
    assert await meet(server.address, asked, authority.ca_file) == outcome


async def test_a_name_longer_than_a_common_name_may_be(authority: Authority, server: HttpsServer) -> None:
    """Server names may have more characters than a certificate's subject."""
    name = f"{'a' * 63}.{'b' * 63}.test"
    server.certificates[name] = authority.issue([name]).server_context()
    assert await meet(server.address, name, authority.ca_file) == "verified"


async def test_dates_can_be_set(authority: Authority, server: HttpsServer) -> None:
    """A test may choose both dates, to the second."""
    begin, end = (datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours) for hours in (-2, -1))
    issued = authority.issue([NAME], not_before=begin, not_after=end)
    assert (issued.chain[0].not_valid_before_utc, issued.chain[0].not_valid_after_utc) == (begin, end)
    server.certificates[NAME] = issued.server_context()
    assert await meet(server.address, NAME, authority.ca_file) == f"verify error {10}"


async def test_rsa(authority: Authority, server: HttpsServer) -> None:
    """A leaf with an RSA key verifies like any other."""
    issued = authority.issue([NAME], key_type=KeyType.RSA)
    assert isinstance(issued.chain[0].public_key(), rsa.RSAPublicKey)
    server.certificates[NAME] = issued.server_context()
    assert await meet(server.address, NAME, authority.ca_file) == "verified"


def test_old_tls_versions_are_not_offered(authority: Authority) -> None:
    """Servers of the lab speak TLS 1.2 and newer."""
    assert authority.issue([NAME]).server_context().minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
async def test_one_version_of_tls_alone(authority: Authority, version: ssl.TLSVersion) -> None:
    """An old one too, for whoever lowers its guard: others are not let in."""
    server = HttpsServer(version)
    server.certificates[NAME] = authority.issue([NAME]).server_context(version)
    await server.start()
    try:
        assert await asyncio.to_thread(tls_version, server.address, authority.ca_file) == version
        outcome = await meet(server.address, NAME, authority.ca_file)
        assert (outcome == "verified") == (version is ssl.TLSVersion.TLSv1_2)
    finally:
        await server.stop()


def tls_version(address: str, ca_file: Path) -> ssl.TLSVersion:
    """What a client gets to that takes everything."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with (
        socket.create_connection(host_and_port(address)) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as secured,
    ):
        return {
            "TLSv1": ssl.TLSVersion.TLSv1,
            "TLSv1.1": ssl.TLSVersion.TLSv1_1,
            "TLSv1.2": ssl.TLSVersion.TLSv1_2,
            "TLSv1.3": ssl.TLSVersion.TLSv1_3,
        }[secured.version() or ""]


@pytest.mark.parametrize(
    ("state", "subjects"),
    [
        (CertificateState.VALID, [NAME, "Lab Intermediate"]),
        (CertificateState.INCOMPLETE_CHAIN, [NAME]),
        (CertificateState.SELF_SIGNED, [NAME]),
        (CertificateState.UNTRUSTED, [NAME, "Unknown Intermediate", "Unknown Root"]),
    ],
)
def test_what_is_sent(authority: Authority, state: CertificateState, subjects: list[str]) -> None:
    """The leaf comes first; the root is sent only where it is not trusted."""
    chain = authority.issue([NAME], state).chain
    assert [certificate.subject.rfc4514_string() for certificate in chain] == [f"CN={subject}" for subject in subjects]


def verified(issued: IssuedCertificate, ca_file: Path, subject: x509.GeneralName) -> list[x509.Certificate]:
    policy = PolicyBuilder().store(Store(x509.load_pem_x509_certificates(ca_file.read_bytes())))
    verifier = policy.build_server_verifier(subject)  # type: ignore[arg-type] # it asks for a union of two of them
    return verifier.verify(issued.chain[0], list(issued.chain[1:]))


@pytest.mark.parametrize("subject", [x509.DNSName(NAME), x509.IPAddress(ip_address("2001:db8::1"))])
def test_another_verifier_agrees(authority: Authority, subject: x509.GeneralName) -> None:
    """The rules of the web's authorities are kept: a verifier that knows them accepts leaf, intermediate and root."""
    issued = authority.issue([NAME, "2001:db8::1"])
    chain = verified(issued, authority.ca_file, subject)
    assert [certificate.subject.rfc4514_string() for certificate in chain] == [
        f"CN={NAME}",
        "CN=Lab Intermediate",
        "CN=Lab Root",
    ]


async def test_a_certificate_is_swapped_while_the_server_runs(authority: Authority, server: HttpsServer) -> None:
    """The next handshake meets the new certificate; the connections that are open go on."""
    server.certificates[NAME] = authority.issue([NAME]).server_context()
    assert (await get(server.address, NAME, authority.ca_file, "/")).status == 404
    server.certificates[NAME] = authority.issue([NAME], CertificateState.EXPIRED).server_context()
    assert await meet(server.address, NAME, authority.ca_file) == f"verify error {10}"
