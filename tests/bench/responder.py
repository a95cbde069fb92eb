"""`python -m tests.bench.responder COUNT [--delay SECONDS] [--algorithm ecdsa|rsa] ...`: homeservers that cost little,
so that a core has room for 20,000 of them, and that know how long they took.

Each is found by a well-known that names it without a port, so that a probe asks for both kinds of SRV records, of which
there are none, and for addresses of both families, of which there is one of IPv4. All share one certificate, with a
wildcard. They stand in for servers that need `--delay` seconds for every answer, and say what it truly took: their
version is the time from when the kernel had the request to when it was handed the answer, and their name that from
when it had the client's greeting to when it was handed the server's, both in seconds.
"""

import argparse
import asyncio
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exporter.demo.authority import EXPIRED, VALID, Authority, CertificateProfile
from exporter.demo.homeserver import KEYS, VERSION, Homeserver
from exporter.demo.https_server import WELL_KNOWN
from exporter.demo.listener import BACKLOG, LOOPBACK
from exporter.internet import peer_clock
from tests.bench.processes import serve_until_end_of_input
from tests.lab.certificates import PUBLIC_CHAINS

DOMAIN = "bench.test"
ADDRESS = "203.0.113.250"
WEB_PORT, FEDERATION_PORT = 443, 8448
READ_BYTES = 65536
END_OF_HEAD = b"\r\n\r\n"
RECEIVE_BUFFER_BYTES = 4 << 20  # hundreds of probes may begin at once

A_TYPE, SRV_TYPE = 1, 33
HEADER_BYTES = 12
RESPONSE, NXDOMAIN = b"\x81\x80", b"\x81\x83"  # recursion desired and available
A_RECORD = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton(ADDRESS)


# ---------------------------------------------------------------- DNS


class Resolver(asyncio.DatagramProtocol):
    """Knows an A record of every name but those of SRV, which do not exist."""

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, query: bytes, client: Any) -> None:
        self._transport.sendto(reply(query), client)


def reply(query: bytes) -> bytes:
    """To one question, without EDNS."""
    end = query.index(b"\0", HEADER_BYTES) + 5
    question, kind = query[HEADER_BYTES:end], int.from_bytes(query[end - 4 : end - 2])
    flags = NXDOMAIN if kind == SRV_TYPE else RESPONSE
    answers = [A_RECORD] if kind == A_TYPE else []
    counts = b"\x00\x01" + len(answers).to_bytes(2) + b"\x00\x00\x00\x00"
    return query[:2] + flags + counts + question + b"".join(answers)


# ---------------------------------------------------------------- TLS and HTTP


class Homeservers:
    def __init__(self, delay: float) -> None:
        self.delay = delay
        self._keys: dict[str, bytes] = {}

    def answer(self, path: str, host: str, greeting: float, took: float) -> bytes:
        if path == VERSION:
            return in_json({"server": {"name": f"{greeting:.6f}", "version": f"{took:.6f}"}})
        if path == WELL_KNOWN:
            return in_json({"m.server": host})
        return self._keys_of(host.partition(":")[0]) if path == KEYS else UNAUTHORIZED

    def _keys_of(self, name: str) -> bytes:
        """Signed once: it is the client's work that is measured."""
        if name not in self._keys:
            self._keys[name] = http(Homeserver(name).keys().body)
        return self._keys[name]


