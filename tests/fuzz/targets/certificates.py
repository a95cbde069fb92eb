"""Certificates in DER."""

from collections.abc import Iterator

from exporter.internet.costs import count_values
from exporter.model import names
from exporter.model.findings import TlsSession
from exporter.model.names import InvalidServerNameError
from exporter.model.outcomes import Passed, found
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Handshake, VerifyError
from exporter.probing.problems import Step
from exporter.probing.stages import tls
from tests.fuzz.targets.checks import returning, run_attempt

NAME = "example.test"


def certificates(data: bytes) -> None:
    """A line with the TLS name and OpenSSL's verify errors (code:depth), followed by the chain."""
    line, _, der = data.partition(b"\n")
    tls_name, *verify_errors = line.decode("latin-1").split() or [""]
    errors = tuple(VerifyError(*error) for error in map(parse_verify_error, verify_errors) if error)
    chain = tuple(split_chain(der))
    verified = chain[: len(errors)]
    handshake = Handshake(chain, errors, "TLSv1.3", "TLS_AES_128_GCM_SHA256", verified)
    assert all(0 < count_values(certificate) <= len(certificate) for certificate in handshake.chain)
    host = parse_host(tls_name)
    outcome = run_attempt(Step.TLS, returning(handshake), lambda evidence: tls.evaluate(evidence, host, ChainCache()))
    if session := found(outcome):
        check_session(session)
        assert session.certificate.valid == isinstance(outcome, Passed)


def check_session(session: TlsSession) -> None:
    leaf = session.certificate
    for text in (leaf.issuer, leaf.subject, *leaf.names):
        assert text.isprintable()
    for each in session.issuers:
        assert each.issuer.isprintable()
        assert each.subject.isprintable()
    assert len(leaf.names) <= tls.MAX_NAMES
    assert sum(map(len, leaf.names)) <= tls.MAX_NAMES_CHARACTERS
    assert len(session.issuers) < tls.MAX_CHAIN
    assert len(leaf.fingerprint_sha256) == 64
    assert leaf.chain_not_after <= leaf.not_after


def parse_verify_error(text: str) -> tuple[int, int] | None:
    code, _, depth = text.partition(":")
    valid = all(part.isascii() and part.isdecimal() and len(part) < 4 for part in (code, depth))
    return (int(code), int(depth)) if valid else None


def parse_host(text: str) -> str:
    try:
        return names.parse(text).host
    except InvalidServerNameError:
        return NAME


def split_chain(der: bytes) -> Iterator[bytes]:
    """Split the chain by the lengths in the DER headers. Data without such a header is the last certificate."""
    while der:
        in_sequence = der[:2] == b"\x30\x82" and len(der) >= 4
        end = 4 + int.from_bytes(der[2:4], "big") if in_sequence else len(der)
        yield der[:end]
        der = der[end:]
