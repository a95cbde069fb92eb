"""The declaration of every key of the web configuration file, in the format of the Prometheus exporter toolkit.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from ssl import TLSVersion
from typing import Annotated

from pydantic import Field, with_config

from exporter.config import value_types
from exporter.config.groups import STRICT
from exporter.config.value_types import Parser, ValueType
from exporter.config.yaml_reader import NULL, UnsupportedScalar
from exporter.model import durations


class ClientAuth(StrEnum):
    """Whether a client must present a certificate. The names are those of Go's crypto/tls."""

    NONE = "NoClientCert"
    REQUEST = "RequestClientCert"
    """Has the same effect as NONE: nothing evaluates the certificate."""
    VERIFY_IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRE = "RequireAndVerifyClientCert"


_ANY_CERTIFICATE = f"it accepts any self-made certificate, so use {ClientAuth.REQUIRE}"
_INSECURE_VERSION = "older versions are insecure (RFC 8996), and OpenSSL refuses them"

VERSIONS = {"TLS12": TLSVersion.TLSv1_2, "TLS13": TLSVersion.TLSv1_3}

CIPHER_SUITES = {
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
"""The cipher suites that Go considers secure, with their names in OpenSSL. Those of TLS 1.3 have no name, because they
are always enabled.
"""

CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""The response headers that may be set, and their possible values; empty if every value is possible."""


# ---------------------------------------------------------------- types of values


def _one_of(table: Mapping[str, object], remedies: Mapping[str, str]) -> ValueType:
    """Return a type of the keys of `table`, which stand for its values. `remedies` has those for other strings."""

    def parse(written: str) -> object:
        if written not in table:
            raise ValueError(remedies.get(written, ""))
        return table[written]

    return ValueType(f"one of {', '.join(table)}", value_types.parse_text(parse), {"enum": list(table)})


def _parse_not_empty(written: str) -> str:
    if not written:
        raise ValueError
    return written


def _or_zero(parse: Parser) -> Parser:
    """Return a parser that also accepts zero, with or without a unit."""
    return lambda value: 0.0 if value in (0, "0", "0s") else parse(value)


def _parse_header_value(value: object) -> str:
    """Null is the same as an empty string. A number does not need quotes, as in `X-XSS-Protection: 0`."""
    blank = isinstance(value, UnsupportedScalar) and value.read_as == NULL
    written = "" if blank else value if isinstance(value, str) else value_types.original_text(value)
    if written is None or not written.isascii() or not written.isprintable():
        raise ValueError
    return written


def _accept_any(value: object) -> str:
    """Leave the check to the rules, which do not show secrets. They refuse the empty string."""
    return value if isinstance(value, str) else ""


_STRING = value_types.STRING
_FILE = ValueType("the path of a file", value_types.parse_text(value_types.parse_path), _STRING)
_HIDDEN = ValueType("a string", _accept_any, _STRING)
_NAME = ValueType(
    "a name from a certificate, such as prometheus.example.org", value_types.parse_text(_parse_not_empty), _STRING
)
_CLIENT_AUTH = _one_of(
    {each.value: each for each in ClientAuth},
    {"RequireAnyClientCert": _ANY_CERTIFICATE, "RequireClientCert": _ANY_CERTIFICATE},
)
_VERSION = _one_of(VERSIONS, {"TLS10": _INSECURE_VERSION, "TLS11": _INSECURE_VERSION})
_CIPHER_SUITE = replace(
    _one_of(CIPHER_SUITES, {}),
    expected="a cipher suite that Go considers secure, such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
)
_CURVE = _one_of(CURVES, {})
_HEADER = _one_of({name: name for name in HEADERS}, {})
_HEADER_VALUE = ValueType("a string of printable ASCII characters", _parse_header_value, {"type": "string"})
_INTERVAL = ValueType(
    "a duration such as 1s or 500ms, or 0", _or_zero(value_types.parse_text(durations.parse)), _STRING
)
_BURST = ValueType(
    "a whole number of at least 1", value_types.whole_number(math.inf), {"type": "integer", "minimum": 1}
)


# ---------------------------------------------------------------- the file


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class TlsServerSettings:
    """TLS, and which clients may connect. Paths are relative to the web configuration file."""

    cert: Annotated[str | None, _HIDDEN] = None
    """The certificate with its intermediate certificates, instead of `cert_file`."""
    key: Annotated[str | None, _HIDDEN] = field(default=None, repr=False)
    """The private key, instead of `key_file`."""
    client_ca: Annotated[str | None, _HIDDEN] = None
    """The certificate authorities of the clients, instead of `client_ca_file`."""
    cert_file: Annotated[Path | None, _FILE] = None
    key_file: Annotated[Path | None, _FILE] = None
    client_ca_file: Annotated[Path | None, _FILE] = None
    client_auth_type: Annotated[ClientAuth, _CLIENT_AUTH] = ClientAuth.NONE
    client_allowed_sans: tuple[Annotated[str, _NAME], ...] = ()
    """The certificate of a client must contain one of these names: DNS name, IP address, email address or URI."""
    min_version: Annotated[TLSVersion, _VERSION] = TLSVersion.TLSv1_2
    max_version: Annotated[TLSVersion, _VERSION] = TLSVersion.TLSv1_3
    cipher_suites: tuple[Annotated[str, _CIPHER_SUITE], ...] = ()
    """Those for TLS 1.2, by OpenSSL's names. If the list is empty, Python chooses."""
    prefer_server_cipher_suites: Annotated[bool, value_types.BOOLEAN] = True
    curve_preferences: Annotated[tuple[Annotated[str, _CURVE], ...], Field(max_length=1)] = ()
    """At most one, because Python cannot set more before 3.15. If the list is empty, OpenSSL chooses."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class HttpServerSettings:
    """Settings that apply to every response."""

    http2: Annotated[bool, value_types.BOOLEAN] = True
    """Has no effect: the exporter speaks HTTP/1.1."""
    headers: dict[Annotated[str, _HEADER], Annotated[str, _HEADER_VALUE]] = field(default_factory=dict)
    """Response headers. A header with an empty value is not sent, and one that a page sets itself remains."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class RateLimitSettings:
    """A limit of the rate of requests, for all clients together."""

    interval: Annotated[float, _INTERVAL] = 0.0
    """The average time between two requests, in seconds; 0 means that the rate is not limited."""
    burst: Annotated[int, _BURST] = 1
    """How many requests may arrive at once."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class WebSettingsFile:
    """The web configuration file."""

    tls_server_config: TlsServerSettings = field(default_factory=TlsServerSettings)
    """If it is empty, the exporter does not use TLS."""
    http_server_config: HttpServerSettings = field(default_factory=HttpServerSettings)
    basic_auth_users: dict[str, Annotated[str, _HIDDEN]] = field(default_factory=dict, repr=False)
    """User names, and passwords hashed with bcrypt. If it is empty, no password is required."""
    rate_limit: RateLimitSettings = field(default_factory=RateLimitSettings)
