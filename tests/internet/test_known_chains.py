"""A chain that is remembered as good is not verified again, and no bad one passes for it."""

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from exporter.demo.authority import EXPIRED, Authority, IssuedCertificate
from exporter.demo.listener import Listener
from exporter.internet import Internet, IPEndpoint
from exporter.internet.connection import InternetConnection
from exporter.internet.known_chains import MAX_TRUSTED_SECONDS, KnownChains
from exporter.internet.tls_contexts import TlsContexts, verifying_context
from exporter.model.addresses import Endpoint, Target
from exporter.model.reasons import Reason
from exporter.probing.attempt import Failure
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Handshake
from exporter.probing.network import ClosedEarlyError
from exporter.probing.stages import tls
from tests.addresses import ip_endpoint
from tests.internet.raw_https import NAME, answering, listening, streams_there_are
from tests.lab.certificates import SELF_SIGNED
from tests.lab.tls_versions import only

OTHER_NAME = "other.test"
SERVER_NAME, KEY_SHARE = 0, 51  # extensions of a ClientHello


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that is not trusted."""
    return Authority(tmp_path_factory.mktemp("stranger"))


class Acquaintance:
    """A server whose certificate may change, and what we remember of it, by clocks that can be set."""

    def __init__(self, authority: Authority, presented: IssuedCertificate) -> None:
        self._authority = authority
        self.present(presented)
        self.connections = 0
        self.streams_there_were: list[int] = []
        self.slow_connection: int | None = None
        self.peer_wait = 0.0
        self.now = datetime.now(UTC)
        self.trust = TlsContexts(authority.ca_file, KnownChains(now=self._seconds))
        self.listener = Listener(self._serve)

    def present(self, issued: IssuedCertificate) -> None:
        self._context = issued.server_context()

    def set_clocks(self, now: datetime) -> None:
        """Ours and OpenSSL's."""
        self.now = now
        self.trust.verifying = verifying_context(self._authority.ca_file)
        store = self.trust.verifying.get_cert_store()
        assert store is not None
        store.set_time(now)

    def distrust(self, authority: Authority) -> None:
        """OpenSSL, where it is asked, complains of all others from now on."""
        self.trust.verifying = verifying_context(authority.ca_file)

    async def greet(self, tls_name: str = NAME) -> Handshake:
        with closing(InternetConnection(*ip_endpoint(self.listener.address), self.trust, None)) as connection:
            await connection.open()
            handshake = await connection.start_tls(tls_name)
            self.peer_wait = connection.peer_wait()
            return handshake

    async def complaints(self, tls_name: str = NAME) -> list[Reason]:
        reading = tls.evaluate(await self.greet(tls_name), tls_name, ChainCache())
        return [problem.reason for problem in reading.problems] if isinstance(reading, Failure) else []

    def _seconds(self) -> float:
        return self.now.timestamp()

    async def _serve(self, accepted: socket.socket) -> None:
        self.connections += 1
        self.streams_there_were.append(streams_there_are())
        if self.connections == self.slow_connection:
            await asyncio.sleep(0.4)
        await answering(self._context)(accepted)


@asynccontextmanager
async def met(authority: Authority, presented: IssuedCertificate) -> AsyncIterator[Acquaintance]:
    """Once, and without complaint."""
    server = Acquaintance(authority, presented)
    await server.listener.start()
    try:
        assert await server.complaints() == []
        yield server
    finally:
        await server.listener.stop()


def led_to(address: str) -> dict[str, IPEndpoint]:
    return {f"{NAME}:443": ip_endpoint(address)}


async def is_trusted(internet: Internet) -> bool:
    with closing(internet.connection(Endpoint(Target(NAME, 443), ip_address("192.0.2.1")))) as connection:
        await connection.open()
        return not (await connection.start_tls(NAME)).verify_errors


