from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from hashlib import sha256
from sys import getsizeof

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from exporter.model.findings import Certificate, ChainCertificate, TlsSession
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing.attempt import Failure
from exporter.probing.chain_cache import EVALUATIONS_BYTES, ChainCache, weight
from exporter.probing.evidence import Handshake, VerifyError
from exporter.probing.stages import tls
from exporter.probing.stages.tls import (
    MAX_CHAIN,
    MAX_NAMES,
    MAX_NAMES_CHARACTERS,
    MAX_PROBLEMS,
    evaluate_chain,
)
from tests.certificates import INTERMEDIATE, NOT_AFTER, NOT_BEFORE, certificate, chain, handshake

CACHE = ChainCache()


def evaluate(handshake: Handshake, tls_name: str) -> TlsSession | Failure[TlsSession]:
    """All tests share one cache, as all probes do: nothing in it may be taken for something else."""
    return tls.evaluate(handshake, tls_name, CACHE)


def described(leaf: bytes, *names: str, valid: bool = True) -> Certificate:
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


def rest_of(finished: Handshake) -> tuple[ChainCertificate, ...]:
    """The intermediate of `certificates.chain`."""
    (intermediate,) = finished.chain[1:]
    return (ChainCertificate("Test Root", INTERMEDIATE, sha256(intermediate).hexdigest()),)


def problems(finished: Handshake, tls_name: str = "example.test") -> list[Problem]:
    reading = evaluate(finished, tls_name)
    return list(reading.problems) if isinstance(reading, Failure) else []


def test_describes_the_certificate() -> None:
    finished = handshake("example.test", "*.example.test", "192.0.2.1")
    leaf = described(finished.chain[0], "example.test", "*.example.test", "192.0.2.1")
    assert evaluate(finished, "example.test") == TlsSession(leaf, "TLSv1.3", issuers=rest_of(finished))


def test_describes_a_bad_certificate_too() -> None:
    finished = handshake("example.test", errors=[VerifyError(10, 0)])
    secured = TlsSession(
        described(finished.chain[0], "example.test", valid=False), "TLSv1.3", issuers=rest_of(finished)
    )
    expired = Problem(Reason.CERTIFICATE_EXPIRED, "the certificate has expired (on 2026-11-30 00:00 UTC)")
    assert evaluate(finished, "example.test") == Failure((expired,), secured)


def test_tells_when_the_first_of_the_chain_expires() -> None:
    """An intermediate may run out before the leaf."""
    soon = NOT_AFTER - timedelta(days=80)
    leaf, _ = chain("example.test")
    reading = evaluate(Handshake((leaf, certificate(not_after=soon)), (), "TLSv1.3"), "example.test")
    assert isinstance(reading, TlsSession)
    assert (reading.certificate.not_after, reading.certificate.chain_not_after) == (NOT_AFTER, soon)


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
def test_refuses_a_certificate_for_another_name(names: list[str], tls_name: str) -> None:
    """A wildcard stands for one label; an address counts for an address, and a name for a name."""
    text = f"it should be for {tls_name!r}, it is for {', '.join(names)}"
    assert problems(handshake(*names), tls_name) == [Problem(Reason.CERTIFICATE_NAME_MISMATCH, text)]


def test_a_common_name_does_not_count() -> None:
    """Homeservers look at subjectAltName only."""
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
        (VerifyError(10, 1), "certificate_expired: the certificate 1 above it in the chain has expired"),
        (VerifyError(18, 0), "certificate_untrusted: the certificate is self-signed"),
        (VerifyError(19, 0), "certificate_untrusted: the certificate belongs to an authority that is not trusted"),
        (
            VerifyError(20, 1),
            "certificate_untrusted: the certificate 1 above it in the chain was issued by nobody who is trusted",
        ),
        (VerifyError(26, 0), "certificate_invalid: the certificate is refused (OpenSSL error 26)"),
    ],
)
def test_names_what_openssl_complains_of(error: VerifyError, problem: str) -> None:
    found = problems(handshake("example.test", errors=[error]))
    assert [f"{each.reason}: {each.detail}" for each in found] == [problem]


