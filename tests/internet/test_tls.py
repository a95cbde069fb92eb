"""TLS handshakes with good servers, with bad servers, and with servers that do not speak TLS."""

import asyncio
import socket
import ssl
import warnings
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from exporter.demo.authority import (
    EXPIRED,
    INCOMPLETE_CHAIN,
    UNTRUSTED,
    VALID,
    WRONG_NAME,
    Authority,
    CertificateProfile,
    ChainKeys,
    IssuedCertificate,
    NewKey,
    new_p256_key,
)
from exporter.demo.listener import ConnectionHandler, streams
from exporter.internet import costs
from exporter.internet.peer_clock import PeerClock
from exporter.internet.tcp import TcpStream
from exporter.internet.tls import MAX_CHAIN_VALUES, TlsStream
from exporter.internet.tls_contexts import verifying_context
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.attempt import Failure
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Handshake
from exporter.probing.network import ClosedEarlyError, NotTlsError, TooLargeError
from exporter.probing.problems import Step
from exporter.probing.stages import tls
from tests.addresses import ip_endpoint
from tests.certificates import check_nothing
from tests.internet.raw_https import NAME, RawHttps, handshake_only, listening, tcp_connection, tls_connection
from tests.lab.certificates import COMMON_NAME_ONLY, NOT_YET_VALID, SELF_SIGNED, new_rsa_key
from tests.lab.hostile.bad_certificates import with_rsa
from tests.lab.hostile.oversized import begin_handshake
from tests.lab.hostile.tls import choose_group
from tests.lab.ports import reset

pytestmark = pytest.mark.lab


async def handshake_with(behaviour: ConnectionHandler, authority: Authority, tls_name: str = NAME) -> Handshake:
    async with listening(behaviour) as address, tcp_connection(address, authority) as connection:
        return await connection.start_tls(tls_name, check_nothing)


# ---------------------------------------------------------------- what the client offers


@pytest.mark.parametrize(("tls_name", "sni"), [(NAME, NAME), ("192.0.2.1", None), ("2001:db8::1", None)])
async def test_a_name_is_sent_as_sni_and_an_address_is_not(
    authority: Authority, issued: IssuedCertificate, tls_name: str, sni: str | None
) -> None:
    """SNI (RFC 6066, section 3) is for host names only."""
    seen: list[str | None] = []
    context = issued.server_context()
    context.sni_callback = lambda _connection, name, _context: seen.append(name)
    await handshake_with(handshake_only(context), authority, tls_name)
    assert seen == [sni]


async def test_offers_http_1_1_in_alpn(authority: Authority, issued: IssuedCertificate) -> None:
    """A server that prefers HTTP/2 selects HTTP/1.1."""
    chosen = asyncio.get_running_loop().create_future()
    context = issued.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def record_alpn(accepted: socket.socket) -> None:
        async with streams(accepted, context) as (_, writer):
            chosen.set_result(writer.get_extra_info("ssl_object").selected_alpn_protocol())

    async with listening(record_alpn) as address, tcp_connection(address, authority) as connection:
        await connection.start_tls(NAME, check_nothing)
        with pytest.raises(ClosedEarlyError):
            await connection.get("/", NAME, 0)
        assert await chosen == "http/1.1"


# ---------------------------------------------------------------- what is accepted


