"""The parts that are built from a configuration."""

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from exporter import wiring
from exporter.config import (
    AddressScope,
    Config,
    Group,
    HostPort,
    ListSettings,
    NetworkSettings,
    ProbeSettings,
    ProxySettings,
    ProxyUrl,
    ServerUrl,
    SynapseDestinations,
)
from exporter.demo.federation import SERVERS, Federation
from exporter.demo.ports import ClosedPort
from exporter.internet import families_with_route
from exporter.judging import verdict
from exporter.model.enums import IPFamily, Stage
from exporter.model.names import parse
from exporter.model.reasons import Reason
from exporter.server_lists.http_sd import HttpSdList
from exporter.server_lists.synapse import SynapseList
from tests.lab.connect_proxy import connect_proxy, demand
from tests.lab.dns_faults import drop

pytestmark = pytest.mark.lab

SERVER = "default-port.lab.test"
UNUSED_RESOLVER = HostPort("192.0.2.53", 53)


def federation_of_one() -> Federation:
    return Federation([server for server in SERVERS if server.server_name == SERVER])


@pytest.mark.parametrize("families", [(IPFamily.IPV4,), tuple(IPFamily)])
def test_configured_ip_families_need_no_route(families: tuple[IPFamily, ...]) -> None:
    """Where none is configured, the routes decide."""
    config = Config(network=NetworkSettings(ip_families=families))
    assert wiring.ip_families(config) == {"default": set(families)}
    assert wiring.ip_families(Config()) == {"default": families_with_route()}


def network_of(federation: Federation) -> NetworkSettings:
    return NetworkSettings(
        resolvers=(host_port(federation.resolver),),
        ca_file=federation.ca_file,
        connect_to={key: host_port(value) for key, value in federation.connect_to.items()},
    )


def host_port(text: str) -> HostPort:
    host, _, port = text.rpartition(":")
    return HostPort(host, int(port))


async def test_a_prober_uses_the_network_settings() -> None:
    """Without the resolvers, the certificate authority and connect_to, the embedded federation is not reachable."""
    async with federation_of_one() as federation:
        config = Config(network=network_of(federation))
        assert verdict.federates(await wiring.build_prober(config).probe(parse(SERVER)))
        assert federation.dns.questions


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (NetworkSettings(), Reason.BLOCKED_ADDRESS),
        (NetworkSettings(address_policy=AddressScope.ANY), Reason.CONNECT_REFUSED),
        (NetworkSettings(allow_networks=(IPv4Network("127.0.0.0/8"),)), Reason.CONNECT_REFUSED),
        (NetworkSettings(allow_networks=(IPv4Network("10.0.0.0/8"),)), Reason.BLOCKED_ADDRESS),
    ],
)
async def test_the_address_policy_applies(network: NetworkSettings, reason: Reason) -> None:
    """The configuration can allow all addresses or single networks."""
    closed = ClosedPort()
    await closed.start()
    try:
        prober = wiring.build_prober(Config(network=replace(network, resolvers=(UNUSED_RESOLVER,))))
        report = await prober.probe(parse(closed.address))
    finally:
        await closed.stop()
    assert [(located.stage, located.problem.reason) for located in verdict.problems(report)] == [(Stage.TCP, reason)]


def test_the_families_through_a_proxy_are_up_to_it() -> None:
    """Unless the configuration names them."""
    proxy = ProxySettings(ProxyUrl("192.0.2.9", 3128))
    assert wiring.ip_families(Config(network=NetworkSettings(proxy=proxy))) == {"default": set(IPFamily)}
    only_ipv4 = NetworkSettings(proxy=proxy, ip_families=(IPFamily.IPV4,))
    assert wiring.ip_families(Config(network=only_ipv4)) == {"default": {IPFamily.IPV4}}


async def test_a_prober_uses_the_proxy_and_its_credentials(tmp_path: Path) -> None:
    """The file is read when the prober is built."""
    (tmp_path / "credentials").write_text("user:secret\n")
    async with federation_of_one() as federation, connect_proxy(demand("user:secret")) as proxy:
        address = ProxyUrl(*host_port(proxy.address))
        settings = replace(network_of(federation), proxy=ProxySettings(address, tmp_path / "credentials"))
        config = Config(network=settings)
        assert verdict.federates(await wiring.build_prober(config).probe(parse(SERVER)))
        assert wiring.proxies(config) == {proxy.address}
    assert wiring.proxies(Config()) == set()


async def test_a_lookup_has_a_share_of_the_timeout() -> None:
    """If a name server does not respond to queries for IPv6, there is still time to connect over IPv4."""
    async with federation_of_one() as federation:
        federation.dns.zone.fail(SERVER, "AAAA", drop)
        config = Config(probe=ProbeSettings(timeout=6), network=network_of(federation))
        assert verdict.federates(await wiring.build_prober(config).probe(parse(SERVER)))


def test_server_lists_are_built_from_the_configuration() -> None:
    """URLs come before Synapse homeservers. All have the same limit."""
    url, synapse = (
        ServerUrl("https://example.org/list"),
        SynapseDestinations("https://matrix.example.org", Path("token")),
    )
    other = ServerUrl("https://example.org/other")
    groups = (Group(server_urls=(url,), synapse_destinations=(synapse,)), Group("others", server_urls=(other,)))
    config = Config(groups, lists=ListSettings(max_servers=5))
    assert wiring.build_server_lists(config) == (HttpSdList(url, 5), HttpSdList(other, 5), SynapseList(synapse, 5))
