"""Stage `tls`: the chain, the name and the dates of the certificate (server-server API, 2.1, "TLS"). Pure.

OpenSSL builds the chain during the handshake, and checks its signatures and dates. What else the server sent along is
no fault: peers do not need it. The stage checks the name as homeservers do, by subjectAltName only.
"""

import warnings
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import service_identity
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID, PublicKeyAlgorithmOID
from OpenSSL import crypto
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from exporter.model import names
from exporter.model.findings import Certificate, ChainCertificate, LeafKey, TlsSession
from exporter.model.outcomes import Problem, WeakKey
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable
from exporter.probing.attempt import Failure
from exporter.probing.chain_cache import ChainCache, ChainEvaluation
from exporter.probing.evidence import Handshake, VerifyError, fingerprint_of
from exporter.probing.parsing.strength import weaknesses

_MAX_NAME_CHARACTERS = 64
MAX_NAMES = 50  # of a certificate that are kept
MAX_NAMES_CHARACTERS = 1000  # in all of them: each of 24 endpoints may have its own certificate
MAX_CHAIN = 10  # certificates that are kept
MAX_PROBLEMS = 10  # that are kept: each certificate of a chain may have several
_MAX_NAMES_SHOWN = 5  # in a detail

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
    verified = fingerprint_of(handshake.verified_chain)
    key = (handshake.fingerprint, verified, handshake.verify_errors, tls_name)
    evaluation = cache.recall(key)
    if evaluation is None:
        evaluation = _evaluate_chain(handshake, tls_name, cache)
        if len(evaluation.problems) < MAX_PROBLEMS:  # the key contains OpenSSL's errors, and there may be many more
            cache.remember(key, evaluation)
    if evaluation.certificate is None:
        return Failure(evaluation.problems)
    session = TlsSession(
        evaluation.certificate, handshake.tls_version, handshake.cipher, evaluation.issuers, evaluation.leaf_key
    )
    return Failure(evaluation.problems, session) if evaluation.problems else session


class _Chain(NamedTuple):
    """A chain as presented, and as OpenSSL verified it or as far as it got: both begin with the leaf."""

    presented: Sequence[x509.Certificate]
    verified: Sequence[x509.Certificate]
    length: int
    """Of the verified chain, of which the root may be missing here."""

    @property
    def leaf(self) -> x509.Certificate:
        return self.presented[0]

    def unused(self) -> list[str]:
        """Return the subjects of what the server sends after the leaf and OpenSSL does not use."""
        used = self.verified[1:]
        return [_common_name(each.subject) for each in self.presented[1:] if each not in used]


def _evaluate_chain(handshake: Handshake, tls_name: str, cache: ChainCache) -> ChainEvaluation:
    """Evaluate a chain that is not in the cache, which is only used for its issuers."""
    try:
        chain = _parse(handshake)
        errors = (_chain_problem(error, chain) for error in handshake.verify_errors)
        faults = (*errors, *_check_strength(chain), *_check_name(chain.leaf, tls_name))
        problems = tuple(dict.fromkeys(faults))[:MAX_PROBLEMS]
        issuers = tuple(_describe_issuer(certificate, cache) for certificate in chain.presented[1:MAX_CHAIN])
        return ChainEvaluation(problems, _describe(chain, valid=not problems), issuers, _describe_key(chain.leaf))
    except _PARSE_ERRORS as error:
        text = printable(f"the certificate cannot be parsed: {error}", 200)
        return ChainEvaluation((Problem(Reason.CERTIFICATE_INVALID, text),))


def _parse(handshake: Handshake) -> _Chain:
    """Parse each certificate once. Where OpenSSL built no chain, the one that was presented counts."""
    parsed = {der: x509.load_der_x509_certificate(der) for der in handshake.chain}
    chain = handshake.verified_chain or handshake.chain
    verified = (parsed.get(der) or _parse_trusted(der) for der in chain)
    return _Chain([parsed[der] for der in handshake.chain], [each for each in verified if each], len(chain))


