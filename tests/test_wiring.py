from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from exporter import wiring
from exporter.config import AddressScope, Config, HostPort, NetworkSettings, ProbeSettings
from exporter.demo.federation import SERVERS, Federation
from exporter.demo.ports import ClosedPort
from exporter.judging import verdict
from exporter.model.enums import Stage
from exporter.model.names import parse
from exporter.model.reasons import Reason
from tests.lab.dns_faults import drop

SERVER = "default-port.lab.test"
NOBODY = HostPort("192.0.2.53", 53)  # a resolver that is never asked


def lab() -> Federation:
    return Federation([server for server in SERVERS if server.server_name == SERVER])


def network_of(federation: Federation) -> NetworkSettings:
    return NetworkSettings(
        resolvers=(place(federation.resolver),),
        ca_file=federation.ca_file,
        connect_to={key: place(value) for key, value in federation.connect_to.items()},
    )


def place(text: str) -> HostPort:
    host, _, port = text.rpartition(":")
    return HostPort(host, int(port))


async def test_a_prober_does_what_the_configuration_says() -> None:
    """Its resolvers, its authority and its redirections: without any of them the lab is out of reach."""
    async with lab() as federation:
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
async def test_only_the_configuration_opens_addresses_that_are_not_public(
    network: NetworkSettings, reason: Reason
) -> None:
    """All of them, or some networks."""
    closed = ClosedPort()
    await closed.start()
    try:
        prober = wiring.build_prober(Config(network=replace(network, resolvers=(NOBODY,))))
        report = await prober.probe(parse(closed.address))
    finally:
        await closed.stop()
    assert [(located.stage, located.problem.reason) for located in verdict.problems(report)] == [(Stage.TCP, reason)]


async def test_a_lookup_takes_its_share_of_the_configured_timeout() -> None:
    """A name server that is silent about IPv6 is given up early enough to dial the IPv4 address."""
    async with lab() as federation:
        federation.dns.zone.fail(SERVER, "AAAA", drop)
        config = Config(probe=ProbeSettings(timeout=2), network=network_of(federation))
        assert verdict.federates(await wiring.build_prober(config).probe(parse(SERVER)))
