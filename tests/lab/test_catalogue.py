from collections import Counter
from ipaddress import ip_address, ip_network

from exporter.model.names import parse
from tests.lab.catalogue import WITH_BOTH_WAYS

DOCUMENTATION = [ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]


def test_names_and_addresses_are_unique_and_reserved() -> None:
    """They are reserved for tests and documentation, and no two servers share a name or an address."""
    addresses = Counter(
        ip for server in WITH_BOTH_WAYS for ip in {address.rpartition(":")[0] for address in server.addresses()}
    )
    assert all(any(ip_address(ip.strip("[]")) in net for net in DOCUMENTATION) for ip in addresses)
    assert {ip for ip, count in addresses.items() if count > 1} == set()
    names = [parse(server.server_name) for server in WITH_BOTH_WAYS]
    assert len(set(names)) == len(names)
    assert all(name.ip or name.host.endswith(".lab.test") for name in names)
