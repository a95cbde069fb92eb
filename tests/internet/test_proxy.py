"""Connections through a proxy, over real sockets: what the proxy is asked, and what its answers mean."""

import asyncio
import errno
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from exporter.demo.authority import Authority, IssuedCertificate
from exporter.demo.dns_server import DnsServer
from exporter.demo.listener import free_port, streams
from exporter.internet import Internet, ProxyAccess, peer_clock, tcp
from exporter.internet.address_policy import AddressPolicy
from exporter.internet.proxy import Proxy
from exporter.internet.tcp import IPEndpoint, TcpStream
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import IPFamily, Resource
from exporter.model.outcomes import Failed, Passed, Problem, ProxyFailure, ResourceShortage
from exporter.model.reasons import REASONS_OF_PROXY, Reason
from exporter.probing.attempt import Deadline
from exporter.probing.dialling import connect, open_connection
from exporter.probing.evidence import Addresses
from exporter.probing.network import Connection, DnsTimeoutError, FirewallRejectError, NotTlsError
from tests.addresses import ip_endpoint
from tests.certificates import check_nothing
from tests.internet.raw_https import NAME, RawHttps, listening
from tests.lab.connect_proxy import ESTABLISHED, ConnectProxy, always, connect_proxy, demand, status
from tests.waiting import PATIENCE

pytestmark = pytest.mark.lab

CREDENTIALS = "probe:pässword:with colon"
NOWHERE = "192.0.2.1:8448"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def network(proxy: str, credentials: str | None = None, seconds: float = PATIENCE, **settings: object) -> Internet:
    host, _, port = proxy.rpartition(":")
    access = ProxyAccess(Target(host, int(port)), credentials)
    allowed: dict[str, object] = {"policy": AddressPolicy(public_only=False), **settings}
    return Internet(timeout=seconds, proxy=access, **allowed)  # type: ignore[arg-type]


def endpoint(address: str) -> Endpoint:
    ip, port = ip_endpoint(address)
    return Endpoint(Target(str(ip), port), ip)


@asynccontextmanager
async def connection_to(
    address: str, internet: Internet
) -> AsyncIterator[tuple[Connection, Passed[None] | Failed[None]]]:
    """Open a connection, and yield it with the outcome."""
    with closing(internet.connection(endpoint(address))) as connection:
        yield connection, await open_connection(internet, connection, Deadline.for_probe(PATIENCE))


async def problem(proxy: ConnectProxy | str, credentials: str | None = None, address: str = NOWHERE) -> Problem | None:
    """Return what prevents a connection through a proxy."""
    internet = network(proxy if isinstance(proxy, str) else proxy.address, credentials)
    async with connection_to(address, internet) as (_, outcome):
        return outcome.problems[0] if isinstance(outcome, Failed) else None


# ---------------------------------------------------------------- tunnels


@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1"])
async def test_the_proxy_is_asked_for_the_address_and_tls_is_end_to_end(
    authority: Authority, issued: IssuedCertificate, loopback: str
) -> None:
    """Both families, the latter in brackets. The certificate and the response are the server's."""
    server = RawHttps([[OK]], [issued])
    async with connect_proxy() as proxy, listening_on(loopback, server) as address:
        internet = network(proxy.address, ca_file=authority.ca_file)
        async with connection_to(address, internet) as (connection, outcome):
            assert isinstance(outcome, Passed)
            handshake = await connection.start_tls(NAME, check_nothing)
            response = await connection.get("/", NAME, 100)
    assert (proxy.asked, handshake.verify_errors, response.body) == ([address], (), b"ok")


@asynccontextmanager
async def listening_on(loopback: str, server: RawHttps) -> AsyncIterator[str]:
    if loopback == "127.0.0.1":
        async with listening(server.play) as address:
            yield address
        return
    serving: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    def accept() -> None:
        accepted, _ = listener.accept()
        accepted.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
        serving.add(loop.create_task(server.play(accepted)))

    with socket.create_server((loopback, 0), family=socket.AF_INET6) as listener:
        listener.setblocking(False)  # noqa: FBT003 - as above
        loop.add_reader(listener, accept)
        try:
            yield f"[{loopback}]:{listener.getsockname()[1]}"
        finally:
            loop.remove_reader(listener)
            await asyncio.gather(*serving, return_exceptions=True)


async def test_any_status_of_success_opens_a_tunnel() -> None:
    """RFC 9110, section 9.3.6."""
    async with connect_proxy(always(ESTABLISHED.replace(b" 200 ", b" 299 "))) as proxy:
        assert await problem(proxy) is None