def http(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
    return head % (status, headers, len(body)) + body


def in_json(content: dict[str, Any]) -> bytes:
    return http(json.dumps(content).encode())


UNAUTHORIZED = http(b'{"errcode": "M_UNAUTHORIZED", "error": "Missing"}', b"401 Unauthorized", b"Connection: close\r\n")
"""To all that only deep looks ask for. Bodies are not read, so that nothing can follow them."""


class Conversation:
    """One connection, from the client's greeting to its leaving."""

    def __init__(self, accepted: socket.socket, context: ssl.SSLContext, homeservers: Homeservers) -> None:
        self._socket = accepted
        self._homeservers = homeservers
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaken_hands = False
        self._greeting = 0.0
        self._request = b""
        self._loop.add_reader(accepted, self._readable)

    def _readable(self) -> None:
        try:
            content, ancillary, _, _ = self._socket.recvmsg(READ_BYTES, peer_clock.ANCILLARY_BYTES)
            arrived_at = time.monotonic() - peer_clock.queueing_delay(ancillary)
            if not content:
                raise ConnectionResetError
            self._incoming.write(content)
            self._go_on(arrived_at)
        except (OSError, ValueError):  # the client left, or was never polite
            self._leave()

    def _go_on(self, arrived_at: float) -> None:
        try:
            if not self._shaken_hands:
                self._tls.do_handshake()
                self._shaken_hands = True
            self._flush()  # tickets
            self._request += self._tls.read(READ_BYTES)
        except ssl.SSLWantReadError:
            self._flush()
            self._greeting = self._greeting or time.monotonic() - arrived_at
            return
        if END_OF_HEAD in self._request:
            request, self._request = self._request.decode(), b""
            self._loop.call_later(self._homeservers.delay, self._answer, request, arrived_at)

    def _answer(self, request: str, arrived_at: float) -> None:
        path, host = request.split(" ", 2)[1], request.partition("Host: ")[2].partition("\r\n")[0]
        try:
            self._tls.write(self._homeservers.answer(path, host, self._greeting, time.monotonic() - arrived_at))
            self._flush()
        except OSError:  # the client left in the meantime
            self._leave()

    def _flush(self) -> None:
        if content := self._outgoing.read():
            self._socket.send(content)

    def _leave(self) -> None:
        if self._socket.fileno() < 0:  # an answer was still to come
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()


def listen(context: ssl.SSLContext, homeservers: Homeservers) -> str:
    """Where, on loopback."""
    listening = socket.create_server((LOOPBACK, 0), backlog=BACKLOG)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
    listening.setblocking(False)  # noqa: FBT003 - the name of the method says what is false

    def accept() -> None:
        try:
            accepted, _ = listening.accept()
        except OSError:
            return
        accepted.setblocking(False)  # noqa: FBT003 - as above
        peer_clock.enable_timestamps(accepted)
        Conversation(accepted, context, homeservers)

    asyncio.get_running_loop().add_reader(listening, accept)
    return f"{LOOPBACK}:{listening.getsockname()[1]}"


@contextmanager
def refusing() -> Iterator[str]:
    """A place where nobody listens, and nobody else can."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield f"{LOOPBACK}:{held.getsockname()[1]}"


# ---------------------------------------------------------------- all of it


async def main(chosen: argparse.Namespace) -> None:
    with TemporaryDirectory(prefix="bench-") as folder, refusing() as nowhere:
        authority = Authority(Path(folder), PUBLIC_CHAINS[chosen.algorithm])
        resolver = await listen_for_questions()
        web = listen(context_of(authority, VALID), Homeservers(chosen.delay))
        expired = listen(context_of(authority, EXPIRED), Homeservers(chosen.delay))
        homeserver = {None: web, "refused": nowhere, "expired": expired}[chosen.failing]
        await serve_until_end_of_input(
            {
                "servers": [f"s{number}.{DOMAIN}" for number in range(1, chosen.count + 1)],
                "probe": {"interval": chosen.interval, "timeout": chosen.timeout},
                "network": {
                    "resolvers": [resolver],
                    "ca_file": str(authority.ca_file),
                    "connect_to": {f"{ADDRESS}:{WEB_PORT}": web, f"{ADDRESS}:{FEDERATION_PORT}": homeserver},
                    "address_policy": "any",
                },
            }
        )


def context_of(authority: Authority, state: CertificateProfile) -> ssl.SSLContext:
    return authority.issue([f"*.{DOMAIN}"], state).server_context()


async def listen_for_questions() -> str:
    questions = socket.socket(type=socket.SOCK_DGRAM)
    questions.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    questions.bind((LOOPBACK, 0))
    await asyncio.get_running_loop().create_datagram_endpoint(Resolver, sock=questions)
    return f"{LOOPBACK}:{questions.getsockname()[1]}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--interval", default="5m")
    parser.add_argument("--timeout", default="10s")
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--algorithm", choices=PUBLIC_CHAINS, default="ecdsa")
    parser.add_argument("--failing", choices=["expired", "refused"])
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
