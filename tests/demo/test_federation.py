import asyncio
import gc
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.asyncresolver
import dns.resolver
import pytest
import pytest_asyncio
import yaml

from exporter.demo.authority import EXPIRED, WRONG_NAME
from exporter.demo.federation import SERVERS, Federation
from exporter.demo.homeserver import KEYS, VERSION
from exporter.demo.https_server import WELL_KNOWN, Request, Response
from exporter.demo.servers import LabServer, RunningServer, Website
from exporter.demo.zone import SERVFAIL
from exporter.model.enums import Method, Stage
from exporter.model.names import parse
from exporter.model.reasons import Reason
from tests.demo.independent_clients import connect, get, host_and_port
from tests.waiting import PATIENCE

pytestmark = pytest.mark.lab


@pytest_asyncio.fixture
async def federation() -> AsyncIterator[Federation]:
    async with Federation() as federation:
        yield federation


async def look_up(federation: Federation, name: str, rdtype: str) -> list[str]:
    """Return the sorted values, or the name of the error."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    address, resolver.port = host_and_port(federation.resolver)
    resolver.nameservers = [address]
    try:
        return sorted(record.to_text() for record in await resolver.resolve(f"{name}.", rdtype, lifetime=PATIENCE))
    except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN, dns.resolver.NoNameservers) as error:
        return [type(error).__name__]


async def look_up_delegation(federation: Federation, name: str) -> dict[str, list[str]]:
    return {
        "A": await look_up(federation, name, "A"),
        "AAAA": await look_up(federation, name, "AAAA"),
        "matrix-fed": await look_up(federation, f"_matrix-fed._tcp.{name}", "SRV"),
        "matrix": await look_up(federation, f"_matrix._tcp.{name}", "SRV"),
    }


# ---------------------------------------------------------------- the table


def test_every_method_of_delegation_has_a_healthy_server() -> None:
    """No step of the specification is left out."""
    assert {server.method for server in SERVERS if server.healthy} == set(Method)


def test_the_failures_that_demo_shows() -> None:
    """They are few enough to be looked over."""
    assert len(SERVERS) <= 30
    assert {server.server_name: set(server.expected) for server in SERVERS if not server.healthy} == {
        "expired.lab.test": {(Stage.TLS, Reason.CERTIFICATE_EXPIRED)},
        "wrong-name.lab.test": {(Stage.TLS, Reason.CERTIFICATE_NAME_MISMATCH)},
        "untrusted.lab.test": {(Stage.TLS, Reason.CERTIFICATE_UNTRUSTED)},
        "incomplete-chain.lab.test": {(Stage.TLS, Reason.CERTIFICATE_INCOMPLETE_CHAIN)},
        "refused.lab.test": {(Stage.TCP, Reason.CONNECT_REFUSED)},
        "black-hole.lab.test": {(Stage.TCP, Reason.CONNECT_TIMEOUT)},
        "plain-http.lab.test": {(Stage.TLS, Reason.NOT_TLS)},
        "bad-signature.lab.test": {(Stage.KEYS, Reason.SIGNATURE_INVALID)},
        "expired-keys.lab.test": {(Stage.KEYS, Reason.KEY_EXPIRED)},
        "other-keys.lab.test": {(Stage.KEYS, Reason.SERVER_NAME_MISMATCH)},
        "no-version.lab.test": {(Stage.VERSION, Reason.HTTP_STATUS)},
        "well-known-html.lab.test": {(Stage.WELL_KNOWN, Reason.NOT_JSON), (Stage.TCP, Reason.CONNECT_REFUSED)},
        "srv-alias.lab.test": {(Stage.SRV, Reason.SRV_TARGET_ALIAS)},
        "srv-servfail.lab.test": {(Stage.SRV, Reason.DNS_FAILURE)},
        "nxdomain.lab.test": {(Stage.DNS, Reason.NXDOMAIN)},
    }


@pytest.mark.parametrize(
    ("server", "addresses"),
    [
        (LabServer("192.0.2.1", "", Method.IP_LITERAL), {"192.0.2.1:443", "192.0.2.1:8448"}),
        (
            LabServer("[2001:db8::1]:99", "", Method.IP_LITERAL),
            {"[2001:db8::1]:443", "[2001:db8::1]:8448", "[2001:db8::1]:99"},
        ),
        (
            LabServer("x.test:99", "", Method.EXPLICIT_PORT, zone="x.test A 192.0.2.1"),
            {"192.0.2.1:443", "192.0.2.1:8448", "192.0.2.1:99"},
        ),
        (
            LabServer(
                "x.test", "", Method.SRV_FED, zone="_matrix._tcp.x.test SRV 1 1 99 a.test.\n a.test AAAA 2001:db8::1"
            ),
            {"[2001:db8::1]:443", "[2001:db8::1]:8448", "[2001:db8::1]:99"},
        ),
        (LabServer("x.test", "", Method.DEFAULT_8448, zone="x.test A 127.0.0.2"), set()),
        (LabServer("x.test", "", Method.DEFAULT_8448), set()),
    ],
)
def test_every_address_that_a_probe_may_try_is_redirected(server: LabServer, addresses: set[str]) -> None:
    """These are all addresses in DNS and in the name, at the ports of the specification, the name and SRV records."""
    assert set(server.addresses()) == addresses


# ---------------------------------------------------------------- what a peer finds

HANDSHAKES_OF_BROKEN_SERVERS = {
    "192.0.2.101:8448": f"verify error {10}",  # expired
    "192.0.2.102:8448": f"verify error {62}",  # host name mismatch
    "192.0.2.103:8448": f"verify error {19}",  # self-signed certificate in the chain
    "192.0.2.104:8448": f"verify error {20}",  # no local issuer
    "192.0.2.105:8448": "refused",
    "192.0.2.106:8448": "timed out",
    "192.0.2.107:8448": "WRONG_VERSION_NUMBER",
}


async def test_every_address_behaves_as_in_the_table(federation: Federation) -> None:
    """It has a certificate for its name, or its fault, or refuses connections."""
    wanted, seen = {}, {}
    for server in SERVERS:
        for address in {*server.addresses(), *server.ports}:
            port = server.ports.get(address)
            name = port.name if isinstance(port, Website) else parse(server.server_name).host
            wanted[address] = HANDSHAKES_OF_BROKEN_SERVERS.get(address, "verified" if port else "refused")
            seen[address] = await connect(federation.connect_to[address], name, federation.ca_file)
    assert seen == wanted
    assert set(federation.connect_to) == set(wanted)


@pytest.mark.parametrize(
    "server", [server for server in SERVERS if server.healthy], ids=lambda server: server.server_name
)
async def test_healthy_homeservers_respond(federation: Federation, server: LabServer) -> None:
    """Every endpoint of a healthy server has its version, and its keys under its own name."""
    endpoints = {address: port for address, port in server.ports.items() if isinstance(port, Website) and port.proxy}
    assert endpoints
    for address, website in endpoints.items():
        host = f"[{website.name}]" if ":" in website.name else website.name
        version, keys = [
            await get(federation.connect_to[address], website.name, federation.ca_file, path, host)
            for path in (VERSION, KEYS)
        ]
        assert (version.status, json.loads(version.body)["server"]["name"]) == (200, "Lab")
        assert (keys.status, json.loads(keys.body)["server_name"]) == (200, server.server_name)


@pytest.mark.parametrize(
    ("name", "address", "found"),
    [
        ("default-port.lab.test", "192.0.2.1:443", 404),
        ("well-known-port.lab.test", "192.0.2.3:443", "hs.well-known-port.lab.test:8449"),
        ("well-known-ip.lab.test", "192.0.2.4:443", "198.51.100.4"),
        ("well-known-srv.lab.test", "192.0.2.5:443", "fed.well-known-srv.lab.test"),
        ("well-known-srv-legacy.lab.test", "192.0.2.6:443", "fed.well-known-srv-legacy.lab.test"),
        ("well-known.lab.test", "192.0.2.7:443", "hs.well-known.lab.test"),
        ("srv.lab.test", "192.0.2.8:443", 404),
        ("well-known-redirect.lab.test", "192.0.2.15:443", 302),
        ("well-known-html.lab.test", "192.0.2.112:443", "not JSON"),
    ],
)
async def test_well_knowns(federation: Federation, name: str, address: str, found: str | int) -> None:
    """The web server of a server name serves its delegation, or none."""
    reply = await get(federation.connect_to[address], name, federation.ca_file, WELL_KNOWN)
    assert (reply.status if reply.status != 200 else m_server(reply.body)) == found


def m_server(body: bytes) -> str:
    try:
        return str(json.loads(body)["m.server"])
    except ValueError:
        return "not JSON"


async def test_the_redirect_leads_to_the_delegation(federation: Federation) -> None:
    """It leads to another host and path."""
    first = await get(
        federation.connect_to["192.0.2.15:443"], "well-known-redirect.lab.test", federation.ca_file, WELL_KNOWN
    )
    assert first.headers["location"] == "https://www.well-known-redirect.lab.test/matrix-server.json"
    second = await get(
        federation.connect_to["198.51.100.15:443"],
        "www.well-known-redirect.lab.test",
        federation.ca_file,
        "/matrix-server.json",
    )
    assert m_server(second.body) == "hs.well-known-redirect.lab.test:443"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("default-port.lab.test", (["192.0.2.1"], ["NoAnswer"], ["NXDOMAIN"], ["NXDOMAIN"])),
        ("ipv6-only.lab.test", (["NoAnswer"], ["2001:db8::13"], ["NXDOMAIN"], ["NXDOMAIN"])),
        ("dual-stack.lab.test", (["192.0.2.14"], ["2001:db8::14"], ["NXDOMAIN"], ["NXDOMAIN"])),
        ("srv.lab.test", (["192.0.2.8"], ["NoAnswer"], ["10 5 8450 hs.srv.lab.test."], ["NXDOMAIN"])),
        ("srv-legacy.lab.test", (["NoAnswer"], ["NoAnswer"], ["NXDOMAIN"], ["10 5 8450 hs.srv-legacy.lab.test."])),
        (
            "srv-priorities.lab.test",
            (
                ["NoAnswer"],
                ["NoAnswer"],
                ["10 5 8451 first.srv-priorities.lab.test.", "20 5 8452 spare.srv-priorities.lab.test."],
                ["NXDOMAIN"],
            ),
        ),
        ("alias.srv-alias.lab.test", (["198.51.100.113"], ["NoAnswer"], ["NXDOMAIN"], ["NXDOMAIN"])),
        ("srv-servfail.lab.test", (["192.0.2.114"], ["NoAnswer"], ["NoNameservers"], ["NoNameservers"])),
        ("nxdomain.lab.test", (["NXDOMAIN"], ["NXDOMAIN"], ["NXDOMAIN"], ["NXDOMAIN"])),
    ],
)
async def test_dns(federation: Federation, name: str, found: tuple[list[str], ...]) -> None:
    """A resolver finds A and AAAA records, and SRV records under both names."""
    assert tuple((await look_up_delegation(federation, name)).values()) == found


async def test_configuration(federation: Federation) -> None:
    """The exporter's configuration is complete, and survives YAML."""
    assert yaml.safe_load(yaml.dump(federation.config())) == {
        "servers": [server.server_name for server in SERVERS],
        "network": {
            "resolvers": [federation.resolver],
            "ca_file": str(federation.ca_file),
            "connect_to": federation.connect_to,
            "address_policy": "any",
            "ip_families": ["ipv4", "ipv6"],
        },
    }