async def test_a_connection_that_is_replaced_goes_through_the_proxy_too(
    authority: Authority, issued: IssuedCertificate
) -> None:
    """The server closes it after each response."""
    server = RawHttps([[OK], [OK]], [issued])
    async with connect_proxy() as proxy, listening(server.play) as address:
        internet = network(proxy.address, ca_file=authority.ca_file)
        async with connection_to(address, internet) as (connection, _):
            await connection.start_tls(NAME, check_nothing)
            bodies = [(await connection.get("/", NAME, 100)).body for _ in range(2)]
    assert (proxy.asked, bodies) == ([address] * 2, [b"ok"] * 2)


async def test_what_follows_the_answer_is_the_server_s() -> None:
    """A server that speaks first may be faster than the exporter reads."""
    async with (
        connect_proxy(always(ESTABLISHED + b"SSH-2.0-OpenSSH_9.2\r\n")) as proxy,
        connection_to(NOWHERE, network(proxy.address)) as (connection, outcome),
    ):
        assert isinstance(outcome, Passed)
        with pytest.raises(NotTlsError, match=r"SSH-2\.0"):
            await connection.start_tls(NAME, check_nothing)


async def test_the_first_address_that_the_proxy_reaches_is_used() -> None:
    """As without a proxy, the next address is tried if one fails."""

    async def be_there(accepted: socket.socket) -> None:
        async with streams(accepted) as (reader, _):
            await reader.read()

    refused = f"127.0.0.1:{free_port()}"
    async with connect_proxy() as proxy, listening(be_there) as address:
        deadline = Deadline.for_probe(PATIENCE)
        outcome = await connect(network(proxy.address), [endpoint(refused), endpoint(address)], deadline)
        assert isinstance(outcome, Passed)
        outcome.found.close()
    assert proxy.asked == [refused, address]


