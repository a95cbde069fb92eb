"""The TLS contexts of all connections, and the certificate chains that were verified over them."""

from contextlib import suppress
from functools import cached_property
from pathlib import Path

from OpenSSL import SSL, crypto

from exporter.internet.costs import rsa_exponent
from exporter.internet.known_chains import KnownChains
from exporter.probing.evidence import VerifyError
from exporter.probing.network import CertificateRefusedError, TooLargeError

_ALPN = [b"http/1.1"]
# SECLEVEL=0, to report old servers as such: OpenSSL's default level refuses TLS below 1.2 without a reason. The weak
# keys and signatures that the default level also refuses are reported by `stages.tls`.
# DHE is not offered, as by browsers: the server chooses the group, and one of 10,000 bits takes half a second of CPU.
_CIPHERS = b"DEFAULT:!kDHE:@SECLEVEL=0"
_FINITE_FIELD_CIPHERS = b"kDHE:@SECLEVEL=2"  # as OpenSSL offers them by default, and Synapse with it

# So a verification takes 15 ms of CPU time at most. OpenSSL accepts exponents of 3072 bits, for 7 ms each, and DSA keys
# of 10,000 bits, for 9 ms. Go refuses the same RSA keys (crypto/tls, crypto/rsa), and all DSA keys.
MAX_VERIFIED_CERTIFICATES = 10
_MAX_RSA_BITS, _MAX_EXPONENT_BITS = 8192, 31
_TYPE_RSA_PSS = 912  # EVP_PKEY_RSA_PSS (openssl/evp.h)


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
    context.set_verify(SSL.VERIFY_PEER, _on_verify)
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


def _on_verify(connection: SSL.Connection, certificate: crypto.X509, code: int, depth: int, passed: int) -> bool:
    """OpenSSL's verify callback, which it calls for each certificate of the chain before it uses the key in it.

    There are three cases:

    - Using the key would take too much CPU time, or the chain is too long: an exception ends the handshake.
    - OpenSSL reports an error: it is recorded, and the handshake goes on. So a bad certificate can be described with
      all its errors. Whether the connection is used is decided afterwards.
    - Otherwise the handshake goes on.
    """
    _check_cost(certificate, depth)
    if not passed:
        connection.get_app_data().append(VerifyError(code, depth))
    return True


def _check_cost(certificate: crypto.X509, depth: int) -> None:
    """Raises TooLargeError or CertificateRefusedError."""
    if depth >= MAX_VERIFIED_CERTIFICATES:
        raise TooLargeError(f"the chain has {depth + 1} certificates or more, the limit is {MAX_VERIFIED_CERTIFICATES}")
    with suppress(crypto.Error):  # OpenSSL cannot use a key that it cannot read
        if complaint := _costly(certificate.get_pubkey()):
            raise CertificateRefusedError(f"the certificate at depth {depth} of the chain has {complaint}")


def _costly(key: crypto.PKey) -> str | None:
    """Return what makes a key too costly, or None."""
    if key.type() == crypto.TYPE_DSA:
        return "a DSA key, which homeservers in Go do not accept either"
    if key.type() not in (crypto.TYPE_RSA, _TYPE_RSA_PSS):
        return None
    if key.bits() > _MAX_RSA_BITS:
        return f"an RSA key of {key.bits()} bits, the limit is {_MAX_RSA_BITS}"
    exponent = rsa_exponent(crypto.dump_publickey(crypto.FILETYPE_ASN1, key)).bit_length()
    if exponent > _MAX_EXPONENT_BITS:
        return f"an RSA key with a public exponent of {exponent} bits, the limit is {_MAX_EXPONENT_BITS}"
    return None
