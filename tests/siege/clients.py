"""Clients of the exporter that mean no good, or know no better.

Each goes on until it is cancelled, and counts what it has done. All pause between two deeds, and their process has the
lowest priority: what is measured is the exporter, and not the scheduler of the kernel.
"""

import asyncio
import base64
import secrets
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import httpx

from exporter.config import HostPort
from tests.siege.tls_messages import CLIENT, KeyLog, Sealer, send_flood

PAUSE_SECONDS = 0.05
HURRIED, PATIENT = "0.7", "30"  # seconds of a scrape; the exporter leaves half a second of them for its own answer
TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
_ANSWER_SECONDS = 60.0
_BURSTS = 40  # of KeyUpdates, on one connection
_HALF_HELLO = b"\x16\x03\x01\x02\x00\x01"
_HELD_SECONDS = 2.0
_KEYS, _DIRECTORY = "/_matrix/key/v2/server", "/_matrix/federation/v1/query/directory"
_MANY_PARAMETERS, _MANY_ALIASES, _LARGE_BODY = "a=b," * 2000, "room_alias=%23a&" * 500, bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class Besieged:
    """The exporter, and what the clients know of it."""

    address: HostPort
    peer_address: HostPort
    """Of its listener for other homeservers."""
    ca_file: str
    user: str
    password: str
    slow: tuple[str, ...]
    """Servers that take longer than an impatient client waits."""
    watched: tuple[str, ...]
    """Servers that many clients ask for."""

    def at_peer(self) -> "Besieged":
        """The listener for other homeservers alone, whose certificate is for a name."""
        return replace(self, address=self.peer_address)

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        context.check_hostname = self.address != self.peer_address
        return context

    @property
    def authorization(self) -> str:
        return basic(self.user, self.password)


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


Client: TypeAlias = Callable[[Besieged, str, Counter[str]], Coroutine[Any, Any, None]]
"""Besieges the exporter from an address, and counts what it has done."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many clients, each with an address of its own in `network`, such as 127.1."""

    client: Client
    size: int
    network: str
    at_peer: bool = False
    """Whether they besiege the listener for other homeservers."""

    def addresses(self) -> Iterator[str]:
        return (f"{self.network}.{number // 250}.{number % 250 + 1}" for number in range(self.size))


@asynccontextmanager
async def http_client(besieged: Besieged, address: str, authorization: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """Requests from `address`, with the right password unless another one is given."""
    transport = httpx.AsyncHTTPTransport(verify=besieged.context(), local_address=address, trust_env=False)
    headers = {"Authorization": authorization or besieged.authorization}
    url = f"https://{besieged.address}"
    async with httpx.AsyncClient(base_url=url, transport=transport, timeout=_ANSWER_SECONDS, headers=headers) as client:
        yield client


async def _ask(client: httpx.AsyncClient, done: Counter[str], path: str, method: str = "GET", **options: Any) -> None:
    with suppress(httpx.HTTPError):
        response = await client.request(method, path, **options)
        done[f"status {response.status_code}"] += 1
    await asyncio.sleep(PAUSE_SECONDS)


# ---------------------------------------------------------------- with the right password


async def probe_impatiently(besieged: Besieged, address: str, done: Counter[str]) -> None:
    async with http_client(besieged, address) as client:
        for name in cycle(besieged.slow):
            await _ask(client, done, f"/probe?target={name}", headers={TIMEOUT_HEADER: HURRIED})


async def probe_without_end(besieged: Besieged, address: str, done: Counter[str]) -> None:
    async with http_client(besieged, address) as client:
        for name in cycle(besieged.watched):
            await _ask(client, done, f"/probe?target={name}", headers={TIMEOUT_HEADER: PATIENT})
            await _ask(client, done, f"/api/federation-ok?server_name={name}&fresh=true")


async def reload_without_end(besieged: Besieged, address: str, done: Counter[str]) -> None:
    async with http_client(besieged, address) as client:
        while True:
            await _ask(client, done, "/-/reload", "POST")


# ---------------------------------------------------------------- without one


async def guess_passwords(besieged: Besieged, address: str, done: Counter[str]) -> None:
    async with http_client(besieged, address) as client:
        while True:
            await _ask(client, done, "/metrics", headers={"Authorization": basic(besieged.user, secrets.token_hex())})


async def update_keys(besieged: Besieged, address: str, done: Counter[str]) -> None:
    """Connect, and send nothing but KeyUpdates until the exporter closes the connection."""
    with TemporaryDirectory(prefix="siege-") as folder:
        while True:
            context = besieged.context()
            key_log = KeyLog(context, Path(folder))
            with suppress(OSError):
                _, writer = await asyncio.open_connection(*besieged.address, ssl=context, local_addr=(address, 0))
                cipher, *_ = writer.get_extra_info("cipher")
                sealer = key_log.sealer(cipher, CLIENT)
                done["KeyUpdates"] += await send_flood(writer, sealer, Sealer.key_update, _BURSTS)
                writer.transport.abort()
            await asyncio.sleep(PAUSE_SECONDS)


async def connect_without_end(besieged: Besieged, address: str, done: Counter[str]) -> None:
    """Connect, and stop in the middle of the handshake."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(*besieged.address, local_addr=(address, 0))
            writer.write(_HALF_HELLO)
            asyncio.get_running_loop().call_later(_HELD_SECONDS, writer.transport.abort)
            done["connections"] += 1
        await asyncio.sleep(PAUSE_SECONDS)


# ---------------------------------------------------------------- as other homeservers, which nobody made come


async def come_unprovoked(besieged: Besieged, address: str, done: Counter[str]) -> None:
    """Ask for what every homeserver has, for what only a look knows, and for what the exporter has not."""
    async with http_client(besieged, address) as client:
        while True:
            name = secrets.token_hex()
            stranger = {"Authorization": f'X-Matrix origin="{name}",destination="{name}",key="ed25519:1",sig="{name}"'}
            await _ask(client, done, _KEYS)
            await _ask(client, done, _KEYS, headers=stranger)
            await _ask(client, done, _KEYS, headers={"Authorization": f"X-Matrix {_MANY_PARAMETERS}"})
            await _ask(client, done, f"{_DIRECTORY}?room_alias=%23{name}:{name}", headers=stranger)
            await _ask(client, done, f"{_DIRECTORY}?{_MANY_ALIASES}")
            await _ask(client, done, f"/_matrix/federation/v1/send/{name}", "PUT", content=_LARGE_BODY)
            await _ask(client, done, "/metrics")


async def besiege_peer_listener(besieged: Besieged, address: str, done: Counter[str]) -> None:
    """Do all this at once."""
    await asyncio.gather(
        *(client(besieged, address, done) for client in (come_unprovoked, update_keys, connect_without_end))
    )
