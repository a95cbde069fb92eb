"""TLS: other protocols, refusals, old versions, unusual settings, and records that no library sends."""

import asyncio
import os
from asyncio import StreamReader, StreamWriter
from base64 import encodebytes
from ssl import CERT_OPTIONAL, CERT_REQUIRED, SSLContext, TLSVersion
from tempfile import NamedTemporaryFile

from exporter.demo.servers import HEALTHY, ConfigureTls, Website, pass_through
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from tests.lab.hostile.bad_certificates import with_rsa
from tests.lab.hostile.connection_handlers import answer, close, drip, flood, send
from tests.lab.hostile.rows import HostileServer, PortOf, found, numbered, raw
from tests.lab.hostile.tls_floods import renegotiate, update_keys_forever
from tests.lab.hostile.tls_records import (
    ALERTS,
    APPLICATION_DATA,
    CERTIFICATE,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    LONGEST_MESSAGE,
    SERVER_HELLO,
    WARNING,
    alert,
    certificate,
    message,
    record,
    server_hello,
)
from tests.lab.ports import StreamHandler, demand_client_certificate, listen_with_tls
from tests.lab.tls_versions import only

REFUSED = found(Stage.TLS, Reason.TLS_HANDSHAKE)
NOT_TLS = found(Stage.TLS, Reason.NOT_TLS)
LATE = found(Stage.TLS, Reason.TLS_TIMEOUT)
NOT_HTTP = found(Stage.VERSION, Reason.HTTP_PROTOCOL) | found(Stage.KEYS, Reason.HTTP_PROTOCOL)
FLOODS = found(Stage.VERSION, Reason.TOO_LARGE) | found(Stage.KEYS, Reason.TOO_LARGE)
HTTP2_SETTINGS = b"\0\0\0\x04\0\0\0\0\0"  # the first frame of a server (RFC 9113, section 3.4)
TICKETS, TICKET_FLOOD = 200, 2000
DH_BITS = 4096  # clients refuse the kind of group, not its size, and a larger one would keep the lab itself busy
NONSENSE_LASTS_SECONDS = 0.2
A_RECORD = record(HANDSHAKE, bytes(1000))


def configured(*settings: ConfigureTls) -> PortOf:
    """A homeserver whose port has these TLS settings."""

    def configure(context: SSLContext) -> None:
        for setting in settings:
            setting(context)

    return lambda name: Website(name, proxy=pass_through, configure_tls=configure)


def speaking(handler: StreamHandler) -> PortOf:
    """A port with good TLS, where `handler` speaks instead of an HTTP server."""
    return lambda name: listen_with_tls(name, handler)


# ---------------------------------------------------------------- settings


def demand_certificate(context: SSLContext) -> None:
    context.verify_mode = CERT_REQUIRED


def request_certificate(context: SSLContext) -> None:
    context.verify_mode = CERT_OPTIONAL


def encrypt_nothing(context: SSLContext) -> None:
    context.set_ciphers("NULL:@SECLEVEL=0")


def issue_many_tickets(context: SSLContext) -> None:
    context.num_tickets = TICKETS


def flood_with_tickets(context: SSLContext) -> None:
    context.num_tickets = TICKET_FLOOD


def choose_another_curve(context: SSLContext) -> None:
    context.set_ecdh_curve("secp521r1")