# ---------------------------------------------------------------- changes at run time


async def test_a_certificate_is_replaced(federation: Federation) -> None:
    """The new one may have another profile, or another date of expiry."""
    running = federation.server("well-known-port.lab.test")
    name, soon = "hs.well-known-port.lab.test", datetime.now(UTC) - timedelta(seconds=2)
    assert await connect(running.listener.address, name, federation.ca_file) == "verified"
    running.present(federation.authority.issue([name], WRONG_NAME))
    assert await connect(running.listener.address, name, federation.ca_file) == f"verify error {62}"
    running.present(federation.authority.issue([name], not_after=soon))
    assert await connect(running.listener.address, name, federation.ca_file) == f"verify error {10}"


async def test_the_certificate_of_an_address_is_replaced(federation: Federation) -> None:
    """For an address, clients send no SNI."""
    running = federation.server("192.0.2.11")
    running.present(federation.authority.issue(["192.0.2.11"], EXPIRED))
    assert await connect(running.listener.address, "192.0.2.11", federation.ca_file) == f"verify error {10}"


async def test_a_well_known_is_broken(federation: Federation) -> None:
    """The resource of its path is replaced."""
    running = federation.server("well-known.lab.test")
    running.resources[WELL_KNOWN] = Response(500)
    reply = await get(running.website.address, "well-known.lab.test", federation.ca_file, WELL_KNOWN)
    assert reply.status == 500


