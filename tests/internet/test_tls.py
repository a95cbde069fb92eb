"""Handshakes with good servers, bad servers and what is no TLS server at all."""

import asyncio
import socket
import ssl
import warnings
from contextlib import nullcontext
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
from exporter.internet import der
from exporter.internet.tls import MAX_CHAIN_VALUES
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.attempt import Failure
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Handshake
from exporter.probing.network import ClosedEarlyError, NotTlsError, TooLargeError
from exporter.probing.problems import Step
from exporter.probing.stages import tls
from tests.internet.raw_https import NAME, RawHttps, answering, connected, listening, secured
from tests.lab.certificates import COMMON_NAME_ONLY, NOT_YET_VALID, SELF_SIGNED, new_rsa_key
from tests.lab.hostile.bad_certificates import with_rsa
from tests.lab.hostile.oversized import begin_handshake
from tests.lab.hostile.tls import choose_group
from tests.lab.ports import reset


async def greet(behaviour: ConnectionHandler, authority: Authority, tls_name: str = NAME) -> Handshake:
    async with listening(behaviour) as address, connected(address, authority) as connection:
        return await connection.start_tls(tls_name)


# ---------------------------------------------------------------- what is offered


@pytest.mark.parametrize(("tls_name", "sni"), [(NAME, NAME), ("192.0.2.1", None), ("2001:db8::1", None)])
async def test_names_are_sent_and_addresses_are_not(
    authority: Authority, issued: IssuedCertificate, tls_name: str, sni: str | None
) -> None:
    """SNI (RFC 6066, section 3) knows host names only."""
    seen: list[str | None] = []
    context = issued.server_context()
    context.sni_callback = lambda _connection, name, _context: seen.append(name)
    await greet(answering(context), authority, tls_name)
    assert seen == [sni]


async def test_offers_the_protocol_that_is_spoken(authority: Authority, issued: IssuedCertificate) -> None:
    """A server that prefers HTTP/2 speaks HTTP/1.1 all the same."""
    chosen = asyncio.get_running_loop().create_future()
    context = issued.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def note(accepted: socket.socket) -> None:
        async with streams(accepted, context) as (_, writer):
            chosen.set_result(writer.get_extra_info("ssl_object").selected_alpn_protocol())

    async with listening(note) as address, connected(address, authority) as connection:
        await connection.start_tls(NAME)
        with pytest.raises(ClosedEarlyError):
            await connection.get("/", NAME, 0)
        assert await chosen == "http/1.1"


# ---------------------------------------------------------------- what is accepted


