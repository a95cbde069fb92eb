"""Which addresses and ports the exporter may connect to, checked after every resolution.

A probed server decides where a probe connects, so it could steer the exporter to any address.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from exporter.internet.special_purpose import GLOBAL_UNICAST, ISATAP, NAT64, NETWORKS, PORTS
from exporter.model.addresses import IPAddress


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """The addresses and ports that connections are allowed to.

    With `public_only`, an address must be on the public Internet or in one of the `allowed` networks, and a port must
    not belong to another service unless it is one of the `allowed_ports`. Without it, everything is allowed.
    """

    public_only: bool = True
    allowed: Sequence[IPv4Network | IPv6Network] = ()
    allowed_ports: Collection[int] = ()

    def refusal(self, ip: IPAddress, port: int) -> str | None:
        """Return why a connection there is refused, or None if it is allowed."""
        if not self.public_only:
            return None
        if not (_is_public(ip) or any(ip in network for network in self.allowed)):
            return f"{ip} is not a public address, which network.address_policy forbids"
        if port in PORTS and port not in self.allowed_ports:
            return f"port {port} belongs to another service ({PORTS[port]}), and network.allow_ports does not allow it"
        return None


def _is_public(ip: IPAddress) -> bool:
    """Whether an address is on the public Internet.

    Three kinds of addresses are told apart:

    - NAT64: the prefix belongs to the translator, so the IPv4 address embedded in it counts.
    - Other IPv6 addresses: only global unicast is public, and not ISATAP. None of those that embed an IPv4 address
      leads to a place where a homeserver could be.
    - IPv4 addresses, and the IPv6 addresses that are left: public unless they are in a special-purpose network.
    """
    if ip in NAT64:
        ip = IPv4Address(int(ip) & 0xFFFF_FFFF)
    if ip.version == 6 and (ip not in GLOBAL_UNICAST or int(ip) >> 32 & 0xFFFF_FFFF in ISATAP):
        return False
    return not any(ip in network for network in NETWORKS)
