"""Places on loopback, as the lab names them."""

from ipaddress import ip_address

from exporter.internet import IPEndpoint


def ip_endpoint(address: str) -> IPEndpoint:
    """`ip:port`, with an IPv6 address in brackets."""
    host, _, port = address.rpartition(":")
    return ip_address(host.strip("[]")), int(port)
