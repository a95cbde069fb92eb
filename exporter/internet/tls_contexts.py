"""The TLS contexts of all connections, and the certificate chains that were verified over them."""

from functools import cached_property
from pathlib import Path

from OpenSSL import SSL

from exporter.internet.known_chains import KnownChains
from exporter.probing.evidence import VerifyError

_ALPN = [b"http/1.1"]
# SECLEVEL=0, to report old servers as such: OpenSSL's default level refuses TLS below 1.2 without a reason. The weak
# keys and signatures that the default level also refuses are reported by `stages.tls`.
# DHE is not offered, as by browsers: the server chooses the group, and one of 10,000 bits takes half a second of CPU.
_CIPHERS = b"DEFAULT:!kDHE:@SECLEVEL=0"
_FINITE_FIELD_CIPHERS = b"kDHE:@SECLEVEL=2"  # as OpenSSL offers them by default, and Synapse with it


class TlsContexts:
    """The contexts of an `Internet`. They are shared, as loading the trust store takes tens of milliseconds.

    - `verifying` lets OpenSSL verify the chain.
    - `unverifying` does not. It is for chains in `known_chains`: the caller must check that one of them was presented.

    These two send the same ClientHello, so that a server cannot distinguish them, and both prove that the server has
    the private key of its certificate. The others are for a second look, where the first one does not get through:

    - `finite_field` offers nothing but finite-field key exchange, and verifies.
    - `http2` offers HTTP/2 before HTTP/1.1, and does not verify.
    """

    def __init__(self, ca_file: Path | None, known_chains: KnownChains) -> None:
        """`ca_file` (PEM) replaces the operating system's trust store."""
        self.verifying = verifying_context(ca_file)
        self.unverifying = _new_context()
        self._ca_file = ca_file
        self.known_chains = known_chains

    @cached_property
    def finite_field(self) -> SSL.Context:
        context = verifying_context(self._ca_file)
        context.set_cipher_list(_FINITE_FIELD_CIPHERS)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        return context

    @cached_property
    def http2(self) -> SSL.Context:
        context = _new_context()
        context.set_alpn_protos([b"h2", *_ALPN])
        return context


def verifying_context(ca_file: Path | None) -> SSL.Context:
    context = _new_context()
    context.set_verify(SSL.VERIFY_PEER, _record_verify_error)
    if ca_file is None:
        context.set_default_verify_paths()
    else:
        context.load_verify_locations(str(ca_file))
    return context


def _new_context() -> SSL.Context:
    """Return a context with an empty trust store. With authorities in it, OpenSSL would build chains without need."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_alpn_protos(_ALPN)
    context.set_options(SSL.OP_NO_RENEGOTIATION)  # it is another handshake, which nothing would bound
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # 33 KiB, which OpenSSL would keep while the connection waits
    return context


def _record_verify_error(connection: SSL.Connection, _certificate: object, code: int, depth: int, passed: int) -> bool:
    """Record an error in OpenSSL's verify callback, and let the handshake go on.

    So a bad certificate can be described with all its errors. Whether the connection is used is decided afterwards.
    """
    if not passed:
        connection.get_app_data().append(VerifyError(code, depth))
    return True
