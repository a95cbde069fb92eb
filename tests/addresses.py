"""Places on loopback, as the lab names them."""

from ipaddress import ip_address

from exporter.internet import Place


def place(address: str) -> Place:
    """`ip:port`, with an IPv6 address in brackets."""
    host, _, port = address.rpartition(":")
    return ip_address(host.strip("[]")), int(port)
