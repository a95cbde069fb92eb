"""Hosts, ports and endpoints as text."""

from ipaddress import ip_address

import pytest

from exporter.model.addresses import Endpoint, Target, host_port
from exporter.model.enums import IPFamily


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("example.test", "example.test:8448"),
        ("192.0.2.1", "192.0.2.1:8448"),
        ("2001:db8::1", "[2001:db8::1]:8448"),
    ],
)
def test_only_ipv6_addresses_get_brackets(host: str, text: str) -> None:
    """A target is written the same way."""
    assert host_port(host, 8448) == text
    assert str(Target(host, 8448)) == text


@pytest.mark.parametrize(
    ("ip", "address", "ip_family"),
    [
        ("192.0.2.1", "192.0.2.1:8448", IPFamily.IPV4),
        ("2001:db8::1", "[2001:db8::1]:8448", IPFamily.IPV6),
    ],
)
def test_an_endpoint_has_an_address_and_a_family(ip: str, address: str, ip_family: IPFamily) -> None:
    """The address is the one to dial, with the port of the target."""
    endpoint = Endpoint(Target("example.test", 8448), ip_address(ip))
    assert (endpoint.address, endpoint.ip_family) == (address, ip_family)
