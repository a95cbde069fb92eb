"""Stage `tls`: chain, name and dates of the certificate (server-server API, 2.1, "TLS"). Pure.

OpenSSL's verdict on the chain comes with the handshake; the name is checked as homeservers do, by subjectAltName only.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import Final

import service_identity
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from OpenSSL import crypto
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from exporter.model import names
from exporter.model.findings import Certificate, ChainCertificate, TlsSession
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable
from exporter.probing.attempt import Failure
from exporter.probing.chain_cache import ChainCache, ChainEvaluation
from exporter.probing.evidence import Handshake, VerifyError
from exporter.probing.parsing.strength import weaknesses

_MAX_NAME_CHARACTERS = 64
MAX_NAMES = 50  # of a certificate that we keep
MAX_NAMES_CHARACTERS = 1000  # in all of them: each of 32 endpoints may have its own
MAX_CHAIN = 10  # certificates that we keep
MAX_PROBLEMS = 10  # that we keep: each certificate of a chain may have several

# X509_V_ERR codes (openssl/x509_vfy.h)
_NO_LOCAL_ISSUER, _NO_LEAF_SIGNATURE = 20, 21
_VERIFY_REASONS: Final = {
    9: (Reason.CERTIFICATE_NOT_YET_VALID, "is not yet valid"),
    10: (Reason.CERTIFICATE_EXPIRED, "has expired"),
    18: (Reason.CERTIFICATE_UNTRUSTED, "is self-signed"),
    19: (Reason.CERTIFICATE_UNTRUSTED, "belongs to an authority that is not trusted"),
    _NO_LOCAL_ISSUER: (Reason.CERTIFICATE_UNTRUSTED, "was issued by nobody who is trusted"),
    _NO_LEAF_SIGNATURE: (Reason.CERTIFICATE_UNTRUSTED, "was issued by nobody who is trusted"),
}

_UNREADABLE = (
    ValueError,
    TypeError,
    IndexError,
    crypto.Error,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def evaluate(handshake: Handshake, tls_name: str, cache: ChainCache) -> TlsSession | Failure[TlsSession]:
    """Return the session, or what is wrong with its certificates.

    A bad certificate is described too, unless it cannot be parsed at all.
    """
    key = (handshake.fingerprint, handshake.verify_errors, tls_name)
    evaluation = cache.evaluations.get(key)
    if evaluation is None:
        evaluation = evaluate_chain(handshake, tls_name, cache)
        if len(evaluation.problems) < MAX_PROBLEMS:  # the key holds OpenSSL's errors, of which there may be many more
            cache.evaluations.put(key, evaluation)
    if evaluation.certificate is None:
        return Failure(evaluation.problems)
    session = TlsSession(evaluation.certificate, handshake.tls_version, handshake.cipher, evaluation.issuers)
    return Failure(evaluation.problems, session) if evaluation.problems else session


def evaluate_chain(handshake: Handshake, tls_name: str, cache: ChainCache) -> ChainEvaluation:
    """Evaluate a chain as `evaluate` does, without remembering it."""
    try:
        chain = [x509.load_der_x509_certificate(der) for der in handshake.chain]
        leaf = chain[0]
        faults = (*_chain_faults(handshake, leaf), *_weak_faults(chain), *_name_faults(leaf, tls_name))
        problems = tuple(islice(dict.fromkeys(faults), MAX_PROBLEMS))
        issuers = tuple(_describe_issuer(certificate, cache) for certificate in chain[1:MAX_CHAIN])
        return ChainEvaluation(problems, _describe(chain, valid=not problems), issuers)
    except _UNREADABLE as error:
        text = printable(f"it cannot be read: {error}", 200)
        return ChainEvaluation((Problem(Reason.CERTIFICATE_INVALID, text),))


def _chain_faults(handshake: Handshake, leaf: x509.Certificate) -> Iterator[Problem]:
    for error in handshake.verify_errors:
        yield _chain_fault(error, leaf, sent_alone=len(handshake.chain) == 1)


def _chain_fault(error: VerifyError, leaf: x509.Certificate, *, sent_alone: bool) -> Problem:
    if error.code in (_NO_LOCAL_ISSUER, _NO_LEAF_SIGNATURE) and sent_alone:
        return Problem(
            Reason.CERTIFICATE_INCOMPLETE_CHAIN, f"only the certificate was sent, not that of {_issuer(leaf)!r}"
        )
    why, text = _VERIFY_REASONS.get(
        error.code, (Reason.CERTIFICATE_INVALID, f"is refused (OpenSSL error {error.code})")
    )
    date = {
        Reason.CERTIFICATE_EXPIRED: f" (on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC)",
        Reason.CERTIFICATE_NOT_YET_VALID: f" (before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC)",
    }
    return Problem(why, f"{_position(error.depth)} {text}{date.get(why, '') if error.depth == 0 else ''}")


def _weak_faults(chain: Sequence[x509.Certificate]) -> Iterator[Problem]:
    for depth, text in weaknesses(chain):
        yield Problem(Reason.CERTIFICATE_INVALID, f"{_position(depth)} {text}")


def _position(depth: int) -> str:
    return "the certificate" if depth == 0 else f"the certificate {depth} above it in the chain"


def _name_faults(leaf: x509.Certificate, tls_name: str) -> Iterator[Problem]:
    verify = verify_certificate_ip_address if names.ip_literal(tls_name) else verify_certificate_hostname
    try:
        verify(leaf, tls_name)
    except service_identity.VerificationError:
        bears = ", ".join(_subject_alternative_names(leaf)[:5])
        yield Problem(Reason.CERTIFICATE_NAME_MISMATCH, f"it should be for {tls_name!r}, it is for {bears}")
    except service_identity.CertificateError as error:
        # no subjectAltName at all, or one that cannot be used: homeservers refuse the whole certificate
        bears_any = bool(_subject_alternative_names(leaf))
        why = Reason.CERTIFICATE_INVALID if bears_any else Reason.CERTIFICATE_NAME_MISMATCH
        yield Problem(why, printable(str(error), 200))


def _describe(chain: Sequence[x509.Certificate], *, valid: bool) -> Certificate:
    leaf = chain[0]
    return Certificate(
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        chain_not_after=min(certificate.not_valid_after_utc for certificate in chain),
        issuer=_issuer(leaf),
        subject=_common_name(leaf.subject),
        names=_first_names(_subject_alternative_names(leaf)),
        fingerprint_sha256=leaf.fingerprint(SHA256()).hex(),
        valid=valid,
    )


def _describe_issuer(certificate: x509.Certificate, cache: ChainCache) -> ChainCertificate:
    """Return the same object for all servers of an authority."""
    fingerprint = certificate.fingerprint(SHA256())
    known = cache.issuers.get(fingerprint)
    if known is None:
        known = ChainCertificate(_issuer(certificate), _common_name(certificate.subject), fingerprint.hex())
        cache.issuers.put(fingerprint, known)
    return known


def _first_names(names: Sequence[str]) -> tuple[str, ...]:
    """As many as we keep."""
    so_far = accumulate(map(len, names[:MAX_NAMES]))
    return tuple(name for name, characters in zip(names, so_far, strict=False) if characters <= MAX_NAMES_CHARACTERS)


def _issuer(leaf: x509.Certificate) -> str:
    return _common_name(leaf.issuer)


def _common_name(name: x509.Name) -> str:
    """What people know it by: the common name, or else the organisation, or else all of it."""
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        if attributes := name.get_attributes_for_oid(oid):
            return printable(str(attributes[0].value), _MAX_NAME_CHARACTERS)
    return printable(name.rfc4514_string(), _MAX_NAME_CHARACTERS)


def _subject_alternative_names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    dns_names = extension.get_values_for_type(x509.DNSName)
    ips = [str(ip) for ip in extension.get_values_for_type(x509.IPAddress)]
    return tuple(printable(name, 255) for name in (*dns_names, *ips))
