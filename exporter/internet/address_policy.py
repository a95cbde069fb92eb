"""Which places may be connected to, asked after every resolution. A probed server can steer us anywhere."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from exporter.internet.special_purpose import GLOBAL_UNICAST, ISATAP, NAT64, NETWORKS, PORTS
from exporter.model.addresses import IPAddress


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """`public_only` refuses everything that is not on the public Internet, but for `allowed`; and, there too, the ports
    of other services, but for `allowed_ports`.
    """

    public_only: bool = True
    allowed: Sequence[IPv4Network | IPv6Network] = ()
    allowed_ports: Collection[int] = ()

    def refusal(self, ip: IPAddress, port: int) -> str | None:
        """Why nobody connects there; none where it is permitted."""
        if not self.public_only:
            return None
        if not (_is_public(ip) or any(ip in network for network in self.allowed)):
            return f"{ip} is not a public address, and network.address_policy allows no other"
        if port in PORTS and port not in self.allowed_ports:
            return f"port {port} is that of another service ({PORTS[port]}), and network.allow_ports does not allow it"
        return None


def _is_public(ip: IPAddress) -> bool:
    """The prefix of NAT64 is that of the translator: there, the IPv4 address behind it counts. No other address that
    holds an IPv4 address leads anywhere that a homeserver could be.
    """
    if ip in NAT64:
        ip = IPv4Address(int(ip) & 0xFFFF_FFFF)
    if ip.version == 6 and (ip not in GLOBAL_UNICAST or int(ip) >> 32 & 0xFFFF_FFFF in ISATAP):
        return False
    return not any(ip in network for network in NETWORKS)
