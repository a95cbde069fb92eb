"""A chain that was verified is not verified again, and no bad chain is accepted in its place."""

import asyncio
import gc
import socket
import ssl
import time
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
from tests.certificates import check_nothing
from tests.internet.raw_https import NAME, handshake_only, listening, live_tls_streams
from tests.lab.certificates import SELF_SIGNED
from tests.lab.tls_versions import only

pytestmark = pytest.mark.lab

OTHER_NAME = "other.test"
SLOW_SECONDS, RESOLUTION_SECONDS = 0.1, 0.01  # timers of the event loop may be early by its resolution
SERVER_NAME, KEY_SHARE = 0, 51  # extensions of a ClientHello


@pytest.fixture(scope="session")
def untrusted_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that is not trusted."""
    return Authority(tmp_path_factory.mktemp("untrusted"))


class KnownServer:
    """A server whose certificate can be changed, and the TLS contexts that connect to it, with clocks that can be set.

    `live_streams` are the numbers of TLS streams in memory when a connection was accepted. The connection with the
    number `slow_connection` is delayed; `peer_wait` is the wait of the latest one.
    """

    def __init__(self, authority: Authority, presented: IssuedCertificate) -> None:
        self._authority = authority
        self.present(presented)
        self.connections = 0
        self.live_streams: list[int] = []
        self.counts_streams = False  # slow, as the garbage collector traverses a million objects
        self.slow_connection: int | None = None
        self.peer_wait = 0.0
        self.now = datetime.now(UTC)
        self.tls_contexts = TlsContexts(authority.ca_file, KnownChains(now=self._seconds))
        self.listener = Listener(self._serve)

    def present(self, issued: IssuedCertificate) -> None:
        self._context = issued.server_context()

    def set_clocks(self, now: datetime) -> None:
        """Set the clock of the exporter and that of OpenSSL."""
        self.now = now
        self.tls_contexts.verifying = verifying_context(self._authority.ca_file)
        store = self.tls_contexts.verifying.get_cert_store()
        assert store is not None
        store.set_time(now)

    def trust_only(self, authority: Authority) -> None:
        """Let OpenSSL, where it verifies, report every chain of another authority from now on."""
        self.tls_contexts.verifying = verifying_context(authority.ca_file)

    async def handshake(self, tls_name: str = NAME) -> Handshake:
        with closing(InternetConnection(ip_endpoint(self.listener.address), self.tls_contexts, None)) as connection:
            await connection.open()
            handshake = await connection.start_tls(tls_name, check_nothing)
            self.peer_wait = connection.peer_wait()
            return handshake

    async def reasons(self, tls_name: str = NAME) -> list[Reason]:
        """Return why the certificate is bad; nothing if it is good."""
        reading = tls.evaluate(await self.handshake(tls_name), tls_name, ChainCache())
        return [problem.reason for problem in reading.problems] if isinstance(reading, Failure) else []

    def _seconds(self) -> float:
        return self.now.timestamp()

    async def _serve(self, accepted: socket.socket) -> None:
        self.connections += 1
        if self.counts_streams:
            self.live_streams.append(live_tls_streams())
        if self.connections == self.slow_connection:
            await asyncio.sleep(SLOW_SECONDS)
        await handshake_only(self._context)(accepted)


@asynccontextmanager
async def known_server(authority: Authority, presented: IssuedCertificate) -> AsyncIterator[KnownServer]:
    """Yield a server that has presented a certificate once, and whose chain is known."""
    server = KnownServer(authority, presented)
    await server.listener.start()
    try:
        assert await server.reasons() == []
        yield server
    finally:
        await server.listener.stop()


def redirect_to(address: str) -> dict[str, IPEndpoint]:
    """Return a `connect_to` for the test server."""
    return {f"{NAME}:443": ip_endpoint(address)}


async def is_trusted(internet: Internet) -> bool:
    with closing(internet.connection(Endpoint(Target(NAME, 443), ip_address("192.0.2.1")))) as connection:
        await connection.open()
        return not (await connection.start_tls(NAME, check_nothing)).verify_errors


def predictable(hello: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Return the cipher suites and extensions of a ClientHello (RFC 8446, section 4.1.2), without what varies."""
    rest = hello[5 + 4 + 2 + 32 :]
    _, rest = split_vector(rest, 1)
    ciphers, rest = split_vector(rest, 2)
    _, rest = split_vector(rest, 1)
    content, _ = split_vector(rest, 2)
    extensions = []
    while content:
        extension = int.from_bytes(content[:2])
        value, content = split_vector(content[2:], 2)
        extensions.append((extension, b"" if extension in (SERVER_NAME, KEY_SHARE) else value))
    return ciphers, extensions


