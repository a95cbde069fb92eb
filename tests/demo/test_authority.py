import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from exporter.demo.authority import (
    EXPIRED,
    INCOMPLETE_CHAIN,
    UNTRUSTED,
    VALID,
    WRONG_NAME,
    Authority,
    CertificateProfile,
    Hierarchy,
    IssuedCertificate,
)
from exporter.demo.https_server import HttpsServer
from tests.demo.independent_clients import connect, get

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
        pytest.param(VALID, "verified", id="valid"),
        pytest.param(EXPIRED, f"verify error {10}", id="expired"),  # X509_V_ERR_CERT_HAS_EXPIRED
        pytest.param(WRONG_NAME, f"verify error {62}", id="wrong name"),  # X509_V_ERR_HOSTNAME_MISMATCH
        pytest.param(UNTRUSTED, f"verify error {19}", id="untrusted"),  # X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
        pytest.param(  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
            INCOMPLETE_CHAIN, f"verify error {20}", id="incomplete chain"
        ),
    ],
)
async def test_openssl_reports_what_is_wrong(
    authority: Authority, server: HttpsServer, profile: CertificateProfile, outcome: str
) -> None:
    """Each profile has exactly the fault that it is named after."""
    server.certificates[NAME] = authority.issue([NAME], profile).server_context()
    assert await connect(server.address, NAME, authority.ca_file) == outcome


async def test_an_added_root_is_trusted(authority: Authority, server: HttpsServer) -> None:
    """The roots before it are trusted as before."""
    server.certificates[NAME] = authority.issue([NAME], UNTRUSTED).server_context()
    authority.trust(Hierarchy("Unrelated").root)
    assert await connect(server.address, NAME, authority.ca_file) == f"verify error {19}"
    authority.trust(authority.issue([NAME], UNTRUSTED).chain[-1])
    assert await connect(server.address, NAME, authority.ca_file) == "verified"
    server.certificates[NAME] = authority.issue([NAME]).server_context()
    assert await connect(server.address, NAME, authority.ca_file) == "verified"


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
    """A certificate is valid for its DNS names, wildcards and IP addresses only."""
    server.certificates["default"] = authority.issue(names).server_context()
    assert await connect(server.address, asked, authority.ca_file) == outcome


async def test_a_name_may_be_longer_than_a_common_name(authority: Authority, server: HttpsServer) -> None:
    """Server names may be longer than a certificate's subject."""
    name = f"{'a' * 63}.{'b' * 63}.test"
    server.certificates[name] = authority.issue([name]).server_context()
    assert await connect(server.address, name, authority.ca_file) == "verified"


async def test_dates_can_be_set(authority: Authority, server: HttpsServer) -> None:
    """Both dates can be chosen, to the second."""
    begin, end = (datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours) for hours in (-2, -1))
    issued = authority.issue([NAME], not_before=begin, not_after=end)
    assert (issued.chain[0].not_valid_before_utc, issued.chain[0].not_valid_after_utc) == (begin, end)
    server.certificates[NAME] = issued.server_context()
    assert await connect(server.address, NAME, authority.ca_file) == f"verify error {10}"


def test_old_tls_versions_are_not_offered(authority: Authority) -> None:
    """Servers offer TLS 1.2 and newer by default."""
    assert authority.issue([NAME]).server_context().minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("profile", "subjects"),
    [
        pytest.param(VALID, [NAME, "Lab Intermediate"], id="valid"),
        pytest.param(INCOMPLETE_CHAIN, [NAME], id="incomplete chain"),
        pytest.param(UNTRUSTED, [NAME, "Unknown Intermediate", "Unknown Root"], id="untrusted"),
    ],
)
def test_the_chain_starts_with_the_leaf(authority: Authority, profile: CertificateProfile, subjects: list[str]) -> None:
    """The root is sent only if it is not trusted."""
    chain = authority.issue([NAME], profile).chain
    assert [certificate.subject.rfc4514_string() for certificate in chain] == [f"CN={subject}" for subject in subjects]


def verify(issued: IssuedCertificate, ca_file: Path, subject: x509.GeneralName) -> list[x509.Certificate]:
    policy = PolicyBuilder().store(Store(x509.load_pem_x509_certificates(ca_file.read_bytes())))
    verifier = policy.build_server_verifier(subject)  # type: ignore[arg-type] # it expects a union of two subclasses
    return verifier.verify(issued.chain[0], list(issued.chain[1:]))


@pytest.mark.parametrize("subject", [x509.DNSName(NAME), x509.IPAddress(ip_address("2001:db8::1"))])
def test_another_verifier_agrees(authority: Authority, subject: x509.GeneralName) -> None:
    """A verifier with the rules of the web's authorities accepts the leaf, the intermediate and the root."""
    issued = authority.issue([NAME, "2001:db8::1"])
    chain = verify(issued, authority.ca_file, subject)
    assert [certificate.subject.rfc4514_string() for certificate in chain] == [
        f"CN={NAME}",
        "CN=Lab Intermediate",
        "CN=Lab Root",
    ]


async def test_a_certificate_can_be_replaced_while_the_server_runs(authority: Authority, server: HttpsServer) -> None:
    """The next handshake uses the new certificate."""
    server.certificates[NAME] = authority.issue([NAME]).server_context()
    assert (await get(server.address, NAME, authority.ca_file, "/")).status == 404
    server.certificates[NAME] = authority.issue([NAME], EXPIRED).server_context()
    assert await connect(server.address, NAME, authority.ca_file) == f"verify error {10}"
