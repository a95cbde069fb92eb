"""Hosts, ports and the endpoints that a server name leads to."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

from exporter.model.enums import IPFamily

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network


def host_port(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def ip_family(ip: IPAddress) -> IPFamily:
    return IPFamily.IPV6 if ip.version == 6 else IPFamily.IPV4


@dataclass(frozen=True, slots=True)
class Target:
    """What discovery yields: a port, and a host name or an IP address without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return host_port(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a target."""

    target: Target
    ip: IPAddress
    behind_alias: bool = False
    """The target of an SRV record is an alias (CNAME). RFC 2782 forbids it, and not every peer follows it."""

    @property
    def address(self) -> str:
        """The address to dial, as `ip:port`."""
        return host_port(str(self.ip), self.target.port)

    @property
    def ip_family(self) -> IPFamily:
        return ip_family(self.ip)