def split_vector(content: bytes, size: int) -> tuple[bytes, bytes]:
    """Return the contents of a vector, whose length has `size` bytes, and what follows it."""
    end = size + int.from_bytes(content[:size])
    return content[size:end], content[end:]


# ---------------------------------------------------------------- what is remembered


async def test_a_known_chain_is_not_verified_again(
    authority: Authority, issued: IssuedCertificate, untrusted_authority: Authority
) -> None:
    """The result of the handshake is the same."""
    async with known_server(authority, issued) as server:
        first = await server.handshake()
        server.trust_only(untrusted_authority)
        assert await server.handshake() == first
        assert server.connections == 3


async def test_both_contexts_send_the_same_client_hello(authority: Authority, issued: IssuedCertificate) -> None:
    """Otherwise a server could present one certificate to a client that verifies it, and another one to the other."""
    hellos: list[bytes] = []
    async with known_server(authority, issued) as server:

        async def listen(accepted: socket.socket) -> None:
            hellos.append(await asyncio.get_running_loop().sock_recv(accepted, 4096))

        server.listener.handler = listen
        for name in (NAME, OTHER_NAME):
            with pytest.raises(ClosedEarlyError):
                await server.handshake(name)
    assert predictable(hellos[0]) == predictable(hellos[1])


async def test_several_chains_at_one_address_are_known(
    authority: Authority, issued: IssuedCertificate, untrusted_authority: Authority
) -> None:
    """Several servers with a certificate each may share an address."""
    another = authority.issue([NAME])
    async with known_server(authority, issued) as server:
        server.present(another)
        await server.handshake()
        server.trust_only(untrusted_authority)
        before = server.connections
        for presented in (issued, another, issued):
            server.present(presented)
            assert await server.reasons() == []
        assert server.connections - before == 3


async def test_nothing_is_remembered_without_remember_chains(
    authority: Authority, issued: IssuedCertificate, untrusted_authority: Authority
) -> None:
    async with listening(handshake_only(issued.server_context())) as address:
        internet = Internet(
            timeout=1, ca_file=authority.ca_file, connect_to=redirect_to(address), remember_chains=False
        )
        assert await is_trusted(internet)
        internet._tls_contexts.verifying = verifying_context(untrusted_authority.ca_file)
        assert not await is_trusted(internet)


# ---------------------------------------------------------------- what is verified again


def with_issuer(issued: IssuedCertificate, *issuers: IssuedCertificate) -> IssuedCertificate:
    """Return the same leaf with the intermediates of others."""
    return replace(issued, chain=(issued.chain[0], *(other.chain[1] for other in issuers)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("expired", Reason.CERTIFICATE_EXPIRED),
        ("self-signed", Reason.CERTIFICATE_UNTRUSTED),
        ("other authority", Reason.CERTIFICATE_UNTRUSTED),
        ("other intermediate", Reason.CERTIFICATE_INCOMPLETE_CHAIN),
        ("no intermediate", Reason.CERTIFICATE_INCOMPLETE_CHAIN),
    ],
)
async def test_another_chain_is_verified(
    authority: Authority, issued: IssuedCertificate, untrusted_authority: Authority, change: str, reason: Reason
) -> None:
    """The second handshake uses a connection of its own, in the same step."""
    changed = {
        "expired": authority.issue([NAME], EXPIRED),
        "self-signed": authority.issue([NAME], SELF_SIGNED),
        "other authority": untrusted_authority.issue([NAME]),
        "other intermediate": with_issuer(issued, untrusted_authority.issue([NAME])),
        "no intermediate": with_issuer(issued),
    }[change]
    async with known_server(authority, issued) as server:
        server.present(changed)
        assert await server.reasons() == [reason]
        assert server.connections == 3
        assert await server.reasons() == [reason]
        assert server.connections == 4


async def test_the_memory_of_another_chain_is_freed_before_it_is_verified(
    authority: Authority, issued: IssuedCertificate
) -> None:
    """The chain may be large, and several may come at once."""
    gc.collect()  # the garbage of earlier tests
    async with known_server(authority, issued) as server:
        server.present(authority.issue([NAME]))
        server.counts_streams = True
        await server.handshake()
        assert server.connections == 3
        assert len(server.live_streams) == 2
        assert len(set(server.live_streams)) == 1


async def test_a_known_chain_is_checked_for_another_name(authority: Authority, issued: IssuedCertificate) -> None:
    async with known_server(authority, issued) as server:
        for _ in range(2):
            assert await server.reasons(OTHER_NAME) == [Reason.CERTIFICATE_NAME_MISMATCH]
        assert await server.reasons() == []


