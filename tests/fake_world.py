"""A network written as tables, for whole probes in milliseconds. What stands in no table is not there.

`test_network_contract` holds it to what the real network does.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, TypeAlias, TypeVar

from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import NOT_FOUND, Response, json_response
from exporter.demo.https_server import delegation as delegation_page
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import SrvService
from exporter.model.findings import SrvRecord
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Addresses, Handshake, HttpResponse
from exporter.probing.network import TooLargeError
from exporter.probing.stages import keys, version, well_known
from tests.certificates import handshake

Answered = TypeVar("Answered")


class Silence:
    """Instead of an answer: none ever comes. `met` is set once somebody waits for it."""

    def __init__(self) -> None:
        self.met = asyncio.Event()


SILENCE: Final = Silence()
Reaction: TypeAlias = Answered | Exception | Silence

OPEN_SECONDS, TLS_SECONDS, GET_SECONDS = 0.1, 0.2, 0.4  # what the remote takes for each, by the connection's clock


def received(answer: Response) -> HttpResponse:
    """An answer of the lab, as it arrives."""
    headers = (*answer.headers, ("Content-Length", str(len(answer.body))))
    return HttpResponse(answer.status, tuple((name.lower(), value) for name, value in headers), answer.body)


ABSENT: Final = received(NOT_FOUND)


@dataclass(frozen=True, slots=True)
class Server:
    """What listens at a place; every other path than those of `pages` is answered with 404."""

    handshake: Reaction[Handshake]
    pages: Mapping[str, Reaction[HttpResponse]] = field(default_factory=dict)


class FakeNetwork:
    """Tables: addresses by host, SRV records by `_service._tcp.host`, servers by `ip:port`.

    `asked` is all that was asked of it, in order.
    """

    def __init__(
        self,
        hosts: Mapping[str, tuple[str, ...] | Reaction[Addresses]] | None = None,
        services: Mapping[str, Reaction[tuple[SrvRecord, ...]]] | None = None,
        servers: Mapping[str, Reaction[Server]] | None = None,
    ) -> None:
        self.hosts = dict(hosts or {})
        self.services = dict(services or {})
        self.servers = dict(servers or {})
        self.asked: list[str] = []
        self.resolver_is_up = True
        self.chain_cache = ChainCache()

    async def srv(self, service: SrvService, host: str) -> tuple[SrvRecord, ...]:
        name = f"_{service}._tcp.{host}"
        self.asked.append(f"SRV {name}")
        return await react(self.services.get(name, ()))

    async def addresses(self, host: str, port: int) -> Addresses:
        self.asked.append(f"addresses {host} {port}")
        known = self.hosts.get(host, Addresses(host, (), exists=False))
        if isinstance(known, tuple):
            return Addresses(host, tuple(map(ip_address, known)))
        return await react(known)

    async def resolver_responds(self) -> bool:
        self.asked.append("resolver")
        return self.resolver_is_up

    def connection(self, endpoint: Endpoint) -> "FakeConnection":
        return FakeConnection(self, endpoint.address)


class FakeConnection:
    def __init__(self, network: FakeNetwork, place: str) -> None:
        self._asked = network.asked
        self._place = place
        self._at_place = network.servers.get(place, ConnectionRefusedError(111, "Connection refused"))
        self._waited = 0.0

    def peer_wait(self) -> float:
        return self._waited

    async def open(self) -> None:
        self._asked.append(f"open {self._place}")
        self._server = await self._wait_for(self._at_place, OPEN_SECONDS)

    async def start_tls(self, tls_name: str) -> Handshake:
        self._asked.append(f"TLS {self._place} {tls_name}")
        return await self._wait_for(self._server.handshake, TLS_SECONDS)

    async def get(self, path: str, host_header: str, max_bytes: int) -> HttpResponse:
        self._asked.append(f"GET {self._place} {host_header}{path}")
        return await self._answer(path, max_bytes)

    async def post(self, path: str, host_header: str, body: bytes, max_bytes: int) -> HttpResponse:
        """Whatever the question, the answer is that of the path."""
        self._asked.append(f"POST {self._place} {host_header}{path} {body.decode()}")
        return await self._answer(path, max_bytes)

    async def _answer(self, path: str, max_bytes: int) -> HttpResponse:
        answer = await self._wait_for(self._server.pages.get(path, ABSENT), GET_SECONDS)
        if len(answer.body) > max_bytes:
            raise TooLargeError(f"the body has more than {max_bytes} bytes")
        return answer

    async def expect_continue(self, path: str, host_header: str, body_bytes: int) -> int:
        self._asked.append(f"PUT {self._place} {host_header}{path}")
        return (await self._wait_for(self._server.pages.get(path, ABSENT), GET_SECONDS)).status

    async def _wait_for(self, reaction: Reaction[Answered], seconds: float) -> Answered:
        began = time.monotonic()
        try:
            answer = await react(reaction)
        except asyncio.CancelledError:
            self._waited += time.monotonic() - began
            raise
        self._waited += seconds
        return answer

    def close(self) -> None:
        self._asked.append(f"close {self._place}")


async def react(reaction: Reaction[Answered]) -> Answered:
    while isinstance(reaction, Silence):
        reaction.met.set()
        await asyncio.Event().wait()
    if isinstance(reaction, Exception):
        raise reaction
    return reaction


def most_talks(asked: Sequence[str]) -> int:
    """How many connections were past TCP at a time."""
    talking, most = set[str](), 0
    for line in asked:
        step, place, *_ = line.split()
        if step == "TLS":
            talking.add(place)
        elif step == "close":
            talking.discard(place)
        most = max(most, len(talking))
    return most


# ---------------------------------------------------------------- what stands in the tables


def delegates(host: str, m_server: str) -> Server:
    """The web server at `host`, with a well-known."""
    return website(host, received(delegation_page(m_server)))


def website(host: str, answer: Reaction[HttpResponse]) -> Server:
    """`answer` is that of the well-known."""
    return Server(handshake(host), {well_known.PATH: answer})


def federates(server_name: str, tls_name: str) -> Server:
    """A healthy homeserver."""
    homeserver = Homeserver(server_name)
    software = json_response({"server": {"name": "Synapse", "version": "1.163.2"}})
    return Server(handshake(tls_name), {version.PATH: received(software), keys.PATH: received(homeserver.keys())})


def srv_record(priority: int, weight: int, port: int, host: str) -> SrvRecord:
    return SrvRecord(priority, weight, Target(host, port))