def test_a_leaf_sent_alone_lacks_its_intermediate() -> None:
    """OpenSSL says the same thing twice, in two codes; an administrator needs to hear it once."""
    leaf, _ = chain("example.test")
    alone = Handshake((leaf,), (VerifyError(20, 0), VerifyError(21, 0)), "TLSv1.3")
    text = "only the certificate was sent, not that of 'Test Intermediate'"
    assert problems(alone) == [Problem(Reason.CERTIFICATE_INCOMPLETE_CHAIN, text)]


def test_tells_every_fault_and_not_the_first() -> None:
    finished = handshake("other.test", errors=[VerifyError(19, 1), VerifyError(10, 0)])
    assert [problem.reason for problem in problems(finished)] == [
        Reason.CERTIFICATE_UNTRUSTED,
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NAME_MISMATCH,
    ]


def test_refuses_weak_keys() -> None:
    """OpenSSL lets them pass, so that the server can be described."""
    weak = certificate("example.test", key=rsa.generate_private_key(65537, 1024))
    text = "the certificate has an RSA key of 1024 bits, at least 2048 are expected"
    finished = replace(handshake("example.test"), chain=(weak, weak))
    assert problems(finished) == [
        Problem(Reason.CERTIFICATE_INVALID, text),
        Problem(Reason.CERTIFICATE_INVALID, text.replace("certificate", "certificate 1 above it in the chain")),
    ]


@pytest.mark.parametrize("presented", [(), (b"",), (b"\x30\x03\x02\x01\x01",)])
def test_what_cannot_be_read_is_invalid(presented: tuple[bytes, ...]) -> None:
    reading = evaluate(Handshake(presented, (), "TLSv1.3"), "example.test")
    assert isinstance(reading, Failure)
    assert reading.found is None
    assert [problem.reason for problem in reading.problems] == [Reason.CERTIFICATE_INVALID]
    assert reading.problems[0].detail.startswith("it cannot be read: ")


def test_a_version_that_no_certificate_has_is_invalid() -> None:
    """OpenSSL lets it pass."""
    leaf = certificate("example.test").replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x42", 1)
    reading = evaluate(Handshake((leaf,), (), "TLSv1.3"), "example.test")
    assert reading == Failure(
        (Problem(Reason.CERTIFICATE_INVALID, "it cannot be read: 66 is not a valid X509 version"),)
    )


def test_a_name_of_an_odd_type_is_invalid() -> None:
    """A common name may not be a string of bits; OpenSSL lets it pass."""
    leaf = certificate("example.test", issuer="\0bits").replace(b"\x0c\x05\0bits", b"\x03\x05\0bits")
    reading = evaluate(Handshake((leaf,), (), "TLSv1.3"), "example.test")
    assert isinstance(reading, Failure)
    assert [problem.reason for problem in reading.problems] == [Reason.CERTIFICATE_INVALID]


def test_keeps_no_more_names_than_anybody_reads() -> None:
    names = [f"n{number}.test" for number in range(500)]
    reading = evaluate(handshake(*names), "n499.test")
    assert isinstance(reading, TlsSession)
    assert reading.certificate.names == tuple(names[:MAX_NAMES])


def test_keeps_no_more_text_of_names_than_anybody_reads() -> None:
    """The first ones, and each as a whole."""
    names = [f"n{number}.".ljust(250, "n") for number in range(10)]
    reading = evaluate(handshake("example.test", *names), "example.test")
    assert isinstance(reading, TlsSession)
    assert reading.certificate.names == ("example.test", *names[:3])
    assert MAX_NAMES_CHARACTERS == 1000


def test_keeps_no_more_problems_than_anybody_reads() -> None:
    """Any chain may have more of them than certificates, and hundreds of those."""
    errors = [VerifyError(10, depth) for depth in range(1, 300)]
    assert problems(handshake("example.test", errors=errors)) == [
        Problem(Reason.CERTIFICATE_EXPIRED, f"the certificate {depth} above it in the chain has expired")
        for depth in range(1, MAX_PROBLEMS + 1)
    ]


def test_names_from_the_certificate_are_made_safe_to_show() -> None:
    reading = evaluate(
        Handshake((certificate("example.test", subject="a\nb" + "c" * 60),), (), "TLSv1.3"), "example.test"
    )
    assert isinstance(reading, TlsSession)
    assert reading.certificate.subject == "a\ufffdb" + "c" * 60


