"""What every network must do, the fake one of the tests as well as the real one: else the fake would drift."""

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
from tests.fake_world import ABSENT, SILENCE, FakeNetwork, Server, received, srv_record
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


def finished(issued: IssuedCertificate, *errors: VerifyError) -> Handshake:
    chain = tuple(each.public_bytes(Encoding.DER) for each in issued.chain)
    return Handshake(chain, errors, "TLSv1.3", "TLS_AES_256_GCM_SHA384")


def fake(certificates: Certificates) -> FakeNetwork:
    failure = DnsTimeoutError("no resolver answers")
    dual = Addresses("dual.test", (ip_address("192.0.2.1"), ip_address("2001:db8::1")))
    pages = {path: received(answer) for path, answer in PAGES.items()}
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
            HEALTHY: Server(finished(certificates[VALID_CERTIFICATE]), pages),
            EXPIRED: Server(finished(certificates[EXPIRED_CERTIFICATE], VerifyError(10, 0)), pages),
            PLAIN: Server(NotTlsError("the server greets with another protocol")),
            SILENT: Server(SILENCE),
        },
    )


async def real(certificates: Certificates, ca_file: Path, stack: AsyncExitStack) -> Internet:
    resolver = DnsServer()
    resolver.zone.load(ZONE)
    for name, kind in FAILING:
        resolver.zone.fail(name, kind, SERVFAIL)
    ports: dict[str, Port] = {
        HEALTHY: https(certificates[VALID_CERTIFICATE]),
        EXPIRED: https(certificates[EXPIRED_CERTIFICATE]),
        REFUSED: ClosedPort(),
        PLAIN: Listener(answer_in_plain_http),
        SILENT: Listener(stall),
    }
    for port in (resolver, *ports.values()):
        await port.start()
        stack.push_async_callback(port.stop)
    connect_to = {address: ip_endpoint(port.address) for address, port in ports.items()}
    return Internet(timeout=PATIENCE, resolvers=[ip_endpoint(resolver.address)], ca_file=ca_file, connect_to=connect_to)


def https(issued: IssuedCertificate) -> HttpsServer:
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
        yield fake(certificates) if is_fake else await real(certificates, authority.ca_file, stack)


def connection(network: Network, address: str) -> Connection:
    ip, port = ip_endpoint(address)
    return network.connection(Endpoint(Target("dual.test", port), ip))


# ---------------------------------------------------------------- DNS


async def test_addresses_of_both_families(network: Network) -> None:
    """IPv4 stands first."""
    expected = Addresses("dual.test", (ip_address("192.0.2.1"), ip_address("2001:db8::1")))
    assert await network.addresses("dual.test", 8448) == expected


async def test_addresses_behind_an_alias_tell_where_it_leads(network: Network) -> None:
    assert (await network.addresses("alias.test", 8448)).canonical_name == "dual.test"


async def test_a_name_that_does_not_exist_is_told_from_one_without_addresses(network: Network) -> None:
    assert await network.addresses("missing.test", 8448) == Addresses("missing.test", (), exists=False)
    assert await network.addresses("empty.test", 8448) == Addresses("empty.test", ())


async def test_failed_lookups_stand_beside_what_was_found(network: Network) -> None:
    found = await network.addresses("failing.test", 8448)
    assert (found.ips, found.exists, len(found.failures)) == ((), True, 2)
    assert all(isinstance(failure, (DnsFailureError, DnsTimeoutError)) for failure in found.failures)


async def test_srv_records(network: Network) -> None:
    """Targets are in lower case and without the dot at the end."""
    records = await network.srv(SrvService.MATRIX_FED, "dual.test")
    assert set(records) == {srv_record(10, 5, 8450, "one.test"), srv_record(20, 0, 8451, "two.test")}


async def test_srv_records_that_are_not_there(network: Network) -> None:
    assert await network.srv(SrvService.MATRIX, "dual.test") == ()
    assert await network.srv(SrvService.MATRIX_FED, "missing.test") == ()


async def test_the_target_that_says_no(network: Network) -> None:
    assert await network.srv(SrvService.MATRIX_FED, "refuses.test") == (srv_record(0, 0, 0, "."),)


