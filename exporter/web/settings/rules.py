"""What no single value of the web configuration can tell: how they go together, and with the files they name.

As in `exporter.config.rules`, the document is read as written; a value of the wrong kind is none of their business.
"""

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exporter.config.complaint import Complaint
from exporter.config.document import Document, describe
from exporter.config.files import UnreadableError
from exporter.config.rules import Violations, mapping
from exporter.web.settings import tls
from exporter.web.settings.declaration import HEADERS, VERSIONS, ClientAuth

Contents: TypeAlias = Mapping[str, bytes | UnreadableError]
"""What is behind `cert`, `key` and `client_ca`, wherever it stands, as far as it is there."""

SECTION = "tls_server_config"
_VERIFYING = (ClientAuth.VERIFY_IF_GIVEN, ClientAuth.REQUIRE)

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_NOT_BCRYPT = (
    "expected a password hashed with bcrypt, such as $2y$10$…, found something else, which is not repeated here: "
    "`htpasswd -nBC 10 NAME` makes one"
)


def check_rules(document: Document, contents: Contents) -> Iterator[Complaint]:
    root = mapping(document.root)
    section = mapping(root.get(SECTION))
    for rule in (_passwords_are_hashed(root), _headers_say_what_they_may(root)):
        yield from (document.complaint(path, sentence) for path, sentence in rule)
    for rule in (
        _one_place_for_each(section),
        _certificate_and_key_are_there(section),
        _clients_are_asked(section),
        _versions_in_order(section),
        _certificate_fits_key(section, contents),
        _authorities_are_certificates(section, contents),
    ):
        yield from (document.complaint((SECTION, *path), sentence) for path, sentence in rule)


def _passwords_are_hashed(root: dict[str, object]) -> Violations:
    for user, hashed in mapping(root.get("basic_auth_users")).items():
        if not isinstance(hashed, str) or not _BCRYPT.fullmatch(hashed):
            yield ("basic_auth_users", user), _NOT_BCRYPT


def _headers_say_what_they_may(root: dict[str, object]) -> Violations:
    for header, value in mapping(mapping(root.get("http_server_config")).get("headers")).items():
        allowed = HEADERS.get(header, ())
        if allowed and isinstance(value, str) and value not in ("", *allowed):
            sentence = f"expected {' or '.join(allowed)}, found {describe(value)}"
            yield ("http_server_config", "headers", header), sentence


# ---------------------------------------------------------------- TLS


def _one_place_for_each(section: dict[str, object]) -> Violations:
    for key in ("cert", "key", "client_ca"):
        if key in section and f"{key}_file" in section:
            yield (key,), f"`{key}_file` is there too: keep one of them"


def _certificate_and_key_are_there(section: dict[str, object]) -> Violations:
    for key in ("cert", "key"):
        if section and _given_key(section, key) is None:
            yield (), f"expected the key `{key}_file` (or `{key}`), found none: add it"


def _given_key(section: dict[str, object], key: str) -> str | None:
    return next((name for name in (f"{key}_file", key) if name in section), None)


def _clients_are_asked(section: dict[str, object]) -> Violations:
    asked = section.get("client_auth_type", ClientAuth.NONE)
    if asked not in list(ClientAuth):
        return
    authorities = _given_key(section, "client_ca")
    remedy = f"write `client_auth_type: {ClientAuth.REQUIRE}`"
    if authorities and asked == ClientAuth.NONE:
        yield (authorities,), f"no client is asked for a certificate: {remedy}"
    if not authorities and asked in _VERIFYING:
        yield ("client_auth_type",), f"expected the authorities of {asked}, found none: add `client_ca_file`"
    if section.get("client_allowed_sans") and asked != ClientAuth.REQUIRE:
        yield ("client_allowed_sans",), f"clients may come without a certificate: {remedy}"


def _versions_in_order(section: dict[str, object]) -> Violations:
    lowest, highest = (section.get(f"{end}_version", default) for end, default in (("min", "TLS12"), ("max", "TLS13")))
    order = list(VERSIONS)
    if lowest in order and highest in order and order.index(str(lowest)) > order.index(str(highest)):
        blamed = "max_version" if "max_version" in section else "min_version"
        yield (blamed,), f"expected versions from the lower to the higher, found {lowest} to {highest}: exchange them"


def _certificate_fits_key(section: dict[str, object], contents: Contents) -> Violations:
    """The pair is only judged where each is good."""
    found: list[bytes] = []
    for key, wrong_with in (("cert", _wrong_with_certificates), ("key", _wrong_with_key)):
        sentence, content = _check_pem(contents, key, wrong_with)
        if sentence:
            yield (_given_key(section, key) or key,), sentence
        elif content:
            found.append(content)
    if len(found) == 2:
        try:
            tls.load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *found)
        except ssl.SSLError as error:
            yield (_given_key(section, "key") or "key",), _wrong_with_pair(error)


def _authorities_are_certificates(section: dict[str, object], contents: Contents) -> Violations:
    sentence, _ = _check_pem(contents, "client_ca", _wrong_with_authorities)
    if sentence:
        yield (_given_key(section, "client_ca") or "client_ca",), sentence


def _check_pem(contents: Contents, key: str, wrong_with: Callable[[bytes], str]) -> tuple[str, bytes | None]:
    """What is wrong, or an empty text; and the content."""
    match contents.get(key):
        case None:
            return "", None
        case UnreadableError() as error:
            return str(error), None
        case content:
            return wrong_with(content), content


def _wrong_with_certificates(content: bytes) -> str:
    try:
        x509.load_pem_x509_certificates(content)
    except ValueError:
        return "expected a certificate in PEM, and what leads to its authority, found none, or one that is broken"
    return ""


def _wrong_with_key(content: bytes) -> str:
    """Nothing of it is repeated."""
    try:
        load_pem_private_key(content, password=None)
    except TypeError:
        return "expected a private key without a password, found one with a password: remove it"
    except (ValueError, UnsupportedAlgorithm):
        return "expected a private key in PEM, found none, or one that is broken"
    return ""


def _wrong_with_pair(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "this is not the key of the certificate: put both files of one issue in place"
    return f"OpenSSL refuses this key and its certificate: {error.reason}"


def _wrong_with_authorities(content: bytes) -> str:
    try:
        tls.load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), content)
    except (ssl.SSLError, ValueError):
        return "expected certificates of authorities in PEM, found none, or one that is broken"
    return ""
