"""TLS: other protocols, refusals, old versions, odd demands, and records that no library sends."""

import asyncio
import os
from asyncio import StreamReader, StreamWriter
from base64 import encodebytes
from collections.abc import Callable
from ssl import CERT_OPTIONAL, CERT_REQUIRED, SSLContext, TLSVersion
from tempfile import NamedTemporaryFile

from exporter.demo.listener import ConnectionHandler
from exporter.demo.servers import HEALTHY, Place, RawPort, RawSite, Website
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from tests.lab.hostile.bad_certificates import with_rsa
from tests.lab.hostile.connection_handlers import answers, close, drips, floods, says
from tests.lab.hostile.rows import HostileServer, anywhere, found, numbered
from tests.lab.hostile.tls_records import (
    ALERTS,
    APPLICATION_DATA,
    CERTIFICATE,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    NEVER_ENDS,
    SERVER_HELLO,
    WARNING,
    alert,
    certificate,
    message,
    record,
    server_hello,
)

REFUSED = found(Stage.TLS, Reason.TLS_HANDSHAKE)
NOT_TLS = found(Stage.TLS, Reason.NOT_TLS)
LATE = found(Stage.TLS, Reason.TLS_TIMEOUT)
NO_HTTP = found(Stage.VERSION, Reason.HTTP_PROTOCOL) | found(Stage.KEYS, Reason.HTTP_PROTOCOL)
HTTP2_SETTINGS = b"\0\0\0\x04\0\0\0\0\0"  # RFC 9113, section 3.4: how a server begins
TICKETS = 200
DH_BITS = 4096  # what is refused is the kind: larger ones would keep the lab itself busy
NONSENSE_LASTS_SECONDS = 0.2
A_RECORD = record(HANDSHAKE, bytes(1000))


def raw(behaviour: ConnectionHandler) -> Callable[[str], Place]:
    return anywhere(RawPort(behaviour))


def adjusted(adjust: Callable[[SSLContext], None], only: TLSVersion | None = None) -> Callable[[str], Place]:
    """A homeserver whose TLS is set up so."""
    return lambda name: Website(name, homeserver=True, tls_version=only, adjust=adjust)


def only(version: TLSVersion) -> Callable[[str], Place]:
    return lambda name: Website(name, homeserver=True, tls_version=version)


def demand_certificate(context: SSLContext) -> None:
    context.verify_mode = CERT_REQUIRED


def ask_for_certificate(context: SSLContext) -> None:
    context.verify_mode = CERT_OPTIONAL


def encrypt_nothing(context: SSLContext) -> None:
    context.set_ciphers("NULL:@SECLEVEL=0")


def own_group(name: str) -> Place:
    return Website(name, homeserver=True, issue=with_rsa, tls_version=TLSVersion.TLSv1_2, adjust=choose_group)


