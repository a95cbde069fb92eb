"""What `--web.config.file` may say: the format of the Prometheus exporter toolkit, one declaration for each key.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from ssl import TLSVersion
from typing import Annotated

from pydantic import Field, with_config

from exporter.config import value_types
from exporter.config.document import NOTHING, UnsupportedScalar
from exporter.config.settings import STRICT
from exporter.config.value_types import Parser, ValueType
from exporter.model import durations


class ClientAuth(StrEnum):
    """What a client must show of itself before it may say anything; by the names of Go's crypto/tls."""

    NONE = "NoClientCert"
    REQUEST = "RequestClientCert"
    """As NONE: nobody would look at the certificate."""
    VERIFY_IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRE = "RequireAndVerifyClientCert"


_ANY_CERTIFICATE = f"that lets in whoever makes a certificate of their own: write {ClientAuth.REQUIRE}"
_BROKEN_VERSION = "older versions are broken (RFC 8996), and OpenSSL refuses them"

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
"""Go's names for those it holds secure, and OpenSSL's; none for those of TLS 1.3, which are always on."""

CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""Those that may be set, and what they may say where that is limited."""


# ---------------------------------------------------------------- kinds of values


def _one_of(table: Mapping[str, object], remedies: Mapping[str, str]) -> ValueType:
    def read(written: str) -> object:
        if written not in table:
            raise ValueError(remedies.get(written, ""))
        return table[written]

    return ValueType(f"one of {', '.join(table)}", value_types.text(read), {"enum": list(table)})


def _anything(written: str) -> str:
    if not written:
        raise ValueError
    return written


def _or_zero(read: Parser) -> Parser:
    """With a unit, or without."""
    return lambda value: 0.0 if value in (0, "0", "0s") else read(value)


def _burst(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError("leave the quotes away" if isinstance(value, str) and value.isdecimal() else "")


def _header_value(value: object) -> str:
    """Nothing is as good as blank; a number needs no quotes, for `X-XSS-Protection: 0`."""
    blank = isinstance(value, UnsupportedScalar) and value.read_as == NOTHING
    written = "" if blank else value if isinstance(value, str) else value_types.as_written(value)
    if written is None or not written.isascii() or not written.isprintable():
        raise ValueError
    return written


def _hidden(value: object) -> str:
    """Judged by rules, which do not repeat secrets; what is no text is as wrong as any other text."""
    return value if isinstance(value, str) else ""


_STRING = value_types.STRING
_FILE = ValueType("the path of a file", value_types.text(value_types.path), _STRING)
_HIDDEN = ValueType("a text", _hidden, _STRING)
_NAME = ValueType("a name out of a certificate, such as prometheus.example.org", value_types.text(_anything), _STRING)
_CLIENT_AUTH = _one_of(
    {each.value: each for each in ClientAuth},
    {"RequireAnyClientCert": _ANY_CERTIFICATE, "RequireClientCert": _ANY_CERTIFICATE},
)
_VERSION = _one_of(VERSIONS, {"TLS10": _BROKEN_VERSION, "TLS11": _BROKEN_VERSION})
_CIPHER_SUITE = replace(
    _one_of(CIPHER_SUITES, {}),
    expected="a cipher suite that Go holds secure, such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
)
_CURVE = _one_of(CURVES, {})
_HEADER = _one_of({name: name for name in HEADERS}, {})
_HEADER_VALUE = ValueType("a text of printable ASCII characters", _header_value, {"type": "string"})
_INTERVAL = ValueType("a duration such as 1s or 500ms, or 0", _or_zero(value_types.text(durations.parse)), _STRING)
_BURST = ValueType("a whole number from 1 on", _burst, {"type": "integer", "minimum": 1})


# ---------------------------------------------------------------- the file


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class TlsServerSettings:
    """TLS, and who may connect. Paths are relative to the file."""

    cert: Annotated[str | None, _HIDDEN] = None
    """The certificate and what leads to its authority, instead of `cert_file`."""
    key: Annotated[str | None, _HIDDEN] = field(default=None, repr=False)
    """The private key, instead of `key_file`."""
    client_ca: Annotated[str | None, _HIDDEN] = None
    """The authorities of the clients, instead of `client_ca_file`."""
    cert_file: Annotated[Path | None, _FILE] = None
    key_file: Annotated[Path | None, _FILE] = None
    client_ca_file: Annotated[Path | None, _FILE] = None
    client_auth_type: Annotated[ClientAuth, _CLIENT_AUTH] = ClientAuth.NONE
    client_allowed_sans: tuple[Annotated[str, _NAME], ...] = ()
    """A client's certificate must bear one of them: a DNS name, IP address, mail address or URI."""
    min_version: Annotated[TLSVersion, _VERSION] = TLSVersion.TLSv1_2
    max_version: Annotated[TLSVersion, _VERSION] = TLSVersion.TLSv1_3
    cipher_suites: tuple[Annotated[str, _CIPHER_SUITE], ...] = ()
    """For TLS 1.2, by OpenSSL's names; empty: those that Python chooses."""
    prefer_server_cipher_suites: Annotated[bool, value_types.BOOLEAN] = True
    curve_preferences: Annotated[tuple[Annotated[str, _CURVE], ...], Field(max_length=1)] = ()
    """At most one: Python cannot set more before 3.15. Empty: those of OpenSSL."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class HttpServerSettings:
    """What goes with every answer."""

    http2: Annotated[bool, value_types.BOOLEAN] = True
    """Without effect: the exporter speaks HTTP/1.1."""
    headers: dict[Annotated[str, _HEADER], Annotated[str, _HEADER_VALUE]] = field(default_factory=dict)
    """Added where an answer has none of that name; blank ones are not."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class RateLimitSettings:
    """How many requests are answered, whoever asks."""

    interval: Annotated[float, _INTERVAL] = 0.0
    """Seconds between two requests in the long run; 0: as many as come."""
    burst: Annotated[int, _BURST] = 1
    """How many may come at once."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class WebSettingsFile:
    """The web configuration file."""

    tls_server_config: TlsServerSettings = field(default_factory=TlsServerSettings)
    """Empty: no TLS."""
    http_server_config: HttpServerSettings = field(default_factory=HttpServerSettings)
    basic_auth_users: dict[str, Annotated[str, _HIDDEN]] = field(default_factory=dict, repr=False)
    """Names, and passwords hashed with bcrypt; empty: whoever asks is answered."""
    rate_limit: RateLimitSettings = field(default_factory=RateLimitSettings)