def _parse_trusted(der: bytes) -> x509.Certificate | None:
    """Parse a certificate of the trust store. Return None for one that only OpenSSL can read: that is no fault.

    Every twentieth root has a serial number of 0, which the library warns of and is about to refuse.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            return x509.load_der_x509_certificate(der)
        except ValueError:
            return None


def _chain_problem(error: VerifyError, chain: _Chain) -> Problem:
    """Return the problem that an error of OpenSSL stands for; its code is an X509_V_ERR (openssl/x509_vfy.h)."""
    who = _position(chain.verified, error.depth)
    faulty = chain.verified[error.depth] if error.depth < len(chain.verified) else None
    match error.code:
        case 9:
            since = f" (before {faulty.not_valid_before_utc:%Y-%m-%d %H:%M} UTC)" if faulty else ""
            return Problem(Reason.CERTIFICATE_NOT_YET_VALID, f"{who} is not yet valid{since}")
        case 10:
            at = f" (on {faulty.not_valid_after_utc:%Y-%m-%d %H:%M} UTC)" if faulty else ""
            return Problem(Reason.CERTIFICATE_EXPIRED, f"{who} has expired{at}")
        case 18 if _is_signed_by_itself(chain.leaf):
            return Problem(Reason.CERTIFICATE_UNTRUSTED, f"{who} is self-signed")
        case 18:  # OpenSSL goes by the names, as far as it does not know the keys
            text = f"{who} names itself as its issuer, though it has not signed itself, so peers find no issuer"
            return Problem(Reason.CERTIFICATE_UNTRUSTED, text)
        case 19:
            return Problem(Reason.CERTIFICATE_UNTRUSTED, f"{who} belongs to an authority that is not trusted")
        case 2 | 20 | 21:
            return _no_issuer(chain)
        case code:
            return Problem(Reason.CERTIFICATE_INVALID, f"{who} is rejected (OpenSSL error {code})")


def _no_issuer(chain: _Chain) -> Problem:
    """Return the problem of a chain that ends at a certificate whose issuer is not found. There are two cases:

    - a complete chain of an authority that is not trusted, as far as one can see from outside;
    - the issuer of the leaf is missing, or others are sent in place of an issuer: the chain is incomplete.
    """
    last, others = chain.verified[-1], chain.unused()[:_MAX_NAMES_SHOWN]
    who, issuer = _position(chain.verified, len(chain.verified) - 1), _issuer(last)
    if last is not chain.leaf and not others:
        return Problem(Reason.CERTIFICATE_UNTRUSTED, f"{who} was issued by {issuer!r}, which is not trusted")
    text = f"the server sends {who} without the certificate of its issuer {issuer!r}"
    names_of_others = (f"another {name!r}" if name == issuer else repr(name) for name in others)
    instead = f", and in its place {', '.join(names_of_others)}" if others else ""
    return Problem(Reason.CERTIFICATE_INCOMPLETE_CHAIN, text + instead)


def _is_signed_by_itself(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, UnsupportedAlgorithm, *_PARSE_ERRORS):
        return False
    return True


def _check_strength(chain: _Chain) -> Iterator[Problem]:
    for depth, weakness in weaknesses(chain.verified, chain.length - 1):
        detail = f"{_position(chain.verified, depth)} {weakness.text}"
        if weakness.key_kind:
            yield WeakKey(Reason.CERTIFICATE_INVALID, detail, weakness.key_kind, weakness.key_bits)
        else:
            yield Problem(Reason.CERTIFICATE_INVALID, detail)


def _describe_key(leaf: x509.Certificate) -> LeafKey:
    match leaf.public_key():
        case rsa.RSAPublicKey() as key:
            only_for_pss = leaf.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS
            return LeafKey("RSA-PSS" if only_for_pss else "RSA", key.key_size)
        case ec.EllipticCurvePublicKey() as key:
            return LeafKey("EC", key.key_size, key.curve.name)
        case key:
            return LeafKey(type(key).__name__.removesuffix("PublicKey"), getattr(key, "key_size", 256))


def _position(chain: Sequence[x509.Certificate], depth: int) -> str:
    if depth == 0:
        return "the certificate"
    name = repr(_common_name(chain[depth].subject)) if depth < len(chain) else f"at depth {depth}"
    return f"the issuer certificate {name}"


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


def _describe(chain: _Chain, *, valid: bool) -> Certificate:
    leaf = chain.leaf
    not_after = leaf.not_valid_after_utc
    return Certificate(
        not_before=leaf.not_valid_before_utc,
        not_after=not_after,
        chain_not_after=min((not_after, *(certificate.not_valid_after_utc for certificate in chain.verified))),
        issuer=_issuer(leaf),
        subject=_common_name(leaf.subject),
        names=_limit_names(_subject_alternative_names(leaf)),
        fingerprint_sha256=leaf.fingerprint(SHA256()).hex(),
        valid=valid,
        issuer_organization=next(_attributes(leaf.issuer, NameOID.ORGANIZATION_NAME), None),
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
        for value in _attributes(name, oid):
            return value
    return printable(name.rfc4514_string(), _MAX_NAME_CHARACTERS)


def _attributes(name: x509.Name, oid: x509.ObjectIdentifier) -> Iterator[str]:
    return (printable(str(found.value), _MAX_NAME_CHARACTERS) for found in name.get_attributes_for_oid(oid))


def _subject_alternative_names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    dns_names = extension.get_values_for_type(x509.DNSName)
    ips = [str(ip) for ip in extension.get_values_for_type(x509.IPAddress)]
    return tuple(printable(name, 255) for name in (*dns_names, *ips))
