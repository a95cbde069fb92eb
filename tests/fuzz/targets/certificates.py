"""Certificates, as DER."""

from collections.abc import Iterator

from exporter.internet.der import count_values
from exporter.model import names
from exporter.model.findings import TlsSession
from exporter.model.names import InvalidServerNameError
from exporter.model.outcomes import Passed, found
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Handshake, VerifyError
from exporter.probing.problems import Step
from exporter.probing.stages import tls
from tests.fuzz.targets.judging import attempted, brought

NAME = "example.test"


def certificates(written: bytes) -> None:
    """A line with the name that is wanted and OpenSSL's complaints (code:depth); after it the chain."""
    line, _, der = written.partition(b"\n")
    tls_name, *complaints = line.decode("latin-1").split() or [""]
    errors = tuple(VerifyError(*error) for error in map(numbers, complaints) if error)
    handshake = Handshake(tuple(each_of(der)), errors, "TLSv1.3", "TLS_AES_128_GCM_SHA256")
    assert all(0 < count_values(certificate) <= len(certificate) for certificate in handshake.chain)
    host = host_of(tls_name)
    outcome = attempted(Step.TLS, brought(handshake), lambda evidence: tls.evaluate(evidence, host, ChainCache()))
    if secured := found(outcome):
        can_be_shown(secured)
        assert secured.certificate.valid == isinstance(outcome, Passed)


def can_be_shown(secured: TlsSession) -> None:
    leaf = secured.certificate
    for text in (leaf.issuer, leaf.subject, *leaf.names):
        assert text.isprintable()
    for each in secured.issuers:
        assert each.issuer.isprintable()
        assert each.subject.isprintable()
    assert len(leaf.names) <= tls.MAX_NAMES
    assert sum(map(len, leaf.names)) <= tls.MAX_NAMES_CHARACTERS
    assert len(secured.issuers) < tls.MAX_CHAIN
    assert len(leaf.fingerprint_sha256) == 64
    assert leaf.chain_not_after <= leaf.not_after


def numbers(complaint: str) -> tuple[int, int] | None:
    code, _, depth = complaint.partition(":")
    whole = all(part.isascii() and part.isdecimal() and len(part) < 4 for part in (code, depth))
    return (int(code), int(depth)) if whole else None


def host_of(text: str) -> str:
    try:
        return names.parse(text).host
    except InvalidServerNameError:
        return NAME


def each_of(der: bytes) -> Iterator[bytes]:
    """One after the other, by the lengths in their heads; what has no such head is the last one."""
    while der:
        in_sequence = der[:2] == b"\x30\x82" and len(der) >= 4
        end = 4 + int.from_bytes(der[2:4], "big") if in_sequence else len(der)
        yield der[:end]
        der = der[end:]
