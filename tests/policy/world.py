"""A hostile world: names that lead anywhere, a web server that delegates and redirects anywhere, and a trap on every
address of this machine.
"""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from exporter.demo.authority import Authority
from exporter.demo.dns_server import DnsServer
from exporter.demo.https_server import WELL_KNOWN, HttpsServer, Response, Site
from exporter.demo.ports import ClosedPort
from exporter.model.addresses import IPAddress
from tests.addresses import ip_endpoint

DOMAIN = "policy.test"
WEBSITE_IP = "192.0.2.77"  # `connect_to` redirects it: port 443 to the web server, and port 8448 to a closed port


class Trap:
    """A port that listens on every address of this machine, of both families, and accepts no connection."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.port: int = listening.getsockname()[1]

    def count_connections(self) -> int:
        """Return the number of connections since the last call."""
        for number in count():
            try:
                self._listening.accept()[0].close()
            except BlockingIOError:
                return number
        raise AssertionError


@contextmanager
def trap() -> Iterator[Trap]:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024) as listening:
        listening.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
        yield Trap(listening)


@dataclass(slots=True)
class World:
    dns: DnsServer
    website: HttpsServer
    closed: ClosedPort
    trap: Trap
    authority: Authority
    _numbers: Iterator[int] = field(default_factory=count)

    def new_name(self) -> str:
        """Return a name that has no records yet."""
        return f"a{next(self._numbers)}.{DOMAIN}"

    def name_with_address(self, ip: IPAddress) -> str:
        name = self.new_name()
        self.dns.zone.put(name, "A" if ip.version == 4 else "AAAA", str(ip))
        return name

    def alias_of(self, target: str) -> str:
        name = self.new_name()
        self.dns.zone.put(name, "CNAME", f"{target}.")
        return name

    def name_with_srv(self, target: str, port: int) -> str:
        """The target may be any text: a DNS label may contain every byte."""
        name, labels = self.new_name(), [label for label in target.split(".") if label]
        escaped = ".".join("".join(f"\\{byte:03}" for byte in label.encode()) for label in labels)
        self.dns.zone.put(f"_matrix-fed._tcp.{name}", "SRV", f"10 5 {port} {escaped}.")
        return name

    def name_with_well_known(self, response: Response) -> str:
        name = self.new_name()
        self.dns.zone.put(name, "A", WEBSITE_IP)
        self.website.sites[name] = Site({WELL_KNOWN: response})
        return name

    def allowed_addresses(self) -> set[tuple[str, int]]:
        """Return where the exporter may connect to."""
        addresses = self.dns.address, self.website.address, self.closed.address
        return {(str(ip), port) for ip, port in map(ip_endpoint, addresses)}

    def network(self, **changes: object) -> dict[str, Any]:
        """Return the section `network` of the configuration, with the default policy.

        The exporter takes it that every address has a route, whether this machine has one or not.
        """
        return {
            "ip_families": ["ipv4", "ipv6"],
            "resolvers": [self.dns.address],
            "ca_file": str(self.authority.ca_file),
            "connect_to": {f"{WEBSITE_IP}:443": self.website.address, f"{WEBSITE_IP}:8448": self.closed.address},
            **changes,
        }


@asynccontextmanager
async def hostile_world(folder: Path) -> AsyncIterator[World]:
    dns, website, closed, authority = DnsServer(), HttpsServer(), ClosedPort(), Authority(folder)
    website.certificates[DOMAIN] = authority.issue([f"*.{DOMAIN}"]).server_context()
    async with AsyncExitStack() as stack:
        listening_trap = stack.enter_context(trap())
        for part in (dns, website, closed):
            await part.start()
            stack.push_async_callback(part.stop)
        yield World(dns, website, closed, listening_trap, authority)
