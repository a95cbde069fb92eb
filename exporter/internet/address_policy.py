"""Which addresses and ports the exporter may connect to, checked after every resolution.

A probed server decides where a probe connects, so it could steer the exporter to any address.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Final

from exporter.model.addresses import IPAddress

# ---------------------------------------------------------------- what is reserved
#
# The addresses are all networks in IANA's special-purpose registries (RFC 6890), as they were in 2025, and everything
# that is not unicast. Those that a registry calls "globally reachable" are no exception: they are the anycast addresses
# of protocols (PCP, TURN, AMT, AS112), and the nearest node answers there, which may be in our own network.
#
# The tables are our own because Python's `ip_address.is_global` follows the registries from release to release, and
# because it is about what routers forward, not about where a probed server may steer the exporter.

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""IANA assigns no other IPv6 addresses. This excludes ::, ::1, IPv4-mapped, IPv4-compatible and IPv4-translated ones,
64:ff9b:1::/48 (RFC 8215), 100::/64 (RFC 6666), 100:0:0:1::/64 (RFC 9780), 5f00::/16 (RFC 9602), fc00::/7 (RFC 4193),
fe80::/10, fec0::/10 (RFC 3879) and ff00::/8 (RFC 4291).
"""

_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052; 64:ff9b:1::/48 is for translators within a network

_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""The upper half of the interface identifier, whatever the prefix is (RFC 5214, section 6.1)."""

_NETWORKS: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network (RFC 791, section 3.2)
            "10.0.0.0/8",  # private use (RFC 1918)
            "100.64.0.0/10",  # shared address space of carriers (RFC 6598)
            "127.0.0.0/8",  # loopback (RFC 1122, section 3.2.1.3)
            "169.254.0.0/16",  # link-local (RFC 3927)
            "172.16.0.0/12",  # private use (RFC 1918)
            "192.0.0.0/24",  # protocol assignments: DS-Lite, PCP, TURN, NAT64 discovery, dummy (RFC 6890)
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.31.196.0/24",  # AS112 (RFC 7535)
            "192.52.193.0/24",  # AMT relays (RFC 7450)
            "192.88.99.0/24",  # 6to4 and 6a44 relays (RFC 7526, RFC 6751)
            "192.168.0.0/16",  # private use (RFC 1918)
            "192.175.48.0/24",  # AS112 (RFC 7534)
            "198.18.0.0/15",  # benchmarking (RFC 2544)
            "198.51.100.0/24",  # documentation (RFC 5737)
            "203.0.113.0/24",  # documentation (RFC 5737)
            "224.0.0.0/4",  # multicast (RFC 1112)
            "240.0.0.0/4",  # reserved and broadcast (RFC 1112, RFC 919)
            "2001::/23",  # protocol assignments: Teredo, PCP, TURN, benchmarking, AMT, AS112, ORCHID, DET (RFC 2928)
            "2001:db8::/32",  # documentation (RFC 3849)
            "2002::/16",  # 6to4 (RFC 3056)
            "2620:4f:8000::/48",  # AS112 (RFC 7534)
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)

PORTS: Final = {
    0: "reserved",
    1: "tcpmux",
    7: "echo",
    9: "discard",
    11: "systat",
    13: "daytime",
    15: "netstat",
    17: "qotd",
    19: "chargen",
    20: "ftp-data",
    21: "ftp",
    22: "ssh",
    23: "telnet",
    25: "smtp",
    37: "time",
    42: "name",
    43: "nicname",
    53: "domain",
    69: "tftp",
    77: "rje",
    79: "finger",
    87: "link",
    95: "supdup",
    101: "hostname",
    102: "iso-tsap",
    103: "gppitnp",
    104: "acr-nema",
    109: "pop2",
    110: "pop3",
    111: "sunrpc",
    113: "auth",
    115: "sftp",
    117: "uucp-path",
    119: "nntp",
    123: "ntp",
    135: "epmap",
    137: "netbios-ns",
    139: "netbios-ssn",
    143: "imap",
    161: "snmp",
    179: "bgp",
    389: "ldap",
    427: "svrloc",
    465: "submissions",
    512: "exec",
    513: "login",
    514: "shell",
    515: "printer",
    526: "tempo",
    530: "courier",
    531: "chat",
    532: "netnews",
    540: "uucp",
    548: "afp",
    554: "rtsp",
    556: "remotefs",
    563: "nntps",
    587: "submission",
    601: "syslog-conn",
    636: "ldaps",
    989: "ftps-data",
    990: "ftps",
    993: "imaps",
    995: "pop3s",
    1719: "h323gatestat",
    1720: "h323hostcall",
    1723: "pptp",
    2049: "nfs",
    3659: "apple-sasl",
    4045: "npp",
    4190: "sieve",
    5060: "sip",
    5061: "sips",
    6000: "x11",
    6379: "redis",
    6566: "sane-port",
    6665: "irc",
    6666: "irc",
    6667: "irc",
    6668: "irc",
    6669: "irc",
    6679: "ircs",
    6697: "ircs-u",
    10080: "amanda",
    11211: "memcached",
}
"""The names of the services that have these ports: the "bad ports" of browsers (WHATWG Fetch, "Port blocking"), and two
services that browsers do not block although they execute any line that they receive as a command: redis and memcached.
"""


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

    There are three kinds of addresses:

    - NAT64: the prefix belongs to the translator, so the IPv4 address embedded in it counts.
    - Other IPv6 addresses: only global unicast is public, and not ISATAP. None of those that embed an IPv4 address
      leads to a place where a homeserver could be.
    - IPv4 addresses, and the IPv6 addresses that are left: public unless they are in a special-purpose network.
    """
    if ip in _NAT64:
        ip = IPv4Address(int(ip) & 0xFFFF_FFFF)
    if ip.version == 6 and (ip not in _GLOBAL_UNICAST or int(ip) >> 32 & 0xFFFF_FFFF in _ISATAP):
        return False
    return not any(ip in network for network in _NETWORKS)
