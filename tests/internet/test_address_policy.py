from collections.abc import AsyncIterator
from contextlib import closing
from ipaddress import ip_address, ip_network

import pytest

from exporter.demo.ports import ClosedPort
from exporter.internet import Internet, IPEndpoint
from exporter.internet.address_policy import AddressPolicy
from exporter.model.addresses import Endpoint, Target
from exporter.probing.evidence import Addresses
from exporter.probing.network import BlockedAddressError
from tests.addresses import ip_endpoint
from tests.policy.table import PERMITTED, REFUSED, Case


@pytest.mark.parametrize("case", [pytest.param(case, id=case.text) for case in PERMITTED])
def test_permits_public_addresses(case: Case) -> None:
    assert AddressPolicy().refusal(case.ip, 8448) is None


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.text}: {case.why}") for case in REFUSED])
def test_refuses_all_other_addresses(case: Case) -> None:
    """An IPv6 address of a transition mechanism is judged by where it leads."""
    assert AddressPolicy().refusal(case.ip, 8448)


@pytest.mark.parametrize(
    ("ip", "permitted"),
    [("10.1.2.3", True), ("fd00::1", True), ("10.2.0.1", False), ("fd01::1", False), ("8.8.8.8", True)],
)
def test_a_network_can_be_allowed(ip: str, *, permitted: bool) -> None:
    policy = AddressPolicy(allowed=(ip_network("10.1.0.0/16"), ip_network("fd00::/64")))
    assert (policy.refusal(ip_address(ip), 8448) is None) is permitted


@pytest.mark.parametrize("network", ["127.0.0.0/8", "10.0.0.0/8", "0.0.0.0/0"])
@pytest.mark.parametrize("ip", ["::ffff:127.0.0.1", "::10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::1"])
def test_an_allowed_ipv4_network_does_not_allow_ipv6_addresses_that_embed_it(network: str, ip: str) -> None:
    """An IPv6 address is another address than the IPv4 address in it."""
    assert AddressPolicy(allowed=[ip_network(network)]).refusal(ip_address(ip), 8448)


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1", "10.0.0.1", "224.0.0.1"])
@pytest.mark.parametrize("port", [25, 8448])
def test_the_policy_any_permits_everything(ip: str, port: int) -> None:
    assert AddressPolicy(public_only=False).refusal(ip_address(ip), port) is None


# ---------------------------------------------------------------- where the policy applies


def endpoint(address: str, host: str = "example.test") -> Endpoint:
    ip, port = ip_endpoint(address)
    return Endpoint(Target(host, port), ip)


@pytest.fixture
async def closed_port() -> AsyncIterator[IPEndpoint]:
    """Yield an endpoint at which nothing listens."""
    port = ClosedPort()
    await port.start()
    yield ip_endpoint(port.address)
    await port.stop()


async def open_connection(internet: Internet, to: Endpoint) -> None:
    with closing(internet.connection(to)) as connection:
        await connection.open()


async def test_no_connection_is_made_to_a_refused_address() -> None:
    with pytest.raises(BlockedAddressError) as caught:
        await open_connection(Internet(timeout=1), endpoint("127.0.0.1:443"))
    assert str(caught.value) == "127.0.0.1 is not a public address, which network.address_policy forbids"


@pytest.mark.parametrize("key", ["192.0.2.1:443", "example.test:443"])
async def test_the_policy_does_not_apply_to_connect_to(key: str, closed_port: IPEndpoint) -> None:
    """The operator may redirect to any address. The port belongs to the key."""
    internet = Internet(timeout=1, connect_to={key: closed_port})
    with pytest.raises(ConnectionRefusedError):
        await open_connection(internet, endpoint("192.0.2.1:443", "EXAMPLE.test"))
    with pytest.raises(BlockedAddressError):
        await open_connection(internet, endpoint("192.0.2.1:8448"))


async def test_a_redirected_host_is_not_looked_up(closed_port: IPEndpoint) -> None:
    redirected = ip_endpoint("192.0.2.9:1")
    internet = Internet(timeout=0.1, resolvers=lambda: [closed_port], connect_to={"example.test:443": redirected})
    assert await internet.addresses("Example.test", 443) == Addresses("Example.test", (redirected[0],))
    assert (await internet.addresses("example.test", 8448)).ips == ()
