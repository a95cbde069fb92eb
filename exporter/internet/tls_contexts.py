"""The TLS contexts of all connections, and what OpenSSL thought of the chains that were met over them."""

from pathlib import Path

from OpenSSL import SSL

from exporter.internet.known_chains import KnownChains
from exporter.probing.evidence import VerifyError

_ALPN = [b"http/1.1"]
# Old servers are to be seen, and named as such: OpenSSL's default level refuses TLS below 1.2 without a word. What that
# level also refuses, weak keys and signatures, `stages.tls` judges.
# DHE is not offered, as by browsers: the server chooses the group, and one of 10,000 bits costs us half a second.
_CIPHERS = b"DEFAULT:!kDHE:@SECLEVEL=0"


class TlsContexts:
    """One for an `Internet`, as loading the trust store costs tens of milliseconds.

    Both contexts greet a server alike, so that it cannot tell them apart. `verifying` has OpenSSL verify the chain. The
    `unverifying` one is for a chain that is known by `chains`: whoever uses it must ask them about what came. That the
    server possesses the key of its certificate is proven in either.
    """

    def __init__(self, ca_file: Path | None, chains: KnownChains) -> None:
        """`ca_file` (PEM) replaces the trust store of the operating system."""
        self.verifying = verifying_context(ca_file)
        self.unverifying = _new_context()
        self.chains = chains


def verifying_context(ca_file: Path | None) -> SSL.Context:
    context = _new_context()
    context.set_verify(SSL.VERIFY_PEER, _record_verify_error)
    if ca_file is None:
        context.set_default_verify_paths()
    else:
        context.load_verify_locations(str(ca_file))
    return context


def _new_context() -> SSL.Context:
    """It trusts nobody: with authorities in its store, OpenSSL would build the chain even where it is not to verify."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_alpn_protos(_ALPN)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # 33 KiB, which OpenSSL would keep while we wait
    return context


def _record_verify_error(connection: SSL.Connection, _certificate: object, code: int, depth: int, passed: int) -> bool:
    """OpenSSL's verify callback. The handshake goes on, so that a bad certificate can be described, and every complaint
    about it; whoever reads the evidence ends the connection then.
    """
    if not passed:
        connection.get_app_data().append(VerifyError(code, depth))
    return True