def fixed(hello: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    """The cipher suites of a ClientHello (RFC 8446, section 4.1.2) and the extensions that are not random."""
    rest = hello[5 + 4 + 2 + 32 :]
    _, rest = counted(rest, 1)
    ciphers, rest = counted(rest, 2)
    _, rest = counted(rest, 1)
    content, _ = counted(rest, 2)
    extensions = []
    while content:
        kind = int.from_bytes(content[:2])
        value, content = counted(content[2:], 2)
        extensions.append((kind, b"" if kind in (SERVER_NAME, KEY_SHARE) else value))
    return ciphers, extensions


def counted(content: bytes, size: int) -> tuple[bytes, bytes]:
    """What stands behind its length, and the rest."""
    end = size + int.from_bytes(content[:size])
    return content[size:end], content[end:]


# ---------------------------------------------------------------- what is remembered


async def test_openssl_is_not_asked_again(authority: Authority, issued: IssuedCertificate, stranger: Authority) -> None:
    """And nothing else about the handshake is different."""
    async with met(authority, issued) as server:
        first = await server.greet()
        server.distrust(stranger)
        assert await server.greet() == first
        assert server.connections == 3


async def test_both_greetings_are_alike(authority: Authority, issued: IssuedCertificate) -> None:
    """Else a server could present one certificate to whoever verifies it, and another to all others."""
    hellos: list[bytes] = []
    async with met(authority, issued) as server:

        async def listen(accepted: socket.socket) -> None:
            hellos.append(await asyncio.get_running_loop().sock_recv(accepted, 4096))

        server.listener.handler = listen
        for name in (NAME, OTHER_NAME):
            with pytest.raises(ClosedEarlyError):
                await server.greet(name)
    assert fixed(hellos[0]) == fixed(hellos[1])


async def test_servers_that_take_turns_are_all_known(
    authority: Authority, issued: IssuedCertificate, stranger: Authority
) -> None:
    """Behind one address there may be several, with a certificate each."""
    another = authority.issue([NAME])
    async with met(authority, issued) as server:
        server.present(another)
        await server.greet()
        server.distrust(stranger)
        before = server.connections
        for presented in (issued, another, issued):
            server.present(presented)
            assert await server.complaints() == []
        assert server.connections - before == 3


async def test_nothing_is_remembered_where_it_is_not_wanted(
    authority: Authority, issued: IssuedCertificate, stranger: Authority
) -> None:
    async with listening(answering(issued.server_context())) as address:
        internet = Internet(timeout=1, ca_file=authority.ca_file, connect_to=led_to(address), remember_chains=False)
        assert await is_trusted(internet)
        internet._trust.verifying = verifying_context(stranger.ca_file)
        assert not await is_trusted(internet)


# ---------------------------------------------------------------- what is not believed


def with_issuer(issued: IssuedCertificate, *issuers: IssuedCertificate) -> IssuedCertificate:
    """The same leaf, and the intermediates of others."""
    return replace(issued, chain=(issued.chain[0], *(other.chain[1] for other in issuers)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("expired", Reason.CERTIFICATE_EXPIRED),
        ("self-signed", Reason.CERTIFICATE_UNTRUSTED),
        ("other authority", Reason.CERTIFICATE_UNTRUSTED),
        ("other intermediate", Reason.CERTIFICATE_UNTRUSTED),
        ("no intermediate", Reason.CERTIFICATE_INCOMPLETE_CHAIN),
    ],
)
async def test_another_chain_is_verified(
    authority: Authority, issued: IssuedCertificate, stranger: Authority, change: str, reason: Reason
) -> None:
    """Over a connection of its own, in the same step."""
    changed = {
        "expired": authority.issue([NAME], EXPIRED),
        "self-signed": authority.issue([NAME], SELF_SIGNED),
        "other authority": stranger.issue([NAME]),
        "other intermediate": with_issuer(issued, stranger.issue([NAME])),
        "no intermediate": with_issuer(issued),
    }[change]
    async with met(authority, issued) as server:
        server.present(changed)
        assert await server.complaints() == [reason]
        assert server.connections == 3
        assert await server.complaints() == [reason]
        assert server.connections == 4


async def test_what_another_chain_took_is_given_back_before_it_is_verified(
    authority: Authority, issued: IssuedCertificate
) -> None:
    """It may be a large one, and several may come at once."""
    gc.collect()  # what earlier tests left
    async with met(authority, issued) as server:
        server.present(authority.issue([NAME]))
        await server.greet()
        assert server.connections == 3
        assert len(set(server.streams_there_were)) == 1


async def test_another_name_is_judged_anew(authority: Authority, issued: IssuedCertificate) -> None:
    async with met(authority, issued) as server:
        for _ in range(2):
            assert await server.complaints(OTHER_NAME) == [Reason.CERTIFICATE_NAME_MISMATCH]
        assert await server.complaints() == []


@pytest.mark.parametrize(
    ("shift", "reason"),
    [(timedelta(days=91), Reason.CERTIFICATE_EXPIRED), (timedelta(days=-1), Reason.CERTIFICATE_NOT_YET_VALID)],
)
async def test_a_bound_of_validity_is_noticed(
    authority: Authority, issued: IssuedCertificate, shift: timedelta, reason: Reason
) -> None:
    """The clock may also be set back."""
    async with met(authority, issued) as server:
        server.set_clocks(server.now + shift)
        assert await server.complaints() == [reason]


async def test_the_first_of_the_whole_chain_to_expire_counts(authority: Authority, issued: IssuedCertificate) -> None:
    """Up to the root, which no server presents: here it expires before the leaf."""
    eternal = authority.issue([NAME], not_after=datetime.now(UTC) + timedelta(days=36500))
    async with met(authority, eternal) as server:
        server.set_clocks(server.now + timedelta(days=3650 - 0.5))
        assert await server.complaints() == []
        server.set_clocks(server.now + timedelta(days=0.75))
        assert await server.complaints() == [Reason.CERTIFICATE_EXPIRED] * 2


async def test_a_verdict_is_not_believed_for_ever(
    authority: Authority, issued: IssuedCertificate, stranger: Authority
) -> None:
    async with met(authority, issued) as server:
        server.distrust(stranger)
        server.now += timedelta(seconds=MAX_TRUSTED_SECONDS - 1)
        assert await server.complaints() == []
        server.now += timedelta(seconds=1)
        assert await server.complaints() == [Reason.CERTIFICATE_UNTRUSTED]


async def test_an_authority_that_is_trusted_no_more(
    authority: Authority, issued: IssuedCertificate, stranger: Authority
) -> None:
    """A reload makes another Internet, which knows nobody."""
    async with listening(answering(issued.server_context())) as address:
        internet = Internet(timeout=1, ca_file=authority.ca_file, connect_to=led_to(address))
        assert [await is_trusted(internet) for _ in range(2)] == [True, True]
        reloaded = Internet(timeout=1, ca_file=stranger.ca_file, connect_to=led_to(address))
        assert not await is_trusted(reloaded)


async def test_a_chain_without_its_key_is_no_proof(authority: Authority, issued: IssuedCertificate) -> None:
    """A thief of certificates, which are public, signs the handshake with another key."""
    async with met(authority, issued) as server:
        server.listener.handler = Thief(authority.issue([NAME]), issued).serve
        with pytest.raises(SSL.Error, match="bad signature"):
            await server.greet()


class Thief:
    """TLS 1.2, where certificates are not encrypted: the chain of another is put in place of one's own."""

    def __init__(self, own: IssuedCertificate, stolen: IssuedCertificate) -> None:
        self._context = own.server_context()
        only(ssl.TLSVersion.TLSv1_2)(self._context)
        self._certificates = b"".join(with_length(each.public_bytes(Encoding.DER), 3) for each in stolen.chain)

    async def serve(self, accepted: socket.socket) -> None:
        loop, incoming, outgoing = asyncio.get_running_loop(), ssl.MemoryBIO(), ssl.MemoryBIO()
        server = self._context.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(await loop.sock_recv(accepted, 65536))
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        await loop.sock_sendall(accepted, b"".join(map(self._forged, messages(outgoing.read()))))
        await loop.sock_recv(accepted, 65536)

    def _forged(self, message: bytes) -> bytes:
        """In a record of its own (RFC 5246, sections 6.2.1 and 7.4.2)."""
        if message[0] == 11:
            message = message[:1] + with_length(with_length(self._certificates, 3), 3)
        return b"\x16\x03\x03" + with_length(message, 2)


def with_length(content: bytes, size: int) -> bytes:
    return len(content).to_bytes(size) + content


def messages(flight: bytes) -> Iterator[bytes]:
    """Of the handshake, freed from their records."""
    content = b""
    while flight:
        end = 5 + int.from_bytes(flight[3:5])
        content, flight = content + flight[5:end], flight[end:]
    while content:
        end = 4 + int.from_bytes(content[1:4])
        yield content[:end]
        content = content[end:]


# ---------------------------------------------------------------- what it costs


@pytest.mark.parametrize("slow_connection", [2, 3])
async def test_the_time_for_the_wrong_guess_belongs_to_no_stage(
    authority: Authority, issued: IssuedCertificate, slow_connection: int
) -> None:
    """Only the handshake that counts is timed."""
    async with met(authority, issued) as server:
        server.present(authority.issue([NAME]))
        server.slow_connection = slow_connection
        await server.greet()
        assert server.connections == 3
        assert (server.peer_wait > 0.3) == (slow_connection == 3)
