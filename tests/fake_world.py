"""A network written as tables, for whole probes in milliseconds. What is in no table does not exist.

`test_network_contract` checks that it behaves like the real network.
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
from exporter.model.enums import IPFamily, SrvService
from exporter.model.findings import SrvRecord
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Addresses, Handshake, HttpResponse
from exporter.probing.network import CertificateCheck, TooLargeError
from exporter.probing.stages import directory, keys, proxy, version, well_known
from tests.certificates import handshake

Value = TypeVar("Value")


class Silence:
    """A response that never comes. `awaited` is set once something waits for it."""

    def __init__(self) -> None:
        self.awaited = asyncio.Event()


SILENCE: Final = Silence()
Reaction: TypeAlias = Value | Exception | Silence
"""What happens: something is returned, something is raised, or nothing ever comes back."""

OPEN_SECONDS, TLS_SECONDS, GET_SECONDS = 0.1, 0.2, 0.4  # what the server takes for each, by the connection's clock


def http_response(answer: Response) -> HttpResponse:
    """Return a response of the embedded federation as it arrives."""
    headers = (*answer.headers, ("Content-Length", str(len(answer.body))))
    return HttpResponse(answer.status, tuple((name.lower(), value) for name, value in headers), answer.body)


ABSENT: Final = http_response(NOT_FOUND)
SIGNED_PATHS: Final = ("/_matrix/federation/v1/event", "/_matrix/federation/v1/send", proxy.JOIN_PATH, directory.PATH)
"""Where a homeserver expects signed requests."""
UNAUTHORIZED: Final = http_response(json_response({"errcode": "M_UNAUTHORIZED", "error": "a sentence"}, 401))


@dataclass(frozen=True, slots=True)
class Server:
    """What listens at an address and port.

    `pages` are by path, or by a path that it begins with. Every other path returns status 404.
    """

    handshake: Reaction[Handshake]
    pages: Mapping[str, Reaction[HttpResponse]] = field(default_factory=dict)
    pages_for_homeservers: Mapping[str, Reaction[HttpResponse]] = field(default_factory=dict)
    """For requests with the User-Agent of a homeserver."""
    finite_field_handshake: Reaction[Handshake] = field(default_factory=lambda: ConnectionResetError(104, "reset"))
    speaks_http2: Reaction[bool | None] = None


class FakeNetwork:
    """Three tables: addresses by host, SRV records by `_service._tcp.host`, servers by `ip:port`.

    `calls` lists everything that was requested from the network, in order.
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
        self.calls: list[str] = []
        self.resolver_is_up = True
        self.families_without_route: set[IPFamily] = set()
        self.chain_cache = ChainCache()
        self.proxy: str | None = None

    async def srv(self, service: SrvService, host: str) -> tuple[SrvRecord, ...]:
        name = f"_{service}._tcp.{host}"
        self.calls.append(f"SRV {name}")
        return await react(self.services.get(name, ()))

    async def addresses(self, host: str, port: int) -> Addresses:
        self.calls.append(f"addresses {host} {port}")
        entry = self.hosts.get(host, Addresses(host, (), exists=False))
        if isinstance(entry, tuple):
            return Addresses(host, tuple(map(ip_address, entry)))
        return await react(entry)

    async def resolver_responds(self) -> bool:
        self.calls.append("resolver")
        return self.resolver_is_up

    def has_route(self, endpoint: Endpoint) -> bool:
        return endpoint.ip_family not in self.families_without_route

    def connection(self, endpoint: Endpoint) -> "FakeConnection":
        return FakeConnection(self, endpoint.address)