def test_tells_the_cipher() -> None:
    """In the words of whoever shook hands."""
    reading = evaluate(replace(handshake("example.test"), cipher="TLS_AES_128_GCM_SHA256"), "example.test")
    assert isinstance(reading, TlsSession)
    assert reading.cipher == "TLS_AES_128_GCM_SHA256"


def test_a_long_chain_is_cut() -> None:
    """A server may send whatever it likes."""
    leaf, intermediate = chain("example.test")
    reading = evaluate(Handshake((leaf, *[intermediate] * 50), (), "TLSv1.3"), "example.test")
    assert isinstance(reading, TlsSession)
    assert len(reading.issuers) == MAX_CHAIN - 1


# ---------------------------------------------------------------- the same chain once more


def test_an_unchanged_chain_is_read_once() -> None:
    finished = handshake("example.test")
    first, second = (evaluate(finished, "example.test") for _ in range(2))
    assert isinstance(first, TlsSession)
    assert isinstance(second, TlsSession)
    assert second.certificate is first.certificate


def test_what_a_judgement_depends_on_is_never_mixed_up() -> None:
    """Name, complaints and every certificate of the chain; version and cipher are of this handshake."""
    finished = handshake("example.test")
    assert problems(finished) == []
    assert [problem.reason for problem in problems(finished, "other.test")] == [Reason.CERTIFICATE_NAME_MISMATCH]
    expired = replace(finished, verify_errors=(VerifyError(10, 0),))
    assert [problem.reason for problem in problems(expired)] == [Reason.CERTIFICATE_EXPIRED]
    short = replace(finished, chain=finished.chain[:1])
    reading = evaluate(replace(short, tls_version="TLSv1.2", cipher="AES128-SHA"), "example.test")
    assert isinstance(reading, TlsSession)
    assert (reading.issuers, reading.tls_version, reading.cipher) == ((), "TLSv1.2", "AES128-SHA")
    assert problems(finished) == []


def test_what_is_remembered_weighs_what_it_takes() -> None:
    """About, for a chain with as much as a server can have us keep."""
    weak = rsa.generate_private_key(65537, 1024)
    above = [certificate(subject=f"{number}" * 64, issuer="\N{BLACK STAR}" * 21, key=weak) for number in range(4)]
    leaf = certificate(*(f"name-{number}.test" for number in range(MAX_NAMES)))
    judged = evaluate_chain(Handshake((leaf, *above), (), "TLSv1.3"), "example.test", ChainCache())
    assert (len(judged.problems), len(judged.issuers)) == (5, 4)
    assert weight(judged) == pytest.approx(bytes_of(judged), rel=0.25)


def bytes_of(thing: object) -> int:
    """Itself, and all that it holds."""
    if isinstance(thing, tuple):
        return getsizeof(thing) + sum(map(bytes_of, thing))
    if is_dataclass(thing):
        return getsizeof(thing) + sum(bytes_of(getattr(thing, field.name)) for field in fields(thing))
    return getsizeof(thing)


def test_a_chain_with_very_many_faults_is_not_remembered() -> None:
    """What OpenSSL complained of would have to be remembered with it."""
    expired = [VerifyError(10, depth) for depth in range(1, 300)]
    for errors, remembered in ((expired, False), (expired[: MAX_PROBLEMS - 1], True)):
        finished, cache = handshake("example.test", errors=errors), ChainCache()
        tls.evaluate(finished, "example.test", cache)
        known = cache.evaluations.get((finished.fingerprint, finished.verify_errors, "example.test"))
        assert (known is not None) is remembered


def test_an_authority_is_described_once() -> None:
    """One object for all of its servers."""
    _, intermediate = chain("example.test")
    servers = [Handshake((certificate(name), intermediate), (), "TLSv1.3") for name in ("a.test", "b.test")]
    cache = ChainCache()
    first, second = (evaluate_chain(finished, "example.test", cache).issuers for finished in servers)
    assert first[0] is second[0]


def test_memory_for_judgements_is_bounded_in_bytes() -> None:
    """A server may present another chain at each of 32 addresses, whenever it is probed."""
    cache = ChainCache()
    finished = handshake(*(f"n{number}.test" for number in range(MAX_NAMES)))
    tls.evaluate(finished, "n1.test", cache)
    assert cache.evaluations._weight == weight(evaluate_chain(finished, "n1.test", cache)) > 3000
    assert cache.evaluations._capacity == EVALUATIONS_BYTES