async def test_a_resource_of_the_homeserver_is_removed(federation: Federation) -> None:
    """Its path is then unknown."""
    running = federation.server("srv.lab.test")
    del running.homeserver.resources[KEYS]
    reply = await get(running.listener.address, "srv.lab.test", federation.ca_file, KEYS)
    assert (reply.status, json.loads(reply.body)["errcode"]) == (404, "M_UNRECOGNIZED")
    assert list(running.listener.requests) == [Request("srv.lab.test", "GET", KEYS, "srv.lab.test", "")]


async def test_dns_is_changed(federation: Federation) -> None:
    """Records and faults are changed for the whole federation."""
    zone = federation.server("srv.lab.test").zone
    zone.put("_matrix-fed._tcp.srv.lab.test", "SRV", "0 0 0 .")
    zone.fail("_matrix._tcp.srv.lab.test", "SRV", SERVFAIL)
    zone.put("srv.lab.test", "A", "192.0.2.99")
    assert await look_up_delegation(federation, "srv.lab.test") == {
        "A": ["192.0.2.99"],
        "AAAA": ["NoAnswer"],
        "matrix-fed": ["0 0 0 ."],
        "matrix": ["NoNameservers"],
    }


async def test_a_server_goes_down_and_comes_back(federation: Federation) -> None:
    """It comes back on the same port, so `connect_to` stays right."""
    listener = federation.server("default-port.lab.test").listener
    address = federation.connect_to["192.0.2.1:8448"]
    await listener.stop()
    assert await connect(address, "default-port.lab.test", federation.ca_file) == "refused"
    await listener.start()
    assert await connect(address, "default-port.lab.test", federation.ca_file) == "verified"