async def test_the_way_to_the_proxy_is_not_charged_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The duration is what the proxy took to connect, and one way there and back."""
    connect_at_once = tcp.connect

    async def connect_late(sock: socket.socket, address: IPEndpoint) -> None:
        await asyncio.sleep(1)
        await connect_at_once(sock, address)

    monkeypatch.setattr(tcp, "connect", connect_late)
    monkeypatch.setattr(peer_clock, "round_trip", lambda _: None)
    async with connect_proxy(always(ESTABLISHED)) as proxy:
        internet = network(proxy.address)
        with closing(internet.connection(endpoint(NOWHERE))) as connection:
            deadline = Deadline.for_probe(PATIENCE)
            outcome = await open_connection(internet, connection, deadline, connection.peer_wait)
            assert 0 < outcome.seconds == connection.peer_wait() < 1


def test_an_address_needs_no_route_of_this_machine() -> None:
    """The proxy may have one. What the configuration says about the families is in force all the same."""
    of_both = [endpoint(NOWHERE), endpoint("[2001:db8::1]:8448")]
    assert [network("192.0.2.9:3128").has_route(each) for each in of_both] == [True, True]
    only_ipv4 = network("192.0.2.9:3128", ip_families=[IPFamily.IPV4])
    assert [only_ipv4.has_route(each) for each in of_both] == [True, False]


async def test_a_forbidden_address_is_not_asked_for() -> None:
    """The proxy could reach it. Its own address may be private."""
    async with connect_proxy() as proxy:
        internet = network(proxy.address, policy=AddressPolicy())
        async with connection_to("10.0.0.1:8448", internet) as (_, outcome):
            assert isinstance(outcome, Failed)
            assert outcome.problems[0].reason is Reason.BLOCKED_ADDRESS
    assert proxy.asked == []


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (status(502, "Bad Gateway"), Reason.TUNNEL_FAILED, "the proxy PROXY answers 502 Bad Gateway"),
        (status(503), Reason.TUNNEL_FAILED, "the proxy PROXY answers 503"),
        (status(500, "Unable to connect"), Reason.TUNNEL_FAILED, "the proxy PROXY answers 500 Unable to connect"),
        (status(504, "Gateway Timeout"), Reason.TUNNEL_TIMEOUT, "the proxy PROXY answers 504 Gateway Timeout"),
        (status(407), Reason.PROXY_AUTHENTICATION, "the proxy PROXY answers 407, as it gets no credentials"),
        (status(403, "Forbidden", b"<html>"), Reason.PROXY_FORBIDDEN, "the proxy PROXY answers 403 Forbidden"),
        (status(300), Reason.PROXY_FORBIDDEN, "the proxy PROXY answers 300"),
        (status(302, "Found"), Reason.PROXY_FORBIDDEN, "the proxy PROXY answers 302 Found"),
        (status(403, "A\x1b[31m" + "b" * 99), Reason.PROXY_FORBIDDEN, r"the proxy PROXY answers 403 A\ufffd\[31mb*…"),
        *(
            (
                status(number),
                Reason.PROXY_PROTOCOL,
                f"the proxy PROXY answers {number}, as servers do that are not proxies",
            )
            for number in (400, 404, 405, 501, 505)
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Reason.PROXY_PROTOCOL, "the proxy PROXY does not answer as an HTTP proxy: .*"),
        (b"HTTP/1.1 200", Reason.PROXY_PROTOCOL, "the proxy PROXY does not answer .*: the connection was closed .*"),
        (
            b"\x15\x03\x01\x00\x02\x02\x46",
            Reason.PROXY_PROTOCOL,
            "the proxy PROXY does not answer as an HTTP proxy: .*",
        ),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
            Reason.PROXY_PROTOCOL,
            "the proxy PROXY does not answer as an HTTP proxy: the response, .*, is too large",
        ),
        (
            b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 500 + b"\r\n",
            Reason.PROXY_PROTOCOL,
            "the proxy PROXY does not answer as an HTTP proxy: 500 header lines, the limit is 200",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, Reason.PROXY_PROTOCOL, ".*more than 10 interim responses"),
    ],
    ids=lambda value: value if isinstance(value, Reason) else "",
)
async def test_an_answer_is_a_problem_of_the_server_or_of_the_proxy(answer: bytes, reason: Reason, detail: str) -> None:
    """Only the first ones say something about the server."""
    async with connect_proxy(always(answer)) as proxy:
        found = await problem(proxy)
    assert found
    assert found.reason is reason
    assert re.fullmatch(detail.replace("PROXY", proxy.address), found.detail)
    assert isinstance(found, ProxyFailure) is (reason in REASONS_OF_PROXY)


async def test_a_proxy_that_never_answers_waits_for_the_server() -> None:
    """It cannot be told from one that is down itself."""
    async with connect_proxy(None) as proxy:
        internet = network(proxy.address)
        with closing(internet.connection(endpoint(NOWHERE))) as connection:
            outcome = await open_connection(internet, connection, Deadline.for_probe(0.3))
    assert isinstance(outcome, Failed)
    assert outcome.problems[0].reason in (Reason.TUNNEL_TIMEOUT, Reason.TIMEOUT)


async def test_nothing_listens_where_the_proxy_should_be() -> None:
    address = f"127.0.0.1:{free_port()}"
    sentence = f"the proxy {address} cannot be connected to: Connection refused"
    assert await problem(address) == ProxyFailure(Reason.PROXY_UNREACHABLE, sentence, address)


async def test_a_firewall_rejects_connections_to_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def reject(*_: object) -> None:
        raise FirewallRejectError("connections are prohibited by a firewall")

    monkeypatch.setattr(TcpStream, "open", reject)
    sentence = f"the proxy {NOWHERE} cannot be connected to: connections are prohibited by a firewall"
    assert await problem(NOWHERE) == ProxyFailure(Reason.PROXY_UNREACHABLE, sentence, NOWHERE)


async def test_a_proxy_that_cannot_be_connected_to_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting to it has a share of the time, so that this is told from a proxy that waits for a server."""

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(TcpStream, "open", never)
    internet = network(NOWHERE, seconds=0.6)
    async with connection_to(NOWHERE, internet) as (_, outcome):
        assert isinstance(outcome, Failed)
        assert outcome.problems[0].reason is Reason.PROXY_UNREACHABLE


async def test_a_lack_of_sockets_is_not_the_proxy_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(TcpStream, "open", fail)
    found = await problem(NOWHERE)
    assert isinstance(found, ResourceShortage)
    assert found.resource is Resource.FILE_DESCRIPTORS


# ---------------------------------------------------------------- credentials


@pytest.mark.parametrize(
    ("credentials", "ending"),
    [(CREDENTIALS, None), ("probe:wrong", ", although it gets credentials"), (None, ", as it gets no credentials")],
)
async def test_credentials(credentials: str | None, ending: str | None) -> None:
    """They are in UTF-8 (RFC 7617, section 2.1), and the password may contain colons."""
    async with connect_proxy(demand(CREDENTIALS)) as proxy:
        found = await problem(proxy, credentials, f"127.0.0.1:{free_port()}")
    assert found
    if ending is None:
        assert found.reason is Reason.TUNNEL_FAILED
    else:
        assert (found.reason, found.detail) == (
            Reason.PROXY_AUTHENTICATION,
            f"the proxy {proxy.address} answers 407 Who are you{ending}",
        )


