"""A server is judged by the chain that OpenSSL verifies, and not by what else it sends; over real TLS."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.hashes import SHA1

from exporter.demo.authority import Authority, CertificateProfile, IssuedCertificate, Signer
from exporter.demo.servers import CertificateSource
from exporter.internet.known_chains import KnownChains
from exporter.model.findings import TlsSession
from exporter.model.outcomes import Problem, WeakKey
from exporter.model.reasons import Reason
from exporter.probing.attempt import Failure
from exporter.probing.chain_cache import ChainCache
from exporter.probing.stages import tls
from tests.certificates import check_nothing
from tests.internet.raw_https import NAME, handshake_only, listening, tcp_connection
from tests.lab.hostile import bad_certificates as bad
from tests.lab.hostile import chains

pytestmark = pytest.mark.lab

LEAF = "the server sends the certificate without the certificate of its issuer 'Lab Intermediate'"


async def probe_twice(authority: Authority, issued: IssuedCertificate) -> TlsSession | Failure[TlsSession]:
    """Return what the stage finds in the chain. The second probe remembers a good chain, and finds the same."""
    known_chains, results = KnownChains(), []
    async with listening(handshake_only(issued.server_context())) as address:
        for _ in range(2):
            async with tcp_connection(address, authority, known_chains) as connection:
                results.append(tls.evaluate(await connection.start_tls(NAME, check_nothing), NAME, ChainCache()))
    assert results[0] == results[1]
    return results[0]


async def problems(authority: Authority, source: CertificateSource) -> list[Problem]:
    found = await probe_twice(authority, source(authority, NAME))
    return list(found.problems) if isinstance(found, Failure) else []


async def session(authority: Authority, source: CertificateSource) -> TlsSession:
    found = await probe_twice(authority, source(authority, NAME))
    assert isinstance(found, TlsSession)
    return found


# ---------------------------------------------------------------- what nobody needs


@pytest.mark.parametrize(
    "source",
    [
        chains.with_expired_cross_signature,
        chains.with_sha1_cross_signature,
        chains.with_unneeded_weak_key,
        bad.in_wrong_order,
        bad.with_unrelated(2),
    ],
)
async def test_a_certificate_that_is_not_needed_is_no_fault(authority: Authority, source: CertificateSource) -> None:
    """It does not bring the expiry forward either, and the report still lists it."""
    found = await session(authority, source)
    assert found.certificate.chain_not_after == found.certificate.not_after
    assert len(found.presented) > 2


async def test_an_intermediate_that_is_needed_counts(authority: Authority) -> None:
    """It expires before the leaf."""
    certificate = (await session(authority, chains.with_expiring_intermediate)).certificate
    in_days = timedelta(days=chains.ISSUER_DAYS)
    assert timedelta() <= datetime.now(UTC) + in_days - certificate.chain_not_after < timedelta(minutes=5)
    assert certificate.chain_not_after < certificate.not_after


async def test_a_root_that_is_not_sent_counts(authority: Authority) -> None:
    """Here the leaf outlives it."""
    eternal = authority.issue([NAME], not_after=datetime.now(UTC) + timedelta(days=36500))
    found = await probe_twice(authority, eternal)
    assert isinstance(found, TlsSession)
    assert found.certificate.chain_not_after == authority.trusted.root.not_valid_after_utc


async def test_an_expired_intermediate_is_named_with_its_date(authority: Authority) -> None:
    source = bad.with_intermediate(ends=-bad.DAY)
    yesterday = source(authority, NAME).chain[1].not_valid_after_utc
    (found,) = await problems(authority, source)
    assert found.reason is Reason.CERTIFICATE_EXPIRED
    assert found.detail.startswith(f"the issuer certificate 'Lab Intermediate' has expired (on {yesterday:%Y-%m-%d}")


# ---------------------------------------------------------------- what is missing


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        (chains.with_former_intermediate, f"{LEAF}, and in its place 'Lab Former Intermediate'"),
        (chains.with_root_only, f"{LEAF}, and in its place 'Lab Root'"),
        (chains.with_leaf_twice, f"{LEAF}, and in its place 'example.test'"),
        (bad.signed_by_namesake, f"{LEAF}, and in its place another 'Lab Intermediate'"),
        (
            chains.without_upper_intermediate,
            LEAF.replace("certificate without", "issuer certificate 'Lab Lower' without").replace("Lab I", "Unknown I")
            + ", and in its place 'Lab Root'",
        ),
    ],
)
async def test_the_missing_issuer_is_named(authority: Authority, source: CertificateSource, detail: str) -> None:
    """Also where others are sent in its place."""
    assert await problems(authority, source) == [Problem(Reason.CERTIFICATE_INCOMPLETE_CHAIN, detail)]


async def test_a_chain_that_nobody_trusts_is_not_incomplete(authority: Authority) -> None:
    """The server sends everything but the root, as it should."""
    unknown = CertificateProfile(signer=Signer.UNTRUSTED)
    assert await problems(authority, lambda authority, name: authority.issue([name], unknown)) == [
        Problem(
            Reason.CERTIFICATE_UNTRUSTED,
            "the issuer certificate 'Unknown Intermediate' was issued by 'Unknown Root', which is not trusted",
        )
    ]


# ---------------------------------------------------------------- the name of the issuer is that of the leaf


async def test_an_issuer_with_the_name_of_the_leaf_is_no_fault(authority: Authority) -> None:
    """Its key tells them apart."""
    assert await problems(authority, chains.self_issued) == []


async def test_a_certificate_is_not_called_self_signed_because_of_its_names(authority: Authority) -> None:
    """OpenSSL takes it for that, if no identifier tells the keys apart."""
    text = "the certificate names itself as its issuer, though it has not signed itself, so peers find no issuer"
    assert await problems(authority, chains.self_issued_without_key_identifier) == [
        Problem(Reason.CERTIFICATE_UNTRUSTED, text)
    ]


# ---------------------------------------------------------------- weak keys and signatures


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            bad.signed_with(SHA1(), bad.SHA1_WITH_PSS, bad.SHA1_PADDING),
            Problem(
                Reason.CERTIFICATE_INVALID,
                "the certificate is signed with SHA-1, which can be forged (rsassaPss with sha1)",
            ),
        ),
        (
            bad.with_weak_pss_issuer,
            WeakKey(
                Reason.CERTIFICATE_INVALID,
                "the issuer certificate 'Short Key' has an RSA key of 1024 bits, expected at least 2048",
                "RSA",
                1024,
            ),
        ),
    ],
    ids=["sha1", "short key"],
)
async def test_rsassa_pss_is_judged_like_any_rsa(
    authority: Authority, source: CertificateSource, problem: Problem
) -> None:
    assert await problems(authority, source) == [problem]
