"""The contract of every network. The fake one of the tests and the real one must both keep it, so that they agree."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.demo.authority import (
    EXPIRED as EXPIRED_CERTIFICATE,
)
from exporter.demo.authority import (
    VALID as VALID_CERTIFICATE,
)
from exporter.demo.authority import (
    Authority,
    CertificateProfile,
    IssuedCertificate,
)
from exporter.demo.dns_server import DnsServer
from exporter.demo.https_server import HttpsServer, Response, Site
from exporter.demo.listener import Listener, Port
from exporter.demo.ports import ClosedPort, answer_in_plain_http
from exporter.demo.zone import SERVFAIL
from exporter.internet import Internet
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import SrvService
from exporter.probing.evidence import Addresses, Handshake, VerifyError
from exporter.probing.network import Connection, DnsFailureError, DnsTimeoutError, Network, NotTlsError, TooLargeError
from tests.addresses import ip_endpoint
from tests.certificates import check_nothing
from tests.fake_world import ABSENT, SILENCE, FakeNetwork, Server, http_response, srv_record
from tests.lab.ports import stall
from tests.waiting import PATIENCE

PAGE = Response(200, (("Content-Type", "application/json"), ("X-Twice", "one"), ("X-Twice", "two")), b'{"a": 1}')
PAGES = {"/page": PAGE, "/empty": Response(204)}

HEALTHY, EXPIRED, REFUSED, PLAIN, SILENT = (f"192.0.2.{last}:8448" for last in range(1, 6))
ZONE = """
    dual.test                     A     192.0.2.1
    dual.test                     AAAA  2001:db8::1
    alias.test                    CNAME dual.test.
    empty.test                    TXT   "no address"
    _matrix-fed._tcp.dual.test    SRV   10 5 8450 one.test.
    _matrix-fed._tcp.dual.test    SRV   20 0 8451 TWO.test.
    _matrix-fed._tcp.refuses.test SRV   0 0 0 .