async def test_credentials_are_not_shown() -> None:
    access = ProxyAccess(Target("proxy.test", 3128), CREDENTIALS)
    internet = Internet(timeout=1, proxy=access)
    assert internet.proxy == "proxy.test:3128"
    assert repr(access) == "ProxyAccess(target=Target(host='proxy.test', port=3128))"
    assert repr(internet._proxy) == "<Proxy: proxy.test:3128>"


# ---------------------------------------------------------------- the name of the proxy


@asynccontextmanager
async def dns_server(*addresses: str) -> AsyncIterator[DnsServer]:
    server = DnsServer()
    if addresses:
        server.zone.put("proxy.test", "A", *addresses)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_the_proxy_may_have_a_name() -> None:
    """It is looked up at the exporter's own DNS servers, and not again for every connection."""
    async with connect_proxy(always(status(502))) as proxy, dns_server("127.0.0.1") as server:
        _, port = ip_endpoint(proxy.address)
        internet = network(f"proxy.test:{port}", resolvers=lambda: [ip_endpoint(server.address)])
        for _ in range(3):
            async with connection_to(NOWHERE, internet) as (_, outcome):
                assert isinstance(outcome, Failed)
                assert outcome.problems[0].detail == f"the proxy proxy.test:{port} answers 502"
        questions = [question.rdtype for question in server.questions]
    assert sorted(questions) == ["A", "AAAA"]
    assert proxy.asked == [NOWHERE] * 3


async def test_the_proxy_may_move() -> None:
    """Its name is looked up again after a minute."""
    async with connect_proxy(always(status(502))) as proxy, dns_server("127.0.0.2") as server:
        _, port = ip_endpoint(proxy.address)
        internet = network(f"proxy.test:{port}", resolvers=lambda: [ip_endpoint(server.address)])
        async with connection_to(NOWHERE, internet):
            server.zone.put("proxy.test", "A", "127.0.0.1")
        assert internet._proxy
        for seconds, asked in ((59, []), (2, [NOWHERE])):
            internet._proxy._looked_up_at -= seconds
            async with connection_to(NOWHERE, internet):
                assert proxy.asked == asked


async def test_each_address_of_the_proxy_is_tried() -> None:
    """Nothing listens at the first one."""
    async with connect_proxy(always(status(502))) as proxy, dns_server("127.0.0.2", "127.0.0.1") as server:
        _, port = ip_endpoint(proxy.address)
        internet = network(f"proxy.test:{port}", resolvers=lambda: [ip_endpoint(server.address)])
        async with connection_to(NOWHERE, internet) as (_, outcome):
            assert isinstance(outcome, Failed)
            assert outcome.problems[0].reason is Reason.TUNNEL_FAILED


async def test_a_proxy_whose_name_has_no_address() -> None:
    async with dns_server() as server:
        internet = network("proxy.test:3128", resolvers=lambda: [ip_endpoint(server.address)])
        async with connection_to(NOWHERE, internet) as (_, outcome):
            assert isinstance(outcome, Failed)
            (found,) = outcome.problems
    detail = "the proxy proxy.test:3128 cannot be connected to: its name has no address"
    assert found == ProxyFailure(Reason.PROXY_UNREACHABLE, detail, "proxy.test:3128")


async def test_the_resolver_does_not_answer_for_the_name_of_the_proxy() -> None:
    async def silent(_: str) -> Addresses:
        return Addresses("proxy.test", (), failures=(DnsTimeoutError("no answer"),))

    internet = network("proxy.test:3128")
    assert internet._proxy
    internet._proxy._look_up = silent
    async with connection_to(NOWHERE, internet) as (_, outcome):
        assert isinstance(outcome, Failed)
        assert outcome.problems[0].detail == "the proxy proxy.test:3128 cannot be connected to: no answer"


async def test_the_addresses_are_looked_up_once_for_all_who_wait() -> None:
    lookups = 0
    access = ProxyAccess(Target("proxy.test", 3128))
    async with dns_server("127.0.0.1") as server:
        internet = network("proxy.test:3128", resolvers=lambda: [ip_endpoint(server.address)])
        look_up = internet._resolver.addresses

        async def count(host: str) -> object:
            nonlocal lookups
            lookups += 1
            return await look_up(host)

        proxy = Proxy(access, count, PATIENCE)  # type: ignore[arg-type]
        found = await asyncio.gather(*(proxy._addresses() for _ in range(20)))
    assert (lookups, len(set(map(tuple, found)))) == (1, 1)
