"""Stage `tls`: the chain, the name and the dates of the certificate (server-server API, 2.1, "TLS"). Pure.

OpenSSL checks the chain and the dates during the handshake. The stage checks the name as homeservers do, by
subjectAltName only.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
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
MAX_NAMES = 50  # of a certificate that are kept
MAX_NAMES_CHARACTERS = 1000  # in all of them: each of 32 endpoints may have its own certificate
MAX_CHAIN = 10  # certificates that are kept
MAX_PROBLEMS = 10  # that are kept: each certificate of a chain may have several
_MAX_NAMES_SHOWN = 5  # in a detail

# X509_V_ERR codes (openssl/x509_vfy.h)
_NO_LOCAL_ISSUER, _NO_LEAF_SIGNATURE = 20, 21
_VERIFY_REASONS: Final = {
    9: (Reason.CERTIFICATE_NOT_YET_VALID, "is not yet valid"),
    10: (Reason.CERTIFICATE_EXPIRED, "has expired"),
    18: (Reason.CERTIFICATE_UNTRUSTED, "is self-signed"),
    19: (Reason.CERTIFICATE_UNTRUSTED, "belongs to an authority that is not trusted"),
    _NO_LOCAL_ISSUER: (Reason.CERTIFICATE_UNTRUSTED, "was not issued by a trusted authority"),
    _NO_LEAF_SIGNATURE: (Reason.CERTIFICATE_UNTRUSTED, "was not issued by a trusted authority"),
}

_PARSE_ERRORS = (
    ValueError,
    TypeError,
    IndexError,
    crypto.Error,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def evaluate(handshake: Handshake, tls_name: str, cache: ChainCache) -> TlsSession | Failure[TlsSession]:
    """Return the session of a handshake with `tls_name`. There are three cases:

    - the chain cannot be parsed: a problem, and no session;
    - something is wrong with the chain: every problem, and the session with the bad certificate;
    - nothing is wrong: the session.
    """
    key = (handshake.fingerprint, handshake.verify_errors, tls_name)
    evaluation = cache.evaluations.get(key)
    if evaluation is None:
        evaluation = _evaluate_chain(handshake, tls_name, cache)
        if len(evaluation.problems) < MAX_PROBLEMS:  # the key contains OpenSSL's errors, and there may be many more
            cache.evaluations.put(key, evaluation)
    if evaluation.certificate is None:
        return Failure(evaluation.problems)
    session = TlsSession(evaluation.certificate, handshake.tls_version, handshake.cipher, evaluation.issuers)
    return Failure(evaluation.problems, session) if evaluation.problems else session


def _evaluate_chain(handshake: Handshake, tls_name: str, cache: ChainCache) -> ChainEvaluation:
    """Evaluate a chain that is not in the cache, which is only used for its issuers."""
    try:
        chain = [x509.load_der_x509_certificate(der) for der in handshake.chain]
        leaf = chain[0]
        faults = (*_check_chain(handshake, leaf), *_check_strength(chain), *_check_name(leaf, tls_name))
        problems = tuple(dict.fromkeys(faults))[:MAX_PROBLEMS]
        issuers = tuple(_describe_issuer(certificate, cache) for certificate in chain[1:MAX_CHAIN])
        return ChainEvaluation(problems, _describe(chain, valid=not problems), issuers)
    except _PARSE_ERRORS as error:
        text = printable(f"the certificate cannot be parsed: {error}", 200)
        return ChainEvaluation((Problem(Reason.CERTIFICATE_INVALID, text),))


def _check_chain(handshake: Handshake, leaf: x509.Certificate) -> Iterator[Problem]:
    for error in handshake.verify_errors:
        yield _chain_problem(error, leaf, sent_alone=len(handshake.chain) == 1)


def _chain_problem(error: VerifyError, leaf: x509.Certificate, *, sent_alone: bool) -> Problem:
    """Return the problem that an error of OpenSSL stands for. There are three cases:

    - the issuer is unknown, and the leaf was sent alone: the server does not send its intermediate certificate;
    - the code is in the table: its reason and text, for the leaf with the date on which it expires or becomes valid;
    - any other code: the certificate is invalid.
    """
    if error.code in (_NO_LOCAL_ISSUER, _NO_LEAF_SIGNATURE) and sent_alone:
        return Problem(
            Reason.CERTIFICATE_INCOMPLETE_CHAIN,
            f"the server sends its certificate without the certificate of its issuer {_issuer(leaf)!r}",
        )
    reason, text = _VERIFY_REASONS.get(
        error.code, (Reason.CERTIFICATE_INVALID, f"is rejected (OpenSSL error {error.code})")
    )
    date = {
        Reason.CERTIFICATE_EXPIRED: f" (on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC)",
        Reason.CERTIFICATE_NOT_YET_VALID: f" (before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC)",
    }
    return Problem(reason, f"{_position(error.depth)} {text}{date.get(reason, '') if error.depth == 0 else ''}")


def _check_strength(chain: Sequence[x509.Certificate]) -> Iterator[Problem]:
    for depth, text in weaknesses(chain):
        yield Problem(Reason.CERTIFICATE_INVALID, f"{_position(depth)} {text}")


def _position(depth: int) -> str:
    return "the certificate" if depth == 0 else f"the issuer certificate at depth {depth}"


def _check_name(leaf: x509.Certificate, tls_name: str) -> Iterator[Problem]:
    """Check that the leaf is for `tls_name`. It is not in three cases:

    - subjectAltName has other names: a name mismatch;
    - there is no subjectAltName: a name mismatch, as homeservers ignore the common name;
    - subjectAltName cannot be used: an invalid certificate, as homeservers reject it as a whole.
    """
    verify = verify_certificate_ip_address if names.ip_literal(tls_name) else verify_certificate_hostname
    try:
        verify(leaf, tls_name)
    except service_identity.VerificationError:
        actual = ", ".join(_subject_alternative_names(leaf)[:_MAX_NAMES_SHOWN])
        yield Problem(Reason.CERTIFICATE_NAME_MISMATCH, f"the certificate is for {actual}, not for {tls_name!r}")
    except service_identity.CertificateError as error:
        has_names = bool(_subject_alternative_names(leaf))
        reason = Reason.CERTIFICATE_INVALID if has_names else Reason.CERTIFICATE_NAME_MISMATCH
        yield Problem(reason, printable(str(error), 200))


def _describe(chain: Sequence[x509.Certificate], *, valid: bool) -> Certificate:
    leaf = chain[0]
    return Certificate(
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        chain_not_after=min(certificate.not_valid_after_utc for certificate in chain),
        issuer=_issuer(leaf),
        subject=_common_name(leaf.subject),
        names=_limit_names(_subject_alternative_names(leaf)),
        fingerprint_sha256=leaf.fingerprint(SHA256()).hex(),
        valid=valid,
    )


def _describe_issuer(certificate: x509.Certificate, cache: ChainCache) -> ChainCertificate:
    """Return the description of a certificate above the leaf: one object for all servers of an authority."""
    fingerprint = certificate.fingerprint(SHA256())
    description = cache.issuers.get(fingerprint)
    if description is None:
        description = ChainCertificate(_issuer(certificate), _common_name(certificate.subject), fingerprint.hex())
        cache.issuers.put(fingerprint, description)
    return description


def _limit_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the first names, as many as are kept."""
    totals = accumulate(map(len, names[:MAX_NAMES]))
    return tuple(name for name, total in zip(names, totals, strict=False) if total <= MAX_NAMES_CHARACTERS)


def _issuer(certificate: x509.Certificate) -> str:
    return _common_name(certificate.issuer)


def _common_name(name: x509.Name) -> str:
    """Return the common name, or the organisation if there is none, or the whole name if there is neither."""
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
