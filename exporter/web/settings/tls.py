"""TLS contexts for the server, built from the web configuration."""

import os
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Self

from exporter.web.settings.declaration import ClientAuth, TlsServerSettings
from exporter.web.settings.tls_object import FrugalObject

_VERIFY_MODES = {
    ClientAuth.NONE: ssl.CERT_NONE,
    ClientAuth.REQUEST: ssl.CERT_NONE,
    ClientAuth.VERIFY_IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRE: ssl.CERT_REQUIRED,
}


def server_context(settings: TlsServerSettings, pair: tuple[bytes, bytes], authorities: bytes | None) -> ssl.SSLContext:
    """Return a context. `pair` is the certificate and the key; all contents are PEM. Raises ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = settings.min_version, settings.max_version
    context.set_alpn_protocols(["http/1.1"])
    load_pair(context, *pair)
    _choose_algorithms(context, settings)
    context.verify_mode = _VERIFY_MODES[settings.client_auth_type]
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as in Go: an intermediate certificate may be a trust anchor
    if authorities is not None:
        load_authorities(context, authorities)
    context.sslobject_class = FrugalObject
    if settings.client_allowed_sans:
        context.sslobject_class = _require_names(settings.client_allowed_sans)
    return context


def _choose_algorithms(context: ssl.SSLContext, settings: TlsServerSettings) -> None:
    """Set the cipher suites. There are three cases:

    - The settings name suites of TLS 1.2: only those are enabled, along with all of TLS 1.3.
    - The settings name suites of TLS 1.3 only: TLS 1.2 is disabled.
    - The settings name none: Python chooses.
    """
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
        context.load_cert_chain(
            certificate_file, key_file, password=""
        )  # so that OpenSSL never prompts on the terminal


@contextmanager
def _memory_file(content: bytes) -> Iterator[str]:
    """Yield the path of a file in memory: Python's ssl module loads keys only from files."""
    descriptor = os.memfd_create("pem")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"


def load_authorities(context: ssl.SSLContext, content: bytes) -> None:
    """Raises ssl.SSLError for invalid content, and ValueError if it is empty."""
    context.load_verify_locations(cadata=content.decode("ascii", "ignore"))  # text that is not ASCII is a comment


# ---------------------------------------------------------------- names of clients


def _require_names(allowed: Collection[str]) -> type[ssl.SSLObject]:
    """Return a class of connections whose handshake fails unless the client's certificate contains one of the names."""

    class NameCheckingObject(FrugalObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            certificate = self.getpeercert()
            if certificate and not _alternative_names(certificate) & set(allowed):
                raise ssl.SSLCertVerificationError("the client's certificate contains none of client_allowed_sans")

    return NameCheckingObject


def _alternative_names(certificate: Mapping[str, Any]) -> set[str]:
    """Return the names in a certificate of `ssl`, IP addresses in their canonical form."""
    return {
        str(ip_address(name.strip())) if kind == "IP Address" else name
        for kind, name in certificate.get("subjectAltName", ())
    }


# ---------------------------------------------------------------- reloading


class ReloadingContext(ssl.SSLContext):
    """Gives every new connection the context that `current` returns at that time."""

    def __new__(cls, _current: Callable[[], ssl.SSLContext]) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, current: Callable[[], ssl.SSLContext]) -> None:
        self._current = current

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Called by asyncio for every new connection."""
        return self._current().wrap_bio(*arguments, **options)
