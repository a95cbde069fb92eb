"""Which addresses may be connected to, asked after every resolution. A probed server can steer us anywhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from exporter.model import IPAddress

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")  # RFC 8215


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """`public_only` refuses everything that is not on the public Internet, but for `allowed`."""

    public_only: bool = True
    allowed: Sequence[IPv4Network | IPv6Network] = ()

    def permits(self, ip: IPAddress) -> bool:
        if not self.public_only or any(ip in network for network in self.allowed):
            return True
        return all(is_public(address) for address in (ip, *embedded(ip)))


def is_public(ip: IPAddress) -> bool:
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and ip not in NAT64_LOCAL


def embedded(ip: IPAddress) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to, by whichever transition mechanism."""
    if not isinstance(ip, IPv6Address):
        return
    if ip.ipv4_mapped:
        yield ip.ipv4_mapped
    if ip.sixtofour:
        yield ip.sixtofour
    if ip.teredo:
        yield from ip.teredo
    if ip in NAT64:
        yield IPv4Address(int(ip) & 0xFFFFFFFF)