def choose_group(context: SSLContext) -> None:
    """No true prime: nobody looks. OpenSSL would take one of 10,000 bits."""
    prime, generator = der_integer(b"\xff" * (DH_BITS // 8)), der_integer(b"\x02")
    group = b"\x30\x82" + len(prime + generator).to_bytes(2, "big") + prime + generator
    pem = b"-----BEGIN DH PARAMETERS-----\n" + encodebytes(group) + b"-----END DH PARAMETERS-----\n"
    with NamedTemporaryFile(suffix=".pem") as file:
        file.write(pem)
        file.flush()
        context.load_dh_params(file.name)
    context.set_ciphers("DHE:@SECLEVEL=0")


def der_integer(content: bytes) -> bytes:
    positive = b"\0" + content
    return b"\x02\x82" + len(positive).to_bytes(2, "big") + positive


def give_many_tickets(context: SSLContext) -> None:
    context.num_tickets = TICKETS


def want_another_curve(context: SSLContext) -> None:
    context.set_ecdh_curve("secp521r1")


async def speak_http2(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(HTTP2_SETTINGS)
    await reader.read()


async def hang_up(_: StreamReader, writer: StreamWriter) -> None:
    writer.transport.abort()


async def talk_nonsense(_: StreamReader, writer: StreamWriter) -> None:
    """Past TLS, right into the connection."""
    os.write(writer.get_extra_info("socket").fileno(), record(APPLICATION_DATA, b"\xff" * 500))
    await asyncio.sleep(NONSENSE_LASTS_SECONDS)


async def say_goodbye(*_: object) -> None:
    """With close_notify, as it should be."""


TLS_SERVERS = numbered(
    "198.51.100.",
    (
        # ------------------------------------------------------------ no TLS
        HostileServer("plain-http", "plain HTTP", raw(answers(b"HTTP/1.1 400 Bad Request\r\n\r\n", close)), NOT_TLS),
        HostileServer("plain-http2", "HTTP/2 without TLS", raw(says(HTTP2_SETTINGS)), NOT_TLS),
        HostileServer("plain-ssh", "the banner of SSH", raw(says(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")), NOT_TLS),
        HostileServer("plain-smtp", "the banner of SMTP", raw(says(b"220 mail.test ESMTP\r\n")), NOT_TLS),
        HostileServer("plain-zeros", "zeros for ever", raw(floods(b"", b"\0")), NOT_TLS),
        HostileServer("plain-letters", "letters for ever", raw(floods(b"", b"A")), NOT_TLS),
        # ------------------------------------------------------------ refused
        *(
            HostileServer(f"alert-{code}", f"the alert {name}", raw(answers(alert(code), close)), REFUSED)
            for name, code in ALERTS.items()
        ),
        HostileServer("alert-warning", "a warning, and then nothing", raw(answers(alert(112, WARNING))), LATE),
        HostileServer("alert-flood", "warnings for ever", raw(floods(b"", alert(112, WARNING))), REFUSED),
        # ------------------------------------------------------------ versions and demands
        HostileServer("version-1-0", "TLS 1.0 only", only(TLSVersion.TLSv1), HEALTHY),
        HostileServer("version-1-1", "TLS 1.1 only", only(TLSVersion.TLSv1_1), HEALTHY),
        HostileServer("version-ssl3", "SSL 3.0 only", raw(answers(server_hello(b"\x03\x00"))), REFUSED),
        HostileServer("version-9", "a version that nobody knows", raw(answers(server_hello(b"\x09\x09"))), REFUSED),
        HostileServer("encrypts-nothing", "no encryption", adjusted(encrypt_nothing, TLSVersion.TLSv1_2), REFUSED),
        HostileServer(
            "client-certificate-1-2",
            "a certificate of ours is demanded, in TLS 1.2",
            adjusted(demand_certificate, TLSVersion.TLSv1_2),
            REFUSED,
        ),
        HostileServer(
            "client-certificate-1-3",
            "a certificate of ours is demanded, in TLS 1.3, which says so after the handshake",
            adjusted(demand_certificate, TLSVersion.TLSv1_3),
            NO_HTTP,
        ),
        HostileServer(
            "client-certificate", "a certificate of ours is asked for", adjusted(ask_for_certificate), HEALTHY
        ),
        HostileServer("another-curve", "another curve than those we guess", adjusted(want_another_curve), HEALTHY),
        HostileServer("many-tickets", f"{TICKETS} session tickets", adjusted(give_many_tickets), HEALTHY),
        HostileServer(
            "speaks-http2", "HTTP/2, whatever we asked for", lambda name: RawSite(name, speak_http2), NO_HTTP
        ),
        HostileServer(
            "hangs-up", "the end of the connection, after the handshake", lambda name: RawSite(name, hang_up), NO_HTTP
        ),
        HostileServer("goodbye", "close_notify, after the handshake", lambda name: RawSite(name, say_goodbye), NO_HTTP),
        # ------------------------------------------------------------ bad records
        HostileServer(
            "record-after",
            "a record of nonsense, after the handshake",
            lambda name: RawSite(name, talk_nonsense),
            NO_HTTP,
        ),
        HostileServer("diffie-hellman", "a Diffie-Hellman group of its own choice", own_group, REFUSED),
        HostileServer(
            "record-nonsense", "a record of nonsense", raw(answers(record(HANDSHAKE, b"\xff" * 500))), REFUSED
        ),
        HostileServer("record-too-long", "a record of 64 KiB", raw(floods(b"\x16\x03\x03\xff\xff", b"x")), REFUSED),
        HostileServer(
            "record-too-early", "data before keys", raw(answers(record(APPLICATION_DATA, bytes(99)))), NOT_TLS
        ),
        HostileServer("record-empty", "empty records for ever", raw(floods(b"", record(HANDSHAKE, b""))), REFUSED),
        HostileServer(
            "record-cipher-specs",
            "change_cipher_spec for ever",
            raw(floods(server_hello(), record(CHANGE_CIPHER_SPEC, b"\x01"))),
            REFUSED,
        ),
        HostileServer("record-half", "half a record", raw(answers(A_RECORD[:500])), LATE),
        HostileServer("record-half-closed", "half a record, and the end", raw(answers(A_RECORD[:500], close)), REFUSED),
        HostileServer("record-drips", "a record, byte by byte", raw(drips(A_RECORD)), LATE),
        HostileServer("hello-only", "one hello, and then nothing", raw(answers(server_hello())), LATE),
        HostileServer("hello-drips", "a hello, byte by byte", raw(drips(server_hello() + A_RECORD)), LATE),
        HostileServer("hello-flood", "a hello again and again", raw(floods(b"", server_hello())), REFUSED),
        HostileServer(
            "hello-endless",
            "a hello of 16 MiB",
            raw(floods(record(HANDSHAKE, message(SERVER_HELLO, b"", NEVER_ENDS)), A_RECORD)),
            REFUSED,
        ),
        HostileServer(
            "certificate-endless",
            "a certificate of 16 MiB",
            raw(floods(server_hello() + record(HANDSHAKE, message(CERTIFICATE, b"", NEVER_ENDS)), A_RECORD)),
            REFUSED,
        ),
        HostileServer("certificate-none", "no certificate", raw(answers(server_hello() + certificate())), REFUSED),
        HostileServer("certificate-empty", "an empty one", raw(answers(server_hello() + certificate(b""))), REFUSED),
        HostileServer(
            "certificate-nonsense", "nonsense", raw(answers(server_hello() + certificate(b"\x30\x03abc"))), REFUSED
        ),
    ),
    first=101,
)