@pytest.mark.parametrize(
    ("shift", "reason"),
    [(timedelta(days=91), Reason.CERTIFICATE_EXPIRED), (timedelta(days=-1), Reason.CERTIFICATE_NOT_YET_VALID)],
)
async def test_a_known_chain_is_verified_outside_its_validity(
    authority: Authority, issued: IssuedCertificate, shift: timedelta, reason: Reason
) -> None:
    """The clock may be set forward or back."""
    async with known_server(authority, issued) as server:
        server.set_clocks(server.now + shift)
        assert await server.reasons() == [reason]


async def test_the_earliest_expiry_in_the_chain_counts(authority: Authority, issued: IssuedCertificate) -> None:
    """The root, which no server presents, is a part of the chain: here it expires before the leaf."""
    eternal = authority.issue([NAME], not_after=datetime.now(UTC) + timedelta(days=36500))
    async with known_server(authority, eternal) as server:
        server.set_clocks(server.now + timedelta(days=3650 - 0.5))
        assert await server.reasons() == []
        server.set_clocks(server.now + timedelta(days=0.75))
        assert await server.reasons() == [Reason.CERTIFICATE_EXPIRED] * 2


async def test_a_known_chain_is_verified_again_after_a_day(
    authority: Authority, issued: IssuedCertificate, untrusted_authority: Authority
) -> None:
    async with known_server(authority, issued) as server:
        server.trust_only(untrusted_authority)
        server.now += timedelta(seconds=MAX_TRUSTED_SECONDS - 1)
        assert await server.reasons() == []
        server.now += timedelta(seconds=1)
        assert await server.reasons() == [Reason.CERTIFICATE_UNTRUSTED]


async def test_a_reload_forgets_all_known_chains(
    authority: Authority, issued: IssuedCertificate, untrusted_authority: Authority
) -> None:
    """It makes a new `Internet`, so that an authority that is no longer trusted is noticed."""
    async with listening(handshake_only(issued.server_context())) as address:
        internet = Internet(timeout=1, ca_file=authority.ca_file, connect_to=redirect_to(address))
        assert [await is_trusted(internet) for _ in range(2)] == [True, True]
        reloaded = Internet(timeout=1, ca_file=untrusted_authority.ca_file, connect_to=redirect_to(address))
        assert not await is_trusted(reloaded)


async def test_a_known_chain_without_its_private_key_is_refused(
    authority: Authority, issued: IssuedCertificate
) -> None:
    """Certificates are public: an attacker can present them, but must sign the handshake with another key."""
    async with known_server(authority, issued) as server:
        server.listener.handler = Impostor(authority.issue([NAME]), issued).serve
        with pytest.raises(SSL.Error, match="bad signature"):
            await server.handshake()


class Impostor:
    """A server that replaces its certificates by stolen ones, in TLS 1.2, where they are not encrypted."""

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
        await loop.sock_sendall(
            accepted, b"".join(map(self._with_stolen_certificates, handshake_messages(outgoing.read())))
        )
        await loop.sock_recv(accepted, 65536)

    def _with_stolen_certificates(self, message: bytes) -> bytes:
        """Return a handshake message in a record of its own (RFC 5246, sections 6.2.1 and 7.4.2)."""
        if message[0] == 11:
            message = message[:1] + with_length(with_length(self._certificates, 3), 3)
        return b"\x16\x03\x03" + with_length(message, 2)


def with_length(content: bytes, size: int) -> bytes:
    return len(content).to_bytes(size) + content


def handshake_messages(flight: bytes) -> Iterator[bytes]:
    """Yield the handshake messages of a flight, without their records."""
    content = b""
    while flight:
        end = 5 + int.from_bytes(flight[3:5])
        content, flight = content + flight[5:end], flight[end:]
    while content:
        end = 4 + int.from_bytes(content[1:4])
        yield content[:end]
        content = content[end:]


# ---------------------------------------------------------------- timing


@pytest.mark.parametrize("slow_connection", [2, 3])
async def test_a_handshake_with_an_unexpected_chain_is_not_charged_to_a_stage(
    authority: Authority, issued: IssuedCertificate, slow_connection: int
) -> None:
    """Only the handshake that verifies is timed."""
    async with known_server(authority, issued) as server:
        server.present(authority.issue([NAME]))
        server.slow_connection = slow_connection
        began = time.monotonic()
        await server.handshake()
        elapsed = time.monotonic() - began
        assert server.connections == 3
        if slow_connection == 3:
            assert server.peer_wait >= SLOW_SECONDS - RESOLUTION_SECONDS
        else:
            assert server.peer_wait <= elapsed - SLOW_SECONDS + RESOLUTION_SECONDS


async def test_repr_shows_how_much_is_known(authority: Authority, issued: IssuedCertificate) -> None:
    async with known_server(authority, issued) as server:
        assert repr(server.tls_contexts.known_chains) == "<KnownChains: 1 chains of 1 endpoints>"
