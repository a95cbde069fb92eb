"""A hostile world: names that lead wherever they like, a web server that delegates and redirects wherever it likes, and
a trap on every address of this machine.
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
WEBSITE = "192.0.2.77"  # `connect_to` leads from here to the web server, and port 8448 to nobody


class Trap:
    """Listens on every address of this machine, of both families, and accepts nothing."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.port: int = listening.getsockname()[1]

    def visits(self) -> int:
        """Since the last time."""
        for visits in count():
            try:
                self._listening.accept()[0].close()
            except BlockingIOError:
                return visits
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
    nobody: ClosedPort
    trap: Trap
    authority: Authority
    _numbers: Iterator[int] = field(default_factory=count)

    def name(self) -> str:
        """A fresh one, of which DNS knows nothing yet."""
        return f"a{next(self._numbers)}.{DOMAIN}"

    def name_at(self, ip: IPAddress) -> str:
        name = self.name()
        self.dns.zone.put(name, "A" if ip.version == 4 else "AAAA", str(ip))
        return name

    def alias_of(self, target: str) -> str:
        name = self.name()
        self.dns.zone.put(name, "CNAME", f"{target}.")
        return name

    def service_at(self, target: str, port: int) -> str:
        """The target may be any text: a label of DNS holds every byte."""
        name, labels = self.name(), [label for label in target.split(".") if label]
        escaped = ".".join("".join(f"\\{byte:03}" for byte in label.encode()) for label in labels)
        self.dns.zone.put(f"_matrix-fed._tcp.{name}", "SRV", f"10 5 {port} {escaped}.")
        return name

    def website_with(self, answer: Response) -> str:
        """Whose well-known is answered so."""
        name = self.name()
        self.dns.zone.put(name, "A", WEBSITE)
        self.website.sites[name] = Site({WELL_KNOWN: answer})
        return name

    def own_places(self) -> set[tuple[str, int]]:
        """Where the exporter may connect to."""
        addresses = self.dns.address, self.website.address, self.nobody.address
        return {(str(ip), port) for ip, port in map(ip_endpoint, addresses)}

    def network(self, **changed: object) -> dict[str, Any]:
        """The section of the configuration, under the policy that is the default."""
        return {
            "resolvers": [self.dns.address],
            "ca_file": str(self.authority.ca_file),
            "connect_to": {f"{WEBSITE}:443": self.website.address, f"{WEBSITE}:8448": self.nobody.address},
            **changed,
        }


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    dns, website, nobody, authority = DnsServer(), HttpsServer(), ClosedPort(), Authority(folder)
    website.certificates[DOMAIN] = authority.issue([f"*.{DOMAIN}"]).server_context()
    async with AsyncExitStack() as stack:
        trapping = stack.enter_context(trap())
        for part in (dns, website, nobody):
            await part.start()
            stack.push_async_callback(part.stop)
        yield World(dns, website, nobody, trapping, authority)