def choose_group(context: SSLContext, bits: int = DH_BITS) -> None:
    """Use a number for the group that is not even prime: no client checks. OpenSSL would accept one of 10,000 bits.

    The generator is 3: of the powers of 2, every hundredth exchange would arrive at 1, which OpenSSL refuses.
    """
    prime, generator = _der_integer(b"\xff" * (bits // 8)), _der_integer(b"\x03")
    group = b"\x30\x82" + len(prime + generator).to_bytes(2, "big") + prime + generator
    pem = b"-----BEGIN DH PARAMETERS-----\n" + encodebytes(group) + b"-----END DH PARAMETERS-----\n"
    with NamedTemporaryFile(suffix=".pem") as file:
        file.write(pem)
        file.flush()
        context.load_dh_params(file.name)
    context.set_ciphers("DHE:@SECLEVEL=0")


def _der_integer(content: bytes) -> bytes:
    positive = b"\0" + content
    return b"\x02\x82" + len(positive).to_bytes(2, "big") + positive


def with_own_group(name: str) -> Website:
    def configure(context: SSLContext) -> None:
        only(TLSVersion.TLSv1_2)(context)
        choose_group(context)

    return Website(name, proxy=pass_through, certificate=with_rsa, configure_tls=configure)


# ---------------------------------------------------------------- after the handshake


async def speak_http2(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(HTTP2_SETTINGS)
    await reader.read()


async def abort(_: StreamReader, writer: StreamWriter) -> None:
    writer.transport.abort()


async def send_nonsense(_: StreamReader, writer: StreamWriter) -> None:
    """Write past TLS, directly into the connection."""
    os.write(writer.get_extra_info("socket").fileno(), record(APPLICATION_DATA, b"\xff" * 500))
    await asyncio.sleep(NONSENSE_LASTS_SECONDS)


async def close_in_good_order(*_: object) -> None:
    """The connection is closed with close_notify."""


# ---------------------------------------------------------------- the table

TLS_SERVERS = numbered(
    "198.51.100.",
    (
        # ------------------------------------------------------------ other protocols
        HostileServer("plain-http", "plain HTTP", raw(answer(b"HTTP/1.1 400 Bad Request\r\n\r\n", close)), NOT_TLS),
        HostileServer("plain-http2", "HTTP/2 without TLS", raw(send(HTTP2_SETTINGS)), NOT_TLS),
        HostileServer("plain-ssh", "the banner of SSH", raw(send(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")), NOT_TLS),
        HostileServer("plain-smtp", "the banner of SMTP", raw(send(b"220 mail.test ESMTP\r\n")), NOT_TLS),
        HostileServer("plain-zeros", "endless zeros", raw(flood(b"", b"\0")), NOT_TLS),
        HostileServer("plain-letters", "endless letters", raw(flood(b"", b"A")), NOT_TLS),
        # ------------------------------------------------------------ refusals
        *(
            HostileServer(f"alert-{code}", f"the alert {name}", raw(answer(alert(code), close)), REFUSED)
            for name, code in ALERTS.items()
        ),
        HostileServer("alert-warning", "a warning, and then silence", raw(answer(alert(112, WARNING))), LATE),
        HostileServer("alert-flood", "endless warnings", raw(flood(b"", alert(112, WARNING))), REFUSED),
        # ------------------------------------------------------------ versions and settings
        HostileServer("version-1-0", "TLS 1.0 only", configured(only(TLSVersion.TLSv1)), HEALTHY),
        HostileServer("version-1-1", "TLS 1.1 only", configured(only(TLSVersion.TLSv1_1)), HEALTHY),
        HostileServer("version-ssl3", "SSL 3.0 only", raw(answer(server_hello(b"\x03\x00"))), REFUSED),
        HostileServer("version-9", "an unknown version", raw(answer(server_hello(b"\x09\x09"))), REFUSED),
        HostileServer(
            "encrypts-nothing", "no encryption", configured(only(TLSVersion.TLSv1_2), encrypt_nothing), REFUSED
        ),
        HostileServer(
            "client-certificate-1-2",
            "a client certificate demanded in TLS 1.2",
            configured(only(TLSVersion.TLSv1_2), demand_certificate),
            REFUSED,
        ),
        HostileServer(
            "client-certificate-1-3",
            "a client certificate demanded in TLS 1.3, where the refusal follows the handshake",
            demand_client_certificate,
            REFUSED,
        ),
        HostileServer("client-certificate", "an optional client certificate", configured(request_certificate), HEALTHY),
        HostileServer(
            "another-curve", "another curve than the client guesses", configured(choose_another_curve), HEALTHY
        ),
        HostileServer("many-tickets", f"{TICKETS} session tickets", configured(issue_many_tickets), HEALTHY),
        HostileServer("ticket-flood", f"{TICKET_FLOOD} session tickets", configured(flood_with_tickets), FLOODS),
        HostileServer("key-update-flood", "KeyUpdates in place of a response", update_keys_forever, FLOODS),
        HostileServer("renegotiates", "a demand to shake hands again", renegotiate, NOT_HTTP),
        HostileServer("speaks-http2", "HTTP/2, which was not negotiated", speaking(speak_http2), NOT_HTTP),
        HostileServer("hangs-up", "an aborted connection after the handshake", speaking(abort), NOT_HTTP),
        HostileServer("goodbye", "close_notify after the handshake", speaking(close_in_good_order), NOT_HTTP),
        # ------------------------------------------------------------ bad records
        HostileServer("record-after", "a malformed record after the handshake", speaking(send_nonsense), NOT_HTTP),
        HostileServer("diffie-hellman", "a Diffie-Hellman group of its own choice", with_own_group, REFUSED),
        HostileServer("record-nonsense", "a malformed record", raw(answer(record(HANDSHAKE, b"\xff" * 500))), REFUSED),
        HostileServer("record-too-long", "a record of 64 KiB", raw(flood(b"\x16\x03\x03\xff\xff", b"x")), REFUSED),
        HostileServer(
            "record-too-early", "data before the keys", raw(answer(record(APPLICATION_DATA, bytes(99)))), NOT_TLS
        ),
        HostileServer("record-empty", "endless empty records", raw(flood(b"", record(HANDSHAKE, b""))), REFUSED),
        HostileServer(
            "record-cipher-specs",
            "endless change_cipher_spec",
            raw(flood(server_hello(), record(CHANGE_CIPHER_SPEC, b"\x01"))),
            REFUSED,
        ),
        HostileServer("record-half", "half a record, and then silence", raw(answer(A_RECORD[:500])), LATE),
        HostileServer("record-half-closed", "half a record, and a close", raw(answer(A_RECORD[:500], close)), REFUSED),
        HostileServer("record-drips", "a record sent byte by byte", raw(drip(A_RECORD)), LATE),
        HostileServer("hello-only", "a ServerHello, and then silence", raw(answer(server_hello())), LATE),
        HostileServer("hello-drips", "a ServerHello sent byte by byte", raw(drip(server_hello() + A_RECORD)), LATE),
        HostileServer("hello-flood", "endless ServerHellos", raw(flood(b"", server_hello())), REFUSED),
        HostileServer(
            "hello-endless",
            "a ServerHello of 16 MiB",
            raw(flood(record(HANDSHAKE, message(SERVER_HELLO, b"", LONGEST_MESSAGE)), A_RECORD)),
            REFUSED,
        ),
        HostileServer(
            "certificate-endless",
            "a Certificate message of 16 MiB",
            raw(flood(server_hello() + record(HANDSHAKE, message(CERTIFICATE, b"", LONGEST_MESSAGE)), A_RECORD)),
            REFUSED,
        ),
        HostileServer("certificate-none", "no certificate", raw(answer(server_hello() + certificate())), REFUSED),
        HostileServer(
            "certificate-empty", "an empty certificate", raw(answer(server_hello() + certificate(b""))), REFUSED
        ),
        HostileServer(
            "certificate-nonsense",
            "a malformed certificate",
            raw(answer(server_hello() + certificate(b"\x30\x03abc"))),
            REFUSED,
        ),
    ),
    first=101,
)