def context_of_version(issued: IssuedCertificate, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a server context for one TLS version; old versions are disabled by default."""
    context = issued.server_context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = version
        context.maximum_version = version
    return context


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        (ssl.TLSVersion.TLSv1, "TLSv1"),
        (ssl.TLSVersion.TLSv1_1, "TLSv1.1"),
        (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
    ],
)
async def test_old_versions_are_reported(
    authority: Authority, issued: IssuedCertificate, version: ssl.TLSVersion, shown: str
) -> None:
    assert (await handshake_with(handshake_only(context_of_version(issued, version)), authority)).tls_version == shown


async def test_a_request_longer_than_a_tls_record_is_sent_completely(
    authority: Authority, issued: IssuedCertificate
) -> None:
    """A redirect may lead to a path of 60,000 characters, and nothing that the server sends flushes the rest of it."""
    path = "/" + "a" * 60_000
    server = RawHttps([[b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]], [issued])
    async with tls_connection(server.play, authority) as connection:
        assert (await connection.get(path, NAME, 0)).status == 404
    assert server.heads[0].startswith(f"GET {path} HTTP/1.1\r\n".encode())


async def test_the_size_of_a_handshake_is_limited(authority: Authority, issued: IssuedCertificate) -> None:
    """OpenSSL would keep a hundred copies of a certificate in memory."""
    oversized = IssuedCertificate(issued.key, (*issued.chain, *issued.chain[1:] * 100))
    with pytest.raises(TooLargeError, match="the handshake has more than 20480 bytes"):
        await handshake_with(handshake_only(oversized.server_context()), authority)


@pytest.mark.parametrize("too_many", [False, True])
async def test_the_number_of_values_in_a_chain_is_limited(authority: Authority, *, too_many: bool) -> None:
    """Each value takes more memory than it has bytes; a name is a value."""
    fixed = count_chain_values(authority.issue([NAME])) - 1
    names = [f"n{number}.test" for number in range(MAX_CHAIN_VALUES - fixed + too_many)]
    expected = (
        pytest.raises(TooLargeError, match="consist of 501 values, the limit is 500") if too_many else nullcontext()
    )
    with expected:
        await handshake_with(handshake_only(authority.issue(names).server_context()), authority)


def count_chain_values(issued: IssuedCertificate) -> int:
    return sum(costs.count_values(each.public_bytes(Encoding.DER)) for each in issued.chain)


async def test_the_size_of_a_chain_is_checked_during_the_handshake(authority: Authority) -> None:
    """The server sends nothing after its certificates, which OpenSSL has already parsed."""
    with pytest.raises(TooLargeError, match="values"):
        await asyncio.wait_for(handshake_with(begin_handshake, authority), 5)


async def test_no_server_can_choose_the_group_of_a_key_exchange(authority: Authority) -> None:
    """A group of 10,000 bits would take half a second for each handshake, and stall all other probes."""
    context = context_of_version(with_rsa(authority, NAME), ssl.TLSVersion.TLSv1_2)
    choose_group(context)
    with pytest.raises((SSL.Error, ClosedEarlyError)):
        await handshake_with(handshake_only(context), authority)


@pytest.mark.parametrize(
    ("profile", "reasons"),
    [
        (VALID, []),
        (EXPIRED, [Reason.CERTIFICATE_EXPIRED]),
        (NOT_YET_VALID, [Reason.CERTIFICATE_NOT_YET_VALID]),
        (WRONG_NAME, [Reason.CERTIFICATE_NAME_MISMATCH]),
        (SELF_SIGNED, [Reason.CERTIFICATE_UNTRUSTED]),
        (UNTRUSTED, [Reason.CERTIFICATE_UNTRUSTED]),
        (INCOMPLETE_CHAIN, [Reason.CERTIFICATE_INCOMPLETE_CHAIN]),
        (COMMON_NAME_ONLY, [Reason.CERTIFICATE_NAME_MISMATCH]),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("new_key", [new_p256_key, new_rsa_key])
async def test_bad_certificates_have_their_reasons(
    profile: CertificateProfile, reasons: list[Reason], version: ssl.TLSVersion, new_key: NewKey, tmp_path: Path
) -> None:
    """The reasons follow from what OpenSSL reports for real certificates; a weak key would be one of them."""
    authority = Authority(tmp_path, ChainKeys(leaf=new_key))
    context = context_of_version(authority.issue([NAME], profile), version)
    reading = tls.evaluate(await handshake_with(handshake_only(context), authority), NAME, ChainCache())
    assert ([problem.reason for problem in reading.problems] if isinstance(reading, Failure) else []) == reasons


# ---------------------------------------------------------------- broken handshakes

HALF_A_SERVER_HELLO = bytes.fromhex("160303007a02000076")
HANDSHAKE_FAILURE = bytes.fromhex("15030300020228")
INVALID_RECORD = bytes.fromhex("1603030004deadbeef")


def sends(reply: bytes) -> ConnectionHandler:
    """Send `reply` to the ClientHello, and then close the connection."""

    async def send_reply(accepted: socket.socket) -> None:
        async with streams(accepted) as (reader, writer):
            await reader.read(1)
            writer.write(reply)
            writer.write_eof()
            await reader.read()

    return send_reply


@pytest.mark.parametrize(
    ("reply", "error", "reason"),
    [
        (b"", ClosedEarlyError, Reason.TLS_HANDSHAKE),
        (HALF_A_SERVER_HELLO, ClosedEarlyError, Reason.TLS_HANDSHAKE),
        (HANDSHAKE_FAILURE, SSL.Error, Reason.TLS_HANDSHAKE),
        (INVALID_RECORD, SSL.Error, Reason.TLS_HANDSHAKE),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", NotTlsError, Reason.NOT_TLS),
        (b"SSH-2.0-OpenSSH_9.2\r\n", NotTlsError, Reason.NOT_TLS),
        (b"220 mail.example.test ESMTP\r\n", NotTlsError, Reason.NOT_TLS),
        (b"\x00", NotTlsError, Reason.NOT_TLS),
    ],
    ids=["closed", "half a ServerHello", "alert", "invalid record", "HTTP", "SSH", "SMTP", "zero"],
)
async def test_a_broken_handshake_has_a_reason(
    authority: Authority, reply: bytes, error: type[Exception], reason: Reason
) -> None:
    with pytest.raises(error) as caught:
        await handshake_with(sends(reply), authority)
    assert problems.reason(caught.value, Step.TLS) is reason


async def test_a_connection_that_is_reset_during_the_handshake(authority: Authority) -> None:
    async def reset_connection(accepted: socket.socket) -> None:
        async with streams(accepted) as (reader, writer):
            await reader.read(1)
            await reset(writer.get_extra_info("socket"))

    with pytest.raises(ConnectionResetError) as caught:
        await handshake_with(reset_connection, authority)
    assert problems.reason(caught.value, Step.TLS) is Reason.TLS_HANDSHAKE


async def test_an_alert_is_described_in_words(authority: Authority) -> None:
    with pytest.raises(SSL.Error) as caught:
        await handshake_with(sends(HANDSHAKE_FAILURE), authority)
    assert "handshake failure" in problems.describe(caught.value, Step.TLS)


async def test_a_server_that_requires_a_client_certificate(authority: Authority, issued: IssuedCertificate) -> None:
    """With TLS 1.3, the alert comes only after the handshake."""
    context = issued.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    async with listening(handshake_only(context)) as address, tcp_connection(address, authority) as connection:
        await connection.start_tls(NAME, check_nothing)
        with pytest.raises((SSL.Error, ConnectionResetError, ClosedEarlyError)) as caught:
            await connection.get("/", NAME, 100)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL


async def test_repr_shows_the_state(authority: Authority, issued: IssuedCertificate) -> None:
    async with listening(handshake_only(issued.server_context())) as address:
        tcp = TcpStream(PeerClock())
        with closing(tcp):
            await tcp.open(ip_endpoint(address))
            stream = TlsStream(tcp, verifying_context(authority.ca_file))
            assert repr(stream) == "<TlsStream: before SSL initialization, 0 verify errors>"
            await stream.handshake(NAME)
            assert repr(stream) == "<TlsStream: SSL negotiation finished successfully, 0 verify errors>"
