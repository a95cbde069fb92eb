"""IP endpoints, parsed from the addresses of the test servers."""

from ipaddress import ip_address

from exporter.internet import IPEndpoint


def ip_endpoint(address: str) -> IPEndpoint:
    """Parse `ip:port`, with an IPv6 address in brackets."""
    host, _, port = address.rpartition(":")
    return ip_address(host.strip("[]")), int(port)
