"""TLS towards those who scrape: what is in force when a connection comes is what it meets."""

import os
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Self

from exporter.web.settings.declaration import ClientAuth, TlsServerSettings

_VERIFY_MODES = {
    ClientAuth.NONE: ssl.CERT_NONE,
    ClientAuth.REQUEST: ssl.CERT_NONE,
    ClientAuth.VERIFY_IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRE: ssl.CERT_REQUIRED,
}


def server_context(settings: TlsServerSettings, pair: tuple[bytes, bytes], authorities: bytes | None) -> ssl.SSLContext:
    """`pair`: certificate and key; all as PEM. Raises ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = settings.min_version, settings.max_version
    context.set_alpn_protocols(["http/1.1"])
    load_pair(context, *pair)
    _choose_algorithms(context, settings)
    context.verify_mode = _VERIFY_MODES[settings.client_auth_type]
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as in Go: an intermediate may be trusted by itself
    if authorities is not None:
        load_authorities(context, authorities)
    if settings.client_allowed_sans:
        context.sslobject_class = _require_names(settings.client_allowed_sans)
    return context


def _choose_algorithms(context: ssl.SSLContext, settings: TlsServerSettings) -> None:
    if suites := ":".join(filter(None, settings.cipher_suites)):
        context.set_ciphers(suites)
    elif settings.cipher_suites:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if not settings.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    for curve in settings.curve_preferences:
        context.set_ecdh_curve(curve)


def load_pair(context: ssl.SSLContext, certificates: bytes, key: bytes) -> None:
    """Raises ssl.SSLError."""
    with _memory_file(certificates) as certificate_file, _memory_file(key) as key_file:
        context.load_cert_chain(certificate_file, key_file, password="")  # never asked for on the terminal


@contextmanager
def _memory_file(content: bytes) -> Iterator[str]:
    """The path of a file that never lies on a disk: OpenSSL's wrapper reads keys from files only."""
    descriptor = os.memfd_create("pem")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"


def load_authorities(context: ssl.SSLContext, content: bytes) -> None:
    """Raises ssl.SSLError, or ValueError where there is nothing in it."""
    context.load_verify_locations(cadata=content.decode("ascii", "ignore"))  # what is not ASCII is a remark


# ---------------------------------------------------------------- names of clients


def _require_names(allowed: Collection[str]) -> type[ssl.SSLObject]:
    """Connections that end with their handshake where a client's certificate bears none of the names."""

    class Named(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            certificate = self.getpeercert()
            if certificate and not _alternative_names(certificate) & set(allowed):
                raise ssl.SSLCertVerificationError("none of client_allowed_sans is in the client's certificate")

    return Named


def _alternative_names(certificate: Mapping[str, Any]) -> set[str]:
    """As `ssl` shows certificates; IP addresses in their canonical form."""
    return {
        str(ip_address(name.strip())) if kind == "IP Address" else name
        for kind, name in certificate.get("subjectAltName", ())
    }


# ---------------------------------------------------------------- contexts that change


class ReloadingContext(ssl.SSLContext):
    """Gives every connection the context that `current` returns when it comes."""

    def __new__(cls, _today: Callable[[], ssl.SSLContext]) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, current: Callable[[], ssl.SSLContext]) -> None:
        self._today = current

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """As asyncio begins a connection."""
        return self._today().wrap_bio(*arguments, **options)
