"""Rules that concern several values of the web configuration, or the files that the values name.

As in `exporter.config.rules`, the document is read as it is written; values of the wrong type are reported elsewhere.
"""

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exporter.config.checking import missing_key
from exporter.config.complaint import HIDDEN_VALUE, Complaint
from exporter.config.document import Document, describe
from exporter.config.files import UnreadableError
from exporter.config.rules import Violations, as_mapping
from exporter.web.settings import tls
from exporter.web.settings.declaration import HEADERS, VERSIONS, ClientAuth

PemContents: TypeAlias = Mapping[str, bytes | UnreadableError]
"""The PEM text of `cert`, `key` and `client_ca`, from the web configuration file or from the file that it names. A key
that is not configured is missing.
"""

SECTION = "tls_server_config"
_VERIFYING = (ClientAuth.VERIFY_IF_GIVEN, ClientAuth.REQUIRE)

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_NOT_BCRYPT = (
    f"expected a password hashed with bcrypt, such as $2y$10$…, found {HIDDEN_VALUE}: "
    "create one with `htpasswd -nBC 10 NAME`"
)


def check_rules(document: Document, contents: PemContents) -> Iterator[Complaint]:
    """Yield all complaints."""
    root = as_mapping(document.root)
    section = as_mapping(root.get(SECTION))
    for rule in (_require_hashed_passwords(root), _check_header_values(root)):
        yield from (document.complaint(path, sentence) for path, sentence in rule)
    for rule in (
        _reject_two_sources(section),
        _require_certificate_and_key(section),
        _check_client_authentication(section),
        _require_ordered_versions(section),
        _check_certificate_and_key(section, contents),
        _check_authorities(section, contents),
    ):
        yield from (document.complaint((SECTION, *path), sentence) for path, sentence in rule)


def _require_hashed_passwords(root: dict[str, object]) -> Violations:
    for user, hashed in as_mapping(root.get("basic_auth_users")).items():
        if not isinstance(hashed, str) or not _BCRYPT.fullmatch(hashed):
            yield ("basic_auth_users", user), _NOT_BCRYPT


def _check_header_values(root: dict[str, object]) -> Violations:
    for header, value in as_mapping(as_mapping(root.get("http_server_config")).get("headers")).items():
        allowed = HEADERS.get(header, ())
        if allowed and isinstance(value, str) and value not in ("", *allowed):
            sentence = f"expected {' or '.join(allowed)}, found {describe(value)}"
            yield ("http_server_config", "headers", header), sentence


# ---------------------------------------------------------------- TLS


def _reject_two_sources(section: dict[str, object]) -> Violations:
    for key in ("cert", "key", "client_ca"):
        if key in section and f"{key}_file" in section:
            yield (key,), f"`{key}_file` is set too: remove one of them"


def _require_certificate_and_key(section: dict[str, object]) -> Violations:
    for key in ("cert", "key"):
        if section and _given_key(section, key) is None:
            yield (), missing_key(f"`{key}_file` (or `{key}`)")


def _given_key(section: dict[str, object], key: str) -> str | None:
    return next((name for name in (f"{key}_file", key) if name in section), None)


def _check_client_authentication(section: dict[str, object]) -> Violations:
    """Report three mistakes, each of which would let in more clients than intended, or none:

    - certificate authorities of clients, but clients are not asked for a certificate,
    - certificates that have to be verified, but no authorities,
    - names that a certificate must contain, but clients may connect without a certificate.
    """
    auth_type = section.get("client_auth_type", ClientAuth.NONE)
    if auth_type not in list(ClientAuth):
        return
    authorities = _given_key(section, "client_ca")
    remedy = f"set `client_auth_type: {ClientAuth.REQUIRE}`"
    if authorities and auth_type == ClientAuth.NONE:
        yield (authorities,), f"clients are not asked for a certificate: {remedy}"
    if not authorities and auth_type in _VERIFYING:
        expected = f"expected certificate authorities for {auth_type}"
        yield ("client_auth_type",), f"{expected}, found none: add `client_ca_file`"
    if section.get("client_allowed_sans") and auth_type != ClientAuth.REQUIRE:
        yield ("client_allowed_sans",), f"clients may connect without a certificate: {remedy}"


def _require_ordered_versions(section: dict[str, object]) -> Violations:
    lowest, highest = (section.get(f"{end}_version", default) for end, default in (("min", "TLS12"), ("max", "TLS13")))
    order = list(VERSIONS)
    if lowest in order and highest in order and order.index(str(lowest)) > order.index(str(highest)):
        blamed = "max_version" if "max_version" in section else "min_version"
        yield (blamed,), f"expected min_version not to be above max_version, found {lowest} and {highest}: swap them"


def _check_certificate_and_key(section: dict[str, object], contents: PemContents) -> Violations:
    """Check each of them alone and then, if both are valid, whether they belong together."""
    valid: list[bytes] = []
    for key, check_content in (("cert", _check_certificates), ("key", _check_key)):
        sentence, content = _check_pem(contents, key, check_content)
        if sentence:
            yield (_given_key(section, key) or key,), sentence
        elif content:
            valid.append(content)
    if len(valid) == 2:
        try:
            tls.load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *valid)
        except ssl.SSLError as error:
            yield (_given_key(section, "key") or "key",), _describe_mismatch(error)


def _check_authorities(section: dict[str, object], contents: PemContents) -> Violations:
    sentence, _ = _check_pem(contents, "client_ca", _check_authority_certificates)
    if sentence:
        yield (_given_key(section, "client_ca") or "client_ca",), sentence


def _check_pem(contents: PemContents, key: str, check: Callable[[bytes], str]) -> tuple[str, bytes | None]:
    """Return what is wrong, or an empty string, and the content."""
    match contents.get(key):
        case None:
            return "", None
        case UnreadableError() as error:
            return str(error), None
        case content:
            return check(content), content


def _check_certificates(content: bytes) -> str:
    try:
        x509.load_pem_x509_certificates(content)
    except ValueError:
        return "expected a certificate in PEM format with its intermediate certificates, found none or an invalid one"
    return ""


def _check_key(content: bytes) -> str:
    """The sentence does not contain anything from the key."""
    try:
        load_pem_private_key(content, password=None)
    except TypeError:
        return "expected a private key without a passphrase, found one with a passphrase: remove the passphrase"
    except (ValueError, UnsupportedAlgorithm):
        return "expected a private key in PEM format, found none or an invalid one"
    return ""


def _describe_mismatch(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "this key does not belong to the certificate: use a certificate and a key that were issued together"
    return f"OpenSSL refuses this certificate and its key: {error.reason}"


def _check_authority_certificates(content: bytes) -> str:
    try:
        tls.load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), content)
    except (ssl.SSLError, ValueError):
        return "expected certificates of certificate authorities in PEM format, found none or an invalid one"
    return ""