"""
FAILING = (("failing.test", "A"), ("failing.test", "AAAA"), ("_matrix-fed._tcp.failing.test", "SRV"))

Certificates = dict[CertificateProfile, IssuedCertificate]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificates(authority: Authority) -> Certificates:
    return {state: authority.issue(["dual.test"], state) for state in (VALID_CERTIFICATE, EXPIRED_CERTIFICATE)}


def handshake(issued: IssuedCertificate, authority: Authority, *errors: VerifyError) -> Handshake:
    *chain, root = (each.public_bytes(Encoding.DER) for each in (*issued.chain, authority.trusted.root))
    return Handshake(tuple(chain), errors, "TLSv1.3", "TLS_AES_256_GCM_SHA384", verified_chain=(*chain, root))


def fake_network(certificates: Certificates, authority: Authority) -> FakeNetwork:
    failure = DnsTimeoutError("no resolver answers")
    dual = Addresses("dual.test", (ip_address("192.0.2.1"), ip_address("2001:db8::1")))
    pages = {path: http_response(answer) for path, answer in PAGES.items()}
    return FakeNetwork(
        hosts={
            "dual.test": dual,
            "alias.test": dual,
            "empty.test": (),
            "failing.test": Addresses("failing.test", (), failures=(failure, failure)),
        },
        services={
            "_matrix-fed._tcp.dual.test": (srv_record(10, 5, 8450, "one.test"), srv_record(20, 0, 8451, "two.test")),
            "_matrix-fed._tcp.refuses.test": (srv_record(0, 0, 0, "."),),
            "_matrix-fed._tcp.failing.test": failure,
        },
        servers={
            HEALTHY: Server(handshake(certificates[VALID_CERTIFICATE], authority), pages),
            EXPIRED: Server(handshake(certificates[EXPIRED_CERTIFICATE], authority, VerifyError(10, 0)), pages),
            PLAIN: Server(NotTlsError("the server greets with another protocol")),
            SILENT: Server(SILENCE),
        },
    )


async def real_network(certificates: Certificates, ca_file: Path, stack: AsyncExitStack) -> Internet:
    resolver = DnsServer()
    resolver.zone.load(ZONE)
    for name, kind in FAILING:
        resolver.zone.fail(name, kind, SERVFAIL)
    ports: dict[str, Port] = {
        HEALTHY: https_server(certificates[VALID_CERTIFICATE]),
        EXPIRED: https_server(certificates[EXPIRED_CERTIFICATE]),
        REFUSED: ClosedPort(),
        PLAIN: Listener(answer_in_plain_http),
        SILENT: Listener(stall),
    }
    for port in (resolver, *ports.values()):
        await port.start()
        stack.push_async_callback(port.stop)
    connect_to = {address: ip_endpoint(port.address) for address, port in ports.items()}
    return Internet(
        timeout=PATIENCE, resolvers=lambda: [ip_endpoint(resolver.address)], ca_file=ca_file, connect_to=connect_to
    )


def https_server(issued: IssuedCertificate) -> HttpsServer:
    server = HttpsServer()
    server.certificates["dual.test"] = issued.server_context()
    server.sites["dual.test"] = Site(dict(PAGES))
    return server


@pytest.fixture(params=["fake", "real"])
async def network(
    request: pytest.FixtureRequest, authority: Authority, certificates: Certificates
) -> AsyncIterator[Network]:
    async with AsyncExitStack() as stack:
        is_fake = request.param == "fake"
        yield (
            fake_network(certificates, authority)
            if is_fake
            else await real_network(certificates, authority.ca_file, stack)
        )


def connection(network: Network, address: str) -> Connection:
    ip, port = ip_endpoint(address)
    return network.connection(Endpoint(Target("dual.test", port), ip))


# ---------------------------------------------------------------- DNS


async def test_addresses_of_both_families(network: Network) -> None:
    """IPv4 addresses come first."""
    expected = Addresses("dual.test", (ip_address("192.0.2.1"), ip_address("2001:db8::1")))
    assert await network.addresses("dual.test", 8448) == expected


async def test_an_alias_has_a_canonical_name(network: Network) -> None:
    """It is the name that the alias leads to."""
    assert (await network.addresses("alias.test", 8448)).canonical_name == "dual.test"


async def test_a_missing_name_differs_from_a_name_without_addresses(network: Network) -> None:
    """Only the second one exists."""
    assert await network.addresses("missing.test", 8448) == Addresses("missing.test", (), exists=False)
    assert await network.addresses("empty.test", 8448) == Addresses("empty.test", ())


async def test_failed_address_lookups_are_returned(network: Network) -> None:
    """They are not raised: the other family may have addresses."""
    addresses = await network.addresses("failing.test", 8448)
    assert (addresses.ips, addresses.exists, len(addresses.failures)) == ((), True, 2)
    assert all(isinstance(failure, (DnsFailureError, DnsTimeoutError)) for failure in addresses.failures)


async def test_srv_records(network: Network) -> None:
    """Targets are in lower case and without the dot at the end."""
    records = await network.srv(SrvService.MATRIX_FED, "dual.test")
    assert set(records) == {srv_record(10, 5, 8450, "one.test"), srv_record(20, 0, 8451, "two.test")}


async def test_missing_srv_records(network: Network) -> None:
    """It does not matter whether the name exists."""
    assert await network.srv(SrvService.MATRIX, "dual.test") == ()
    assert await network.srv(SrvService.MATRIX_FED, "missing.test") == ()


async def test_a_refusal_has_the_root_as_its_target(network: Network) -> None:
    """The host is a dot."""
    assert await network.srv(SrvService.MATRIX_FED, "refuses.test") == (srv_record(0, 0, 0, "."),)


async def test_a_failed_srv_lookup_raises(network: Network) -> None:
    """There is nothing else to return."""
    with pytest.raises((DnsFailureError, DnsTimeoutError)):
        await network.srv(SrvService.MATRIX_FED, "failing.test")


# ---------------------------------------------------------------- connections


async def test_a_refused_connection_raises(network: Network) -> None:
    """The exception is the one of the socket module."""
    with closing(connection(network, REFUSED)) as refused, pytest.raises(ConnectionRefusedError):
        await refused.open()


async def test_a_handshake_returns_the_chain_as_presented_and_as_verified(
    network: Network, certificates: Certificates, authority: Authority
) -> None:
    """It contains the leaf and the intermediate, and once verified, the root too."""
    with closing(connection(network, HEALTHY)) as healthy:
        await healthy.open()
        expected = handshake(certificates[VALID_CERTIFICATE], authority)
        assert await healthy.start_tls("dual.test", check_nothing) == expected


async def test_a_bad_certificate_does_not_abort_the_handshake(
    network: Network, certificates: Certificates, authority: Authority
) -> None:
    """It is returned along with the complaints about it."""
    with closing(connection(network, EXPIRED)) as expired:
        await expired.open()
        expected = handshake(certificates[EXPIRED_CERTIFICATE], authority, VerifyError(10, 0))
        assert await expired.start_tls("dual.test", check_nothing) == expected


async def test_another_protocol_is_not_tls(network: Network) -> None:
    """It has an exception of its own."""
    with closing(connection(network, PLAIN)) as plain:
        await plain.open()
        with pytest.raises(NotTlsError):
            await plain.start_tls("dual.test", check_nothing)


async def test_one_connection_serves_several_requests(network: Network) -> None:
    """Header names are in lower case, in the order received. No status is an error."""
    with closing(connection(network, HEALTHY)) as healthy:
        await healthy.open()
        await healthy.start_tls("dual.test", check_nothing)
        assert await healthy.get("/page", "dual.test", 100) == http_response(PAGE)
        assert await healthy.get("/missing", "dual.test", 1000) == ABSENT
        assert await healthy.get("/empty", "dual.test", 0) == http_response(PAGES["/empty"])


async def test_a_request_may_have_a_body(network: Network) -> None:
    """Requests with and without a body may follow one another over the same connection."""
    with closing(connection(network, HEALTHY)) as healthy:
        await healthy.open()
        await healthy.start_tls("dual.test", check_nothing)
        assert await healthy.get("/page", "dual.test", 100) == http_response(PAGE)
        assert await healthy.post("/page", "dual.test", b'{"b": 2}', 100) == http_response(PAGE)
        assert await healthy.post("/missing", "dual.test", b"", 1000) == ABSENT
        assert await healthy.put("/page", "dual.test", b"{}", 100) == http_response(PAGE)
        assert await healthy.get("/page", "dual.test", 100) == http_response(PAGE)
        with pytest.raises(TooLargeError):
            await healthy.post("/page", "dual.test", b"{}", len(PAGE.body) - 1)


async def test_the_size_of_a_body_is_bounded(network: Network) -> None:
    """It may be exactly as large as the bound."""
    with closing(connection(network, HEALTHY)) as healthy:
        await healthy.open()
        await healthy.start_tls("dual.test", check_nothing)
        assert (await healthy.get("/page", "dual.test", len(PAGE.body))).body == PAGE.body
        with pytest.raises(TooLargeError):
            await healthy.get("/page", "dual.test", len(PAGE.body) - 1)


async def test_every_step_adds_to_the_time_spent_waiting_for_the_peer(network: Network) -> None:
    """It starts at 0."""
    with closing(connection(network, HEALTHY)) as healthy:
        readings = [healthy.peer_wait()]
        for step in (
            healthy.open(),
            healthy.start_tls("dual.test", check_nothing),
            healthy.get("/page", "dual.test", 100),
        ):
            await step
            readings.append(healthy.peer_wait())
    assert readings[0] == 0
    assert all(earlier < later for earlier, later in pairwise(readings))


async def test_silence_adds_to_the_time_spent_waiting_for_the_peer(network: Network) -> None:
    """It counts until the step is cancelled."""
    with closing(connection(network, SILENT)) as silent:
        await silent.open()
        before, began = silent.peer_wait(), time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await silent.start_tls("dual.test", check_nothing)
        assert 0 < silent.peer_wait() - before <= time.monotonic() - began


async def test_closing_is_always_allowed(network: Network) -> None:
    """A connection may be closed before it was opened, and more than once."""
    unused = connection(network, HEALTHY)
    unused.close()
    unused.close()
    with closing(connection(network, HEALTHY)) as another:
        await another.open()
    assert (unused.peer_wait(), another.peer_wait() > 0) == (0, True)