def speaking(issued: IssuedCertificate, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A server of one version; the old ones are disabled by default everywhere."""
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
async def test_old_versions_are_seen_as_what_they_are(
    authority: Authority, issued: IssuedCertificate, version: ssl.TLSVersion, shown: str
) -> None:
    assert (await greet(answering(speaking(issued, version)), authority)).tls_version == shown


async def test_what_is_longer_than_a_record_is_sent_whole(authority: Authority, issued: IssuedCertificate) -> None:
    """A redirect may lead to a path of 60,000 characters, and the tickets of a server do not help it on."""
    path = "/" + "a" * 60_000
    server = RawHttps([[b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]], [issued])
    async with secured(server.play, authority) as connection:
        assert (await connection.get(path, NAME, 0)).status == 404
    assert server.heads[0].startswith(f"GET {path} HTTP/1.1\r\n".encode())


async def test_a_handshake_is_read_only_so_far(authority: Authority, issued: IssuedCertificate) -> None:
    """A hundred copies of a certificate are more than anybody needs, and OpenSSL would keep them all."""
    giant = IssuedCertificate(issued.key, (*issued.chain, *issued.chain[1:] * 100))
    with pytest.raises(TooLargeError, match="the handshake has more than 20480 bytes"):
        await greet(answering(giant.server_context()), authority)


@pytest.mark.parametrize("too_many", [False, True])
async def test_as_many_values_are_read_as_are_bearable(authority: Authority, *, too_many: bool) -> None:
    """Each takes more memory than it has bytes; a name is one of them."""
    fixed = values_of(authority.issue([NAME])) - 1
    names = [f"n{number}.test" for number in range(MAX_CHAIN_VALUES - fixed + too_many)]
    expected = pytest.raises(TooLargeError, match="consist of 501 values, at most 500") if too_many else nullcontext()
    with expected:
        await greet(answering(authority.issue(names).server_context()), authority)


def values_of(issued: IssuedCertificate) -> int:
    return sum(der.count_values(each.public_bytes(Encoding.DER)) for each in issued.chain)


async def test_certificates_count_before_the_end_of_the_handshake(authority: Authority) -> None:
    """The server says nothing after them; OpenSSL has made of them what it will."""
    with pytest.raises(TooLargeError, match="values"):
        await asyncio.wait_for(greet(begin_handshake, authority), 5)


async def test_no_server_chooses_the_group_of_a_key_exchange(authority: Authority) -> None:
    """With one of 10,000 bits, each handshake would take half a second, in which no other probe can go on."""
    context = speaking(with_rsa(authority, NAME), ssl.TLSVersion.TLSv1_2)
    choose_group(context)
    with pytest.raises((SSL.Error, ClosedEarlyError)):
        await greet(answering(context), authority)


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
async def test_certificates_in_every_state_are_described(
    profile: CertificateProfile, reasons: list[Reason], version: ssl.TLSVersion, new_key: NewKey, tmp_path: Path
) -> None:
    """By what OpenSSL says of them in truth; a weak key would be named, too."""
    authority = Authority(tmp_path, ChainKeys(leaf=new_key))
    context = speaking(authority.issue([NAME], profile), version)
    reading = tls.evaluate(await greet(answering(context), authority), NAME, ChainCache())
    assert ([problem.reason for problem in reading.problems] if isinstance(reading, Failure) else []) == reasons


# ---------------------------------------------------------------- what goes wrong

SERVER_HELLO_BEGUN = bytes.fromhex("160303007a02000076")
HANDSHAKE_FAILURE = bytes.fromhex("15030300020228")
NONSENSE_IN_A_RECORD = bytes.fromhex("1603030004deadbeef")


def saying(reply: bytes) -> ConnectionHandler:
    """`reply` to the greeting of the client, and then the end."""

    async def say(accepted: socket.socket) -> None:
        async with streams(accepted) as (reader, writer):
            await reader.read(1)
            writer.write(reply)
            writer.write_eof()
            await reader.read()

    return say


@pytest.mark.parametrize(
    ("reply", "error", "reason"),
    [
        (b"", ClosedEarlyError, Reason.TLS_HANDSHAKE),
        (SERVER_HELLO_BEGUN, ClosedEarlyError, Reason.TLS_HANDSHAKE),
        (HANDSHAKE_FAILURE, SSL.Error, Reason.TLS_HANDSHAKE),
        (NONSENSE_IN_A_RECORD, SSL.Error, Reason.TLS_HANDSHAKE),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", NotTlsError, Reason.NOT_TLS),
        (b"SSH-2.0-OpenSSH_9.2\r\n", NotTlsError, Reason.NOT_TLS),
        (b"220 mail.example.test ESMTP\r\n", NotTlsError, Reason.NOT_TLS),
        (b"\x00", NotTlsError, Reason.NOT_TLS),
    ],
    ids=["end", "half a greeting", "alert", "nonsense", "http", "ssh", "smtp", "zero"],
)
async def test_a_broken_handshake(authority: Authority, reply: bytes, error: type[Exception], reason: Reason) -> None:
    with pytest.raises(error) as caught:
        await greet(saying(reply), authority)
    assert problems.reason(caught.value, Step.TLS) is reason


async def test_a_handshake_that_is_reset(authority: Authority) -> None:
    async def cut(accepted: socket.socket) -> None:
        async with streams(accepted) as (reader, writer):
            await reader.read(1)
            await reset(writer.get_extra_info("socket"))

    with pytest.raises(ConnectionResetError) as caught:
        await greet(cut, authority)
    assert problems.reason(caught.value, Step.TLS) is Reason.TLS_HANDSHAKE


async def test_an_alert_is_told_in_words(authority: Authority) -> None:
    with pytest.raises(SSL.Error) as caught:
        await greet(saying(HANDSHAKE_FAILURE), authority)
    assert "handshake failure" in problems.describe(caught.value, Step.TLS)


async def test_a_server_that_wants_a_certificate_of_ours(authority: Authority, issued: IssuedCertificate) -> None:
    """Under TLS 1.3 it says so only after the handshake."""
    context = issued.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    async with listening(answering(context)) as address, connected(address, authority) as connection:
        await connection.start_tls(NAME)
        with pytest.raises((SSL.Error, ConnectionResetError, ClosedEarlyError)) as caught:
            await connection.get("/", NAME, 100)
    assert problems.reason(caught.value, Step.HTTP) is Reason.HTTP_PROTOCOL