async def test_a_server_without_the_part_that_is_wanted_says_so(federation: Federation) -> None:
    """The error says what the server shows."""
    with pytest.raises(LookupError, match=r"nxdomain.lab.test has no https server for a well-known: .*does not exist"):
        _ = federation.server("nxdomain.lab.test").website
    with pytest.raises(LookupError, match=r"refused.lab.test has no https server in front of a homeserver"):
        _ = federation.server("refused.lab.test").listener


async def test_a_server_can_be_set_up_when_all_are_running() -> None:
    """Its hook gets every server, those after it too."""
    seen: list[str] = []

    def replace_software(running: Mapping[str, RunningServer]) -> None:
        seen.extend(running)
        running["first.lab.test"].homeserver.software = {"name": "Other", "version": "2"}

    first = LabServer("first.lab.test", "a server with a hook", Method.DEFAULT_8448, on_started=replace_software)
    async with Federation((first, *SERVERS[:1])) as federation:
        assert federation.server("first.lab.test").homeserver.software == {"name": "Other", "version": "2"}
    assert seen == ["first.lab.test", SERVERS[0].server_name]


# ---------------------------------------------------------------- stopping


def open_files() -> set[Path]:
    """Return what this process has open, as the kernel names it, except the folder that is being read."""
    return {file.readlink() for file in Path("/proc/self/fd").iterdir() if file.is_symlink()}


async def test_nothing_is_left() -> None:
    """No task, no socket and no folder remain; connections that are open at the end are cut."""
    await asyncio.to_thread(gc.collect)
    tasks, files = asyncio.all_tasks(), open_files()
    async with Federation() as federation:
        folder = federation.ca_file.parent
        assert list(folder.iterdir()) == [federation.ca_file]
        address = federation.connect_to["192.0.2.1:8448"]
        reader, writer = await asyncio.open_connection(*host_and_port(address))
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert (asyncio.all_tasks(), open_files(), folder.exists()) == (tasks, files, False)


async def test_a_start_that_fails_leaves_nothing() -> None:
    """A mistake in a table raises an error, and what was already started is stopped."""
    tasks, files = asyncio.all_tasks(), open_files()
    wrong = LabServer("wrong.lab.test", "a mistake", Method.DEFAULT_8448, zone="wrong.lab.test A nowhere")
    federation = Federation((*SERVERS[:3], wrong))
    with pytest.raises(dns.exception.SyntaxError):
        await federation.__aenter__()
    assert (asyncio.all_tasks(), open_files(), federation.ca_file.exists()) == (tasks, files, False)
