"""What the stage `tls` finds in a chain, what is wrong with it, and what is cached."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from exporter.model.findings import Certificate, ChainCertificate, LeafKey, TlsSession
from exporter.model.outcomes import Problem, WeakKey
from exporter.model.reasons import Reason
from exporter.probing.attempt import Failure
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Handshake, VerifyError, fingerprint_of
from exporter.probing.stages import tls
from exporter.probing.stages.tls import MAX_CHAIN, MAX_NAMES, MAX_NAMES_CHARACTERS, MAX_PROBLEMS
from tests.certificates import INTERMEDIATE, NOT_AFTER, NOT_BEFORE, RSA_KEY, certificate, chain, handshake

CACHE = ChainCache()


def evaluate(handshake: Handshake, tls_name: str) -> TlsSession | Failure[TlsSession]:
    """Evaluate with one cache for all tests, as for all probes: no entry may be mistaken for another."""
    return tls.evaluate(handshake, tls_name, CACHE)


def description(leaf: bytes, *names: str, valid: bool = True) -> Certificate:
    return Certificate(
        not_before=NOT_BEFORE,
        not_after=NOT_AFTER,
        chain_not_after=NOT_AFTER,
        issuer=INTERMEDIATE,
        subject=names[0],
        names=names,
        fingerprint_sha256=sha256(leaf).hexdigest(),
        valid=valid,
    )


SHA256_WITH_RSA, SHA1_WITH_RSA = bytes.fromhex("2a864886f70d01010b0500"), bytes.fromhex("2a864886f70d0101050500")
ISSUER = f"the issuer certificate {INTERMEDIATE!r}"
KEY = LeafKey("EC", 256, "secp256r1")


def issuers(finished: Handshake) -> tuple[ChainCertificate, ...]:
    """Return the description of the intermediate of `certificates.chain`."""
    (intermediate,) = finished.chain[1:]
    return (ChainCertificate("Test Root", INTERMEDIATE, sha256(intermediate).hexdigest()),)


def problems(finished: Handshake, tls_name: str = "example.test") -> list[Problem]:
    found = evaluate(finished, tls_name)
    return list(found.problems) if isinstance(found, Failure) else []


def passed(finished: Handshake, tls_name: str = "example.test") -> TlsSession:
    found = evaluate(finished, tls_name)
    assert isinstance(found, TlsSession)
    return found


def test_describes_the_certificate() -> None:
    """The leaf is described with all its names, and the rest of the chain more briefly."""
    finished = handshake("example.test", "*.example.test", "192.0.2.1")
    leaf = description(finished.chain[0], "example.test", "*.example.test", "192.0.2.1")
    assert evaluate(finished, "example.test") == TlsSession(leaf, "TLSv1.3", issuers=issuers(finished), leaf_key=KEY)


def test_the_organization_of_the_issuer_is_kept() -> None:
    """The names of intermediates change more often."""
    leaf = certificate("example.test", issuer_organization="An Authority\n")
    found = passed(Handshake((leaf,), (), "TLSv1.3")).certificate
    assert (found.issuer, found.issuer_organization) == (INTERMEDIATE, "An Authority\ufffd")
    assert passed(handshake("example.test")).certificate.issuer_organization is None


def test_describes_a_bad_certificate_too() -> None:
    """The report shows it along with the problem."""
    finished = handshake("example.test", errors=[VerifyError(10, 0)])
    leaf = description(finished.chain[0], "example.test", valid=False)
    expired = Problem(Reason.CERTIFICATE_EXPIRED, "the certificate has expired (on 2026-11-30 00:00 UTC)")
    expected = Failure((expired,), TlsSession(leaf, "TLSv1.3", issuers=issuers(finished), leaf_key=KEY))
    assert evaluate(finished, "example.test") == expected


def test_finds_the_earliest_expiry_in_the_chain() -> None:
    """An intermediate may expire before the leaf."""
    soon = NOT_AFTER - timedelta(days=80)
    leaf, _ = chain("example.test")
    found = passed(Handshake((leaf, certificate(not_after=soon)), (), "TLSv1.3")).certificate
    assert (found.not_after, found.chain_not_after) == (NOT_AFTER, soon)


@pytest.mark.parametrize(
    ("names", "tls_name"),
    [
        (["example.test"], "example.test"),
        (["example.test"], "EXAMPLE.test"),
        (["*.example.test"], "hs.example.test"),
        (["other.test", "example.test"], "example.test"),
        (["192.0.2.1"], "192.0.2.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["2001:db8::1"], "2001:0DB8:0:0::1"),
        (["xn--bcher-kva.test"], "xn--bcher-kva.test"),
    ],
)
def test_accepts_a_certificate_for_the_name(names: list[str], tls_name: str) -> None:
    """Case does not matter, a wildcard covers one label, and one of several names is enough."""
    assert problems(handshake(*names), tls_name) == []


@pytest.mark.parametrize(
    ("names", "tls_name"),
    [
        (["other.test"], "example.test"),
        (["*.example.test"], "example.test"),
        (["*.example.test"], "a.b.example.test"),
        (["192.0.2.2"], "192.0.2.1"),
        (["example.test"], "192.0.2.1"),
        (["192.0.2.1"], "example.test"),
    ],
)
def test_rejects_a_certificate_for_another_name(names: list[str], tls_name: str) -> None:
    """A wildcard covers exactly one label. Addresses only match addresses, and names only names."""
    text = f"the certificate is for {', '.join(names)}, not for {tls_name!r}"
    assert problems(handshake(*names), tls_name) == [Problem(Reason.CERTIFICATE_NAME_MISMATCH, text)]


def test_a_common_name_does_not_count() -> None:
    """Homeservers only check subjectAltName."""
    alone = Handshake((certificate(subject="example.test"),), (), "TLSv1.3")
    assert [problem.reason for problem in problems(alone)] == [Reason.CERTIFICATE_NAME_MISMATCH]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (
            VerifyError(9, 0),
            "certificate_not_yet_valid: the certificate is not yet valid (before 2026-09-01 00:00 UTC)",
        ),
        (VerifyError(10, 0), "certificate_expired: the certificate has expired (on 2026-11-30 00:00 UTC)"),
        (
            VerifyError(10, 1),
            "certificate_expired: the issuer certificate 'Test Intermediate' has expired (on 2026-11-30 00:00 UTC)",
        ),
        (VerifyError(10, 2), "certificate_expired: the issuer certificate at depth 2 has expired"),
        (VerifyError(19, 0), "certificate_untrusted: the certificate belongs to an authority that is not trusted"),
        (
            VerifyError(20, 1),
            f"certificate_untrusted: {ISSUER} was issued by 'Test Root', which is not trusted",
        ),
        (VerifyError(26, 0), "certificate_invalid: the certificate is rejected (OpenSSL error 26)"),
    ],
)
def test_explains_the_errors_of_openssl(error: VerifyError, problem: str) -> None:
    """An error without a reason of its own makes the certificate invalid."""
    found = problems(handshake("example.test", errors=[error]))
    assert [f"{each.reason}: {each.detail}" for each in found] == [problem]


def test_a_leaf_without_its_intermediate() -> None:
    """OpenSSL reports the same fault with two codes. An administrator reads it once."""
    leaf, _ = chain("example.test")
    alone = Handshake((leaf,), (VerifyError(20, 0), VerifyError(21, 0)), "TLSv1.3")
    text = "the server sends the certificate without the certificate of its issuer 'Test Intermediate'"
    assert problems(alone) == [Problem(Reason.CERTIFICATE_INCOMPLETE_CHAIN, text)]


def test_a_certificate_that_signed_itself() -> None:
    alone = certificate("example.test", issuer="example.test")
    found = problems(Handshake((alone,), (VerifyError(18, 0),), "TLSv1.3"))
    assert found == [Problem(Reason.CERTIFICATE_UNTRUSTED, "the certificate is self-signed")]


def test_only_the_verified_chain_counts() -> None:
    """The certificate that is sent along is listed, and its weak key and its early end are no faults."""
    leaf, intermediate = chain("example.test")
    early = NOT_AFTER - timedelta(days=80)
    unneeded = certificate(key=rsa.generate_private_key(65537, 1024), not_after=early)
    session = passed(Handshake((leaf, intermediate, unneeded), (), "TLSv1.3", verified_chain=(leaf, intermediate)))
    assert session.certificate.chain_not_after == NOT_AFTER
    assert session.presented[2].fingerprint_sha256 == sha256(unneeded).hexdigest()


def test_a_chain_is_evaluated_again_when_it_is_verified_by_another_path() -> None:
    """An old root may have left the trust store, for example."""
    leaf, intermediate = chain("example.test")
    ends = [NOT_AFTER - timedelta(days=days) for days in (10, 20)]
    roots = [certificate(subject="Test Root", issuer="Test Root", not_after=end) for end in ends]
    verified = [Handshake((leaf, intermediate), (), "TLSv1.3", None, (leaf, intermediate, root)) for root in roots]
    assert [passed(finished).certificate.chain_not_after for finished in verified] == ends


def test_a_root_with_a_serial_number_of_zero_counts() -> None:
    """Every twentieth root has one, and the library warns of that."""
    leaf, intermediate = chain("example.test")
    end = NOT_AFTER - timedelta(days=10)
    root = certificate(subject="Test Root", issuer="Test Root", not_after=end)
    old = root.replace(bytes.fromhex("a003020102020101"), bytes.fromhex("a003020102020100"))
    assert old != root
    finished = Handshake((leaf, intermediate), (), "TLSv1.3", None, (leaf, intermediate, old))
    assert passed(finished).certificate.chain_not_after == end


def test_a_root_that_only_openssl_can_read_is_no_fault() -> None:
    """The signature of the certificate below it counts all the same."""
    weak = certificate(subject=INTERMEDIATE, signed_by=RSA_KEY).replace(SHA256_WITH_RSA, SHA1_WITH_RSA)
    leaf, intermediate = chain("example.test")
    unreadable = b"\x30\x00"
    good = Handshake((leaf, intermediate), (), "TLSv1.3", None, (leaf, intermediate, unreadable))
    bad = Handshake((leaf, weak), (), "TLSv1.3", None, (leaf, weak, unreadable))
    assert passed(good).certificate.chain_not_after == NOT_AFTER
    assert [problem.detail for problem in problems(bad)] == [
        f"{ISSUER} is signed with SHA-1, which can be forged (sha1WithRSAEncryption)"
    ]


def test_every_problem_is_reported() -> None:
    """One problem does not hide another."""
    finished = handshake("other.test", errors=[VerifyError(19, 1), VerifyError(10, 0)])
    assert [problem.reason for problem in problems(finished)] == [
        Reason.CERTIFICATE_UNTRUSTED,
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NAME_MISMATCH,
    ]


def test_rejects_weak_keys() -> None:
    """OpenSSL accepts them for the exporter, so that the server can be described."""
    weak = certificate("example.test", key=rsa.generate_private_key(65537, 1024))
    text = "the certificate has an RSA key of 1024 bits, expected at least 2048"
    finished = replace(handshake("example.test"), chain=(weak, weak))
    assert problems(finished) == [
        WeakKey(Reason.CERTIFICATE_INVALID, text, "RSA", 1024),
        WeakKey(
            Reason.CERTIFICATE_INVALID,
            text.replace("the certificate", "the issuer certificate 'example.test'"),
            "RSA",
            1024,
        ),
    ]


@pytest.mark.parametrize("presented", [(), (b"",), (b"\x30\x03\x02\x01\x01",)])
def test_a_chain_that_cannot_be_parsed_is_invalid(presented: tuple[bytes, ...]) -> None:
    """Nothing is known about it."""
    found = evaluate(Handshake(presented, (), "TLSv1.3"), "example.test")
    assert isinstance(found, Failure)
    assert found.found is None
    assert [problem.reason for problem in found.problems] == [Reason.CERTIFICATE_INVALID]
    assert found.problems[0].detail.startswith("the certificate cannot be parsed: ")


def test_an_unknown_certificate_version_is_invalid() -> None:
    """OpenSSL accepts it."""
    leaf = certificate("example.test").replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x42", 1)
    text = "the certificate cannot be parsed: 66 is not a valid X509 version"
    found = evaluate(Handshake((leaf,), (), "TLSv1.3"), "example.test")
    assert found == Failure((Problem(Reason.CERTIFICATE_INVALID, text),))


def test_a_name_of_the_wrong_type_is_invalid() -> None:
    """A common name must not be a bit string. OpenSSL accepts it."""
    leaf = certificate("example.test", issuer="\0bits").replace(b"\x0c\x05\0bits", b"\x03\x05\0bits")
    found = problems(Handshake((leaf,), (), "TLSv1.3"))
    assert [problem.reason for problem in found] == [Reason.CERTIFICATE_INVALID]


def test_the_number_of_names_is_bounded() -> None:
    """A name beyond the bound still counts for the check."""
    names = [f"n{number}.test" for number in range(500)]
    assert passed(handshake(*names), "n499.test").certificate.names == tuple(names[:MAX_NAMES])


def test_the_length_of_all_names_is_bounded() -> None:
    """The first names are kept, and none is cut."""
    names = [f"n{number}.".ljust(250, "n") for number in range(10)]
    assert passed(handshake("example.test", *names)).certificate.names == ("example.test", *names[:3])
    assert MAX_NAMES_CHARACTERS == 1000


def test_the_number_of_problems_is_bounded() -> None:
    """A chain may have hundreds of certificates, each with several problems."""
    errors = [VerifyError(10, depth) for depth in range(2, 300)]
    assert problems(handshake("example.test", errors=errors)) == [
        Problem(Reason.CERTIFICATE_EXPIRED, f"the issuer certificate at depth {depth} has expired")
        for depth in range(2, MAX_PROBLEMS + 2)
    ]


def test_names_in_the_certificate_are_made_printable() -> None:
    """Unprintable characters are replaced."""
    leaf = certificate("example.test", subject="a\nb" + "c" * 60)
    assert passed(Handshake((leaf,), (), "TLSv1.3")).certificate.subject == "a\ufffdb" + "c" * 60


def test_keeps_the_cipher() -> None:
    """It is the one of the handshake."""
    session = passed(replace(handshake("example.test"), cipher="TLS_AES_128_GCM_SHA256"))
    assert session.cipher == "TLS_AES_128_GCM_SHA256"


def test_a_long_chain_is_cut() -> None:
    """A server may send any number of certificates."""
    leaf, intermediate = chain("example.test")
    assert len(passed(Handshake((leaf, *[intermediate] * 50), (), "TLSv1.3")).issuers) == MAX_CHAIN - 1


def test_a_key_for_rsassa_pss_only_is_a_kind_of_its_own() -> None:
    """Some homeservers do not know it."""
    usual = certificate("example.test", key=RSA_KEY)
    only_for_pss = usual.replace(bytes.fromhex("2a864886f70d0101010500"), bytes.fromhex("2a864886f70d01010a3000"))
    leaf_keys = [passed(Handshake((leaf,), (), "TLSv1.3")).leaf_key for leaf in (usual, only_for_pss)]
    assert leaf_keys == [LeafKey("RSA", 2048), LeafKey("RSA-PSS", 2048)]


# ---------------------------------------------------------------- the cache


def test_an_unchanged_chain_is_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    finished = handshake("example.test")
    session = passed(finished)
    monkeypatch.delattr(tls, "_evaluate_chain")
    assert passed(finished) == session


def test_an_evaluation_depends_on_name_errors_and_chain() -> None:
    """TLS version and cipher always come from the current handshake."""
    finished = handshake("example.test")
    assert problems(finished) == []
    assert [problem.reason for problem in problems(finished, "other.test")] == [Reason.CERTIFICATE_NAME_MISMATCH]
    expired = replace(finished, verify_errors=(VerifyError(10, 0),))
    assert [problem.reason for problem in problems(expired)] == [Reason.CERTIFICATE_EXPIRED]
    short = replace(finished, chain=finished.chain[:1])
    session = passed(replace(short, tls_version="TLSv1.2", cipher="AES128-SHA"))
    assert (session.issuers, session.tls_version, session.cipher) == ((), "TLSv1.2", "AES128-SHA")
    assert problems(finished) == []


def test_a_chain_with_very_many_errors_is_not_cached() -> None:
    """The key contains every error of OpenSSL, so it would be too large."""
    expired = [VerifyError(10, depth) for depth in range(1, 300)]
    for errors, cached in ((expired, False), (expired[: MAX_PROBLEMS - 1], True)):
        finished, cache = handshake("example.test", errors=errors), ChainCache()
        tls.evaluate(finished, "example.test", cache)
        key = (finished.fingerprint, fingerprint_of(()), finished.verify_errors, "example.test")
        assert (cache.recall(key) is not None) is cached


def test_an_authority_is_described_once() -> None:
    """All of its servers share one object."""
    _, intermediate = chain("example.test")
    servers = [Handshake((certificate(name), intermediate), (), "TLSv1.3") for name in ("a.test", "b.test")]
    cache = ChainCache()
    first, second = (tls._evaluate_chain(finished, "example.test", cache).issuers for finished in servers)
    assert first[0] is second[0]
