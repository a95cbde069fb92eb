"""The TLS context of all connections: one for the process, as loading the trust store costs tens of milliseconds."""

from pathlib import Path

from OpenSSL import SSL

from exporter.network import VerifyError

ALPN = [b"http/1.1"]
# Old servers are to be seen, and named as such: OpenSSL's default level refuses TLS below 1.2 without a word. What that
# level also refuses, weak keys and signatures, `stages.tls` judges.
# DHE is not offered, as by browsers: the server chooses the group, and one of 10,000 bits costs us half a second.
CIPHERS = b"DEFAULT:!kDHE:@SECLEVEL=0"


def make_context(ca_file: Path | None) -> SSL.Context:
    """`ca_file` (PEM) replaces the trust store of the operating system."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_cipher_list(CIPHERS)
    context.set_alpn_protos(ALPN)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_PEER, note_and_go_on)
    if ca_file is None:
        context.set_default_verify_paths()
    else:
        context.load_verify_locations(str(ca_file))
    return context


def note_and_go_on(connection: SSL.Connection, _certificate: object, code: int, depth: int, passed: int) -> bool:
    """OpenSSL's verify callback. The handshake goes on, so that a bad certificate can be described, and every complaint
    about it; whoever reads the evidence ends the connection then.
    """
    if not passed:
        connection.get_app_data().append(VerifyError(code, depth))
    return True
