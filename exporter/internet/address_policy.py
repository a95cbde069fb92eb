"""Which addresses may be connected to, asked after every resolution. A probed server can steer us anywhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from exporter.model import IPAddress

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
NOT_PUBLIC = (
    IPv6Network("64:ff9b:1::/48"),  # NAT64 within a network (RFC 8215)
    IPv6Network("fec0::/10"),  # site-local, as it was called (RFC 3879)
)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """`public_only` refuses everything that is not on the public Internet, but for `allowed`."""

    public_only: bool = True
    allowed: Sequence[IPv4Network | IPv6Network] = ()

    def permits(self, ip: IPAddress) -> bool:
        if not self.public_only or any(ip in network for network in self.allowed):
            return True
        return all(is_public(address) for address in destinations(ip))


def is_public(ip: IPAddress) -> bool:
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or any(ip in network for network in NOT_PUBLIC))


def destinations(ip: IPAddress) -> Iterator[IPAddress]:
    """The address, and the IPv4 address that it leads to by a transition mechanism. The prefix of NAT64 is the
    translator's: there, only the IPv4 address counts. IPv4-mapped and Teredo addresses are no public ones anyway.
    """
    if ip in NAT64:
        yield IPv4Address(int(ip) & 0xFFFFFFFF)
        return
    yield ip
    if isinstance(ip, IPv6Address) and ip.sixtofour:
        yield ip.sixtofour