async def test_a_failed_srv_lookup_raises(network: Network) -> None:
    with pytest.raises((DnsFailureError, DnsTimeoutError)):
        await network.srv(SrvService.MATRIX_FED, "failing.test")


# ---------------------------------------------------------------- connections


async def test_a_refused_connection_raises(network: Network) -> None:
    with closing(connection(network, REFUSED)) as refused, pytest.raises(ConnectionRefusedError):
        await refused.open()


async def test_a_handshake_brings_the_chain_as_presented(network: Network, certificates: Certificates) -> None:
    with closing(connection(network, HEALTHY)) as healthy:
        await healthy.open()
        assert await healthy.start_tls("dual.test") == finished(certificates[VALID_CERTIFICATE])


async def test_a_bad_certificate_is_described_and_not_refused(network: Network, certificates: Certificates) -> None:
    with closing(connection(network, EXPIRED)) as expired:
        await expired.open()
        expected = finished(certificates[EXPIRED_CERTIFICATE], VerifyError(10, 0))
        assert await expired.start_tls("dual.test") == expected


async def test_another_protocol_is_no_tls(network: Network) -> None:
    with closing(connection(network, PLAIN)) as plain:
        await plain.open()
        with pytest.raises(NotTlsError):
            await plain.start_tls("dual.test")


async def test_one_connection_answers_one_request_after_the_other(network: Network) -> None:
    """Header names are in lower case, in the order received; any status is an answer."""
    with closing(connection(network, HEALTHY)) as healthy:
        await healthy.open()
        await healthy.start_tls("dual.test")
        assert await healthy.get("/page", "dual.test", 100) == received(PAGE)
        assert await healthy.get("/missing", "dual.test", 1000) == ABSENT
        assert await healthy.get("/empty", "dual.test", 0) == received(PAGES["/empty"])


async def test_a_question_may_have_a_body(network: Network) -> None:
    """Before and after one that has none, over the same connection."""
    with closing(connection(network, HEALTHY)) as healthy:
        await healthy.open()
        await healthy.start_tls("dual.test")
        assert await healthy.get("/page", "dual.test", 100) == received(PAGE)
        assert await healthy.post("/page", "dual.test", b'{"b": 2}', 100) == received(PAGE)
        assert await healthy.post("/missing", "dual.test", b"", 1000) == ABSENT
        assert await healthy.get("/page", "dual.test", 100) == received(PAGE)
        with pytest.raises(TooLargeError):
            await healthy.post("/page", "dual.test", b"{}", len(PAGE.body) - 1)


async def test_a_body_may_be_as_large_as_the_bound_and_no_larger(network: Network) -> None:
    with closing(connection(network, HEALTHY)) as healthy:
        await healthy.open()
        await healthy.start_tls("dual.test")
        assert (await healthy.get("/page", "dual.test", len(PAGE.body))).body == PAGE.body
        with pytest.raises(TooLargeError):
            await healthy.get("/page", "dual.test", len(PAGE.body) - 1)


async def test_the_clock_runs_while_the_remote_is_waited_for(network: Network) -> None:
    """It begins at nothing, and every step adds to it."""
    with closing(connection(network, HEALTHY)) as healthy:
        readings = [healthy.peer_wait()]
        for step in (healthy.open(), healthy.start_tls("dual.test"), healthy.get("/page", "dual.test", 100)):
            await step
            readings.append(healthy.peer_wait())
    assert readings[0] == 0
    assert all(earlier < later for earlier, later in pairwise(readings))


async def test_silence_counts_until_it_is_given_up(network: Network) -> None:
    with closing(connection(network, SILENT)) as silent:
        await silent.open()
        before, began = silent.peer_wait(), time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await silent.start_tls("dual.test")
        assert 0.04 < silent.peer_wait() - before <= time.monotonic() - began


async def test_closing_may_be_repeated_and_needs_no_opening(network: Network) -> None:
    unused = connection(network, HEALTHY)
    unused.close()
    unused.close()
    with closing(connection(network, HEALTHY)) as another:
        await another.open()
    assert (unused.peer_wait(), another.peer_wait() > 0) == (0, True)
