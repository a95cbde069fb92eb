"""Certificates and TLS, good and bad."""

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.agreement.fuzz.draw import USUAL
from tests.agreement.served import engine, pki

_TLS1_1, _TLS1_2, _TLS1_3 = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
_ANY: Final = "ALL:@SECLEVEL=0"

Certified = Callable[[Any, str], Any]
"""A federation and a name -> the TLS context of a server of that name."""


def _with(**options: Any) -> Certified:
    return lambda f, name: f.certificate(name, **options)


def _rsa(bits: int = 2048, **options: Any) -> Certified:
    return lambda f, name: f.certificate(name, key=pki.rsa_key(bits), **options)


def _for(*names: str) -> Certified:
    """Return a certificate of other names, in which `NAME` is the name and `PARENT` the domain above."""

    def certified(f: Any, name: str) -> Any:
        parent = name.partition(".")[2]
        return f.certificate(*(each.replace("NAME", name).replace("PARENT", parent) for each in names))

    return certified


def _of_issuer(name: str, **options: Any) -> Certified:
    """Return one that an intermediate of our root has signed; `options` are those of the intermediate."""
    return lambda f, host: f.certificate(host, issuer=pki.Authority(name, f.world.root, **options))


def _constrained(f: Any, name: str, *, to_us: bool) -> Any:
    issuer = pki.Authority("constrained", f.world.root, permitted=[f.domain if to_us else "elsewhere.test"])
    return f.certificate(name, issuer=issuer)


def _chain(*parts: Callable[[Any], Any]) -> Certified:
    return lambda f, name: f.certificate(name, chain=[part(f.world) for part in parts])


def _client_certificate(highest: ssl.TLSVersion) -> Certified:
    return _with(client_certificate=True, highest=highest)


CERTIFICATES: Final[Mapping[str, Certified]] = {
    USUAL: _with(),
    "expired": _with(not_before=pki.NOW - 90 * pki.DAY, not_after=pki.NOW - pki.DAY),
    "not yet valid": _with(not_before=pki.NOW + pki.DAY),
    "expires in an hour": _with(not_after=pki.NOW + pki.DAY / 24),
    "another name": _for("other.test"),
    "several names": _for("other.test", "NAME", "third.test"),
    "a wildcard": _for("*.PARENT"),
    "a wildcard above": _for("*.test"),
    "a wildcard below": _for("*.NAME"),
    "the domain above": _for("PARENT"),
    "capitals in the name": lambda f, name: f.certificate(name.upper()),
    "a dot after the name": _for("NAME."),
    "no alternative name": _with(common_name_only=True),
    "self-signed": lambda f, name: f.server_context(pki.self_signed(name)),
    "unknown authority": lambda f, name: f.certificate(name, issuer=pki.Authority("unknown")),
    "intermediate missing": _with(chain=[]),
    "root sent too": _chain(lambda world: world.intermediate.certificate, lambda world: world.root.certificate),
    "wrong order": _chain(lambda world: world.root.certificate, lambda world: world.intermediate.certificate),
    "intermediate twice": _chain(*(lambda world: world.intermediate.certificate,) * 2),
    "root only": _chain(lambda world: world.root.certificate),
    "a stranger sent too": _chain(
        lambda world: world.intermediate.certificate, lambda _: pki.Authority("stranger").certificate
    ),
    "an expired cross-signature": _chain(
        lambda world: world.intermediate.certificate, lambda world: world.root.expired_cross_signature()
    ),
    "expired intermediate": _of_issuer("old", not_after=pki.NOW - pki.DAY),
    "an intermediate that may not sign": _of_issuer("no authority", ca=False),
    "constrained to us": lambda f, name: _constrained(f, name, to_us=True),
    "constrained to others": lambda f, name: _constrained(f, name, to_us=False),
    "for clients only": _with(extended_usage=[ExtendedKeyUsageOID.CLIENT_AUTH]),
    "for any use": _with(extended_usage=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
    "for clients and servers": _with(extended_usage=[ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
    "no extended use": _with(extended_usage=()),
    "key agreement only": _with(usage=["key_agreement"]),
    "a certificate's signer": _with(usage=["digital_signature", "key_cert_sign"]),
    "an unknown critical extension": _with(unknown_critical=True),
    "P-384": lambda f, name: f.certificate(name, key=ec.generate_private_key(ec.SECP384R1())),
    "P-521": lambda f, name: f.certificate(name, key=ec.generate_private_key(ec.SECP521R1())),
    "P-224": lambda f, name: f.certificate(name, key=ec.generate_private_key(ec.SECP224R1()), highest=_TLS1_2),
    "secp256k1": lambda f, name: f.certificate(name, key=ec.generate_private_key(ec.SECP256K1()), highest=_TLS1_2),
    "Ed25519": lambda f, name: f.certificate(name, key=ed25519.Ed25519PrivateKey.generate()),
    "Ed448": lambda f, name: f.certificate(name, key=ed448.Ed448PrivateKey.generate()),
    "RSA": _rsa(),
    "RSA of 1024 bits": _rsa(1024, ciphers=_ANY),
    "RSA of 1536 bits": _rsa(1536, ciphers=_ANY),
    "RSA of 3072 bits": _rsa(3072),
    "TLS 1.1 at most": _with(lowest=ssl.TLSVersion.TLSv1, highest=_TLS1_1, ciphers=_ANY),
    "TLS 1.2 only": _with(highest=_TLS1_2),
    "TLS 1.3 only": _with(lowest=_TLS1_3),
    **{
        f"{cipher} only": _rsa(highest=_TLS1_2, ciphers=f"{cipher}:@SECLEVEL=0")
        for cipher in (
            *("ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384"),
            *("ECDHE-RSA-CAMELLIA128-SHA256", "ECDHE-RSA-NULL-SHA", "ECDHE-ARIA256-GCM-SHA384"),
            *("AES128-GCM-SHA256", "AES256-SHA", "AES128-CCM8"),
        )
    },
    "DHE only": _rsa(highest=_TLS1_2, ciphers="DHE-RSA-AES128-GCM-SHA256"),
    "DHE with CBC only": _rsa(highest=_TLS1_2, ciphers="DHE-RSA-AES256-SHA256"),
    "a client certificate in TLS 1.2": _client_certificate(_TLS1_2),
    "a client certificate in TLS 1.3": _client_certificate(_TLS1_3),
    "only another name in SNI": _with(server_names=["www.other.test"]),
    "HTTP/2 in ALPN": _with(alpn=["h2"]),
    "HTTP/1.1 in ALPN": _with(alpn=["http/1.1"]),
    "HTTP/1.0 in ALPN": _with(alpn=["http/1.0"]),
}

TALKS: Final[Mapping[str, Callable[..., Any] | None]] = {
    # What a port speaks that does not speak TLS, and None where it does.
    USUAL: None,
    "ssh": engine.greet(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "smtp": engine.greet(b"220 mail ESMTP\r\n"),
    "plain http": engine.want_http,
    "a reset": engine.reset,
    "the end": engine.greet(b""),
}