class FakeConnection:
    def __init__(self, network: FakeNetwork, address: str) -> None:
        self._calls = network.calls
        self._address = address
        self._listening = network.servers.get(address, ConnectionRefusedError(111, "Connection refused"))
        self._waited = 0.0

    def peer_wait(self) -> float:
        return self._waited

    def turn_wait(self) -> float:
        return 0.0

    async def open(self) -> None:
        self._calls.append(f"open {self._address}")
        self._server = await self._wait_for(self._listening, OPEN_SECONDS)

    async def start_tls(self, tls_name: str, check_other: CertificateCheck) -> Handshake:
        self._calls.append(f"TLS {self._address} {tls_name}")
        return await self._wait_for(self._server.handshake, TLS_SECONDS)

    async def start_finite_field_tls(self, tls_name: str, check_other: CertificateCheck) -> Handshake:
        self._calls.append(f"TLS {self._address} {tls_name} finite-field")
        return await self._wait_for(self._server.finite_field_handshake, TLS_SECONDS)

    async def speaks_http2(self, tls_name: str) -> bool | None:
        self._calls.append(f"TLS {self._address} {tls_name} h2")
        return await self._wait_for(self._server.speaks_http2, TLS_SECONDS)

    def use_plain_http(self) -> None:
        self._calls.append(f"http {self._address}")

    async def get(
        self,
        path: str,
        host_header: str,
        max_bytes: int,
        user_agent: str | None = None,
        authorization: str | None = None,
    ) -> HttpResponse:
        agent = f" as {user_agent}" if user_agent else ""
        agent += " signed" if authorization else ""
        self._calls.append(f"GET {self._address} {host_header}{path}{agent}")
        return await self._respond(path, max_bytes, user_agent)

    async def post(self, path: str, host_header: str, body: bytes, max_bytes: int) -> HttpResponse:
        """Respond as to GET, for any body."""
        self._calls.append(f"POST {self._address} {host_header}{path} {body.decode()}")
        return await self._respond(path, max_bytes)

    async def put(self, path: str, host_header: str, body: bytes, max_bytes: int) -> HttpResponse:
        """Respond as to GET, for any body."""
        self._calls.append(f"PUT {self._address} {host_header}{path} {body.decode()}")
        return await self._respond(path, max_bytes)

    async def _respond(self, path: str, max_bytes: int, user_agent: str | None = None) -> HttpResponse:
        pages = self._server.pages if user_agent is None else self._server.pages_for_homeservers
        response = await self._wait_for(_find_page(pages, path), GET_SECONDS)
        if len(response.body) > max_bytes:
            raise TooLargeError(f"the body has more than {max_bytes} bytes")
        return response

    async def expect_continue(self, path: str, host_header: str, body_bytes: int) -> int:
        self._calls.append(f"PUT {self._address} {host_header}{path}")
        return (await self._wait_for(_find_page(self._server.pages, path), GET_SECONDS)).status

    async def _wait_for(self, reaction: Reaction[Value], seconds: float) -> Value:
        began = time.monotonic()
        try:
            value = await react(reaction)
        except asyncio.CancelledError:
            self._waited += time.monotonic() - began
            raise
        self._waited += seconds
        return value

    def close(self) -> None:
        self._calls.append(f"close {self._address}")


def _find_page(pages: Mapping[str, Reaction[HttpResponse]], path: str) -> Reaction[HttpResponse]:
    """Return the page of the longest path that `path` is or begins with, up to a slash or its query."""
    shorter = (path, path.partition("?")[0], path.rpartition("/")[0])
    return next((pages[each] for each in shorter if each in pages), ABSENT)


async def react(reaction: Reaction[Value]) -> Value:
    while isinstance(reaction, Silence):
        reaction.awaited.set()
        await asyncio.Event().wait()
    if isinstance(reaction, Exception):
        raise reaction
    return reaction


def max_tls_sessions(calls: Sequence[str]) -> int:
    """Return how many connections were past TCP at the same time."""
    in_tls, most = set[str](), 0
    for line in calls:
        step, address, *_ = line.split()
        if step == "TLS":
            in_tls.add(address)
        elif step == "close":
            in_tls.discard(address)
        most = max(most, len(in_tls))
    return most


# ---------------------------------------------------------------- entries of the tables


def delegating_website(host: str, m_server: str) -> Server:
    """Return the web server of `host`, with a valid well-known."""
    return website(host, http_response(delegation_page(m_server)))


def website(host: str, response: Reaction[HttpResponse]) -> Server:
    """Return the web server of `host`, with a response for the well-known."""
    return Server(handshake(host), {well_known.PATH: response})


def healthy_homeserver(server_name: str, tls_name: str) -> Server:
    """Return a homeserver with a version and valid keys, which refuses requests without credentials."""
    homeserver = Homeserver(server_name)
    software = json_response({"server": {"name": "Synapse", "version": "1.163.2"}})
    pages = {
        version.PATH: http_response(software),
        keys.PATH: http_response(homeserver.keys()),
        **dict.fromkeys(SIGNED_PATHS, UNAUTHORIZED),
    }
    return Server(handshake(tls_name), pages)


def srv_record(priority: int, weight: int, port: int, host: str) -> SrvRecord:
    return SrvRecord(priority, weight, Target(host, port))
