from collections.abc import AsyncIterator
from contextlib import closing
from ipaddress import ip_address, ip_network

import pytest

from exporter.internet import Internet, Place
from exporter.internet.address_policy import AddressPolicy
from exporter.lab.faults import ClosedPort
from exporter.model import Endpoint, Target
from exporter.network import Addresses, BlockedAddressError
from tests.places import place

PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.1",
    "192.167.255.255",
    "100.63.255.255",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "2a00::1",
    "64:ff9b::8.8.8.8",
)

REFUSED = {
    "this network": ("0.0.0.0", "0.1.2.3"),
    "private": ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"),
    "shared by carriers": ("100.64.0.1", "100.127.255.255"),
    "loopback": ("127.0.0.1", "127.255.0.1", "::1"),
    "link-local": ("169.254.169.254", "fe80::1"),
    "documentation": ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"),
    "benchmarks": ("198.18.0.1", "198.19.255.255"),
    "multicast": ("224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"),
    "reserved": ("240.0.0.1", "255.255.255.255"),
    "unspecified": ("::",),
    "site-local": ("fec0::1",),
    "discarded": ("100::1",),
    "IPv4 in IPv6": ("::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254"),
    "NAT64": ("64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::8.8.8.8"),
    "6to4": ("2002:a00:1::1", "2002:7f00:1::1", "2002:c0a8:101::1"),
    "Teredo": ("2001:0:a00:1::1", "2001:0:808:808:0:0:80ff:fffe", "2001:0:808:808:0:0:f7f7:f7f7"),
}


@pytest.mark.parametrize("ip", PUBLIC)
def test_permits_public_addresses(ip: str) -> None:
    assert AddressPolicy().permits(ip_address(ip))


@pytest.mark.parametrize("ip", [pytest.param(ip, id=f"{kind}: {ip}") for kind, ips in REFUSED.items() for ip in ips])
def test_refuses_all_others(ip: str) -> None:
    """However they are written: what an IPv6 address leads to by a transition mechanism counts."""
    assert not AddressPolicy().permits(ip_address(ip))


@pytest.mark.parametrize(
    ("ip", "permitted"),
    [("10.1.2.3", True), ("fd00::1", True), ("10.2.0.1", False), ("fd01::1", False), ("8.8.8.8", True)],
)
def test_networks_may_be_allowed_all_the_same(ip: str, *, permitted: bool) -> None:
    policy = AddressPolicy(allowed=(ip_network("10.1.0.0/16"), ip_network("fd00::/64")))
    assert policy.permits(ip_address(ip)) is permitted


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1", "10.0.0.1", "224.0.0.1"])
def test_any_permits_any(ip: str) -> None:
    assert AddressPolicy(public_only=False).permits(ip_address(ip))


# ---------------------------------------------------------------- where it is asked


def endpoint(address: str, host: str = "example.test") -> Endpoint:
    ip, port = place(address)
    return Endpoint(Target(host, port), ip)


@pytest.fixture
async def nobody() -> AsyncIterator[Place]:
    """Where nobody listens."""
    port = ClosedPort()
    await port.start()
    yield place(port.address)
    await port.stop()


async def opened(internet: Internet, at: Endpoint) -> None:
    with closing(internet.connection(at)) as connection:
        await connection.open()


async def test_no_connection_is_made_to_a_refused_address() -> None:
    with pytest.raises(BlockedAddressError) as caught:
        await opened(Internet(timeout=1), endpoint("127.0.0.1:443"))
    assert str(caught.value) == "127.0.0.1 is not a public address, and network.address_policy allows no other"


@pytest.mark.parametrize("key", ["192.0.2.1:443", "example.test:443"])
async def test_the_word_of_the_operator_is_not_questioned(key: str, nobody: Place) -> None:
    """A place that `connect_to` names may be anywhere; the port belongs to the key."""
    internet = Internet(timeout=1, connect_to={key: nobody})
    with pytest.raises(ConnectionRefusedError):
        await opened(internet, endpoint("192.0.2.1:443", "EXAMPLE.test"))
    with pytest.raises(BlockedAddressError):
        await opened(internet, endpoint("192.0.2.1:8448"))


async def test_a_redirected_host_is_not_looked_up(nobody: Place) -> None:
    elsewhere = place("192.0.2.9:1")
    internet = Internet(timeout=0.1, resolvers=[nobody], connect_to={"example.test:443": elsewhere})
    assert await internet.addresses("Example.test", 443) == Addresses("Example.test", (elsewhere[0],))
    assert (await internet.addresses("example.test", 8448)).ips == ()
