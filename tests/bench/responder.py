"""`python -m tests.bench.responder COUNT [--delay SECONDS] [--algorithm ecdsa|rsa] [--failing expired|refused] ...`:
runs homeservers that need little CPU time, so that one core can run 20,000, and that measure how long they take.

Each is found by a well-known that names it without a port. So a probe looks up both SRV services, which have no
records, and the addresses of both families, of which IPv4 has one. All share one certificate with a wildcard. They
simulate servers that need `--delay` seconds for a response on average, some twice as long as others, so that probes
that start together go on separately. They report how long they really took, in seconds: the
version of their software is the time from the arrival of the request in the kernel until the response is sent, and its
name is the time from the arrival of the ClientHello until the ServerHello is sent.
"""

import argparse
import asyncio
import json
import random
import re
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
DELAY_FACTORS = (2 / 3, 4 / 3)
READ_BYTES = 65536
END_OF_HEAD = b"\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)")
RECEIVE_BUFFER_BYTES = 4 << 20  # hundreds of probes may start at the same time

A_TYPE, SRV_TYPE = 1, 33
HEADER_BYTES = 12
RESPONSE, NXDOMAIN = b"\x81\x80", b"\x81\x83"  # recursion desired and available
A_RECORD = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton(ADDRESS)


# ---------------------------------------------------------------- DNS


class Resolver(asyncio.DatagramProtocol):
    """Answers queries for A with an address, and queries for SRV with NXDOMAIN."""

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, query: bytes, client: Any) -> None:
        self._transport.sendto(answer(query), client)


def answer(query: bytes) -> bytes:
    """Return the answer to a query with one question, without EDNS."""
    end = query.index(b"\0", HEADER_BYTES) + 5
    question, rdtype = query[HEADER_BYTES:end], int.from_bytes(query[end - 4 : end - 2])
    flags = NXDOMAIN if rdtype == SRV_TYPE else RESPONSE
    answers = [A_RECORD] if rdtype == A_TYPE else []
    counts = b"\x00\x01" + len(answers).to_bytes(2) + b"\x00\x00\x00\x00"
    return query[:2] + flags + counts + question + b"".join(answers)


# ---------------------------------------------------------------- TLS and HTTP


class Homeservers:
    """The responses of all homeservers, each sent after `delay` seconds on average."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._keys: dict[str, bytes] = {}

    def next_delay(self) -> float:
        return self._delay * random.uniform(*DELAY_FACTORS)

    def response(self, path: str, host: str, handshake_seconds: float, response_seconds: float) -> bytes:
        if path == VERSION:
            return json_response({"server": {"name": f"{handshake_seconds:.6f}", "version": f"{response_seconds:.6f}"}})
        if path == WELL_KNOWN:
            return json_response({"m.server": host})
        return self._keys_of(host.partition(":")[0]) if path == KEYS else UNAUTHORIZED

    def _keys_of(self, name: str) -> bytes:
        """Return the keys, which are signed once: only the work of the client is measured."""
        if name not in self._keys:
            self._keys[name] = http_response(Homeserver(name).keys().body)
        return self._keys[name]


def http_response(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
    return head % (status, headers, len(body)) + body


def json_response(content: dict[str, Any]) -> bytes:
    return http_response(json.dumps(content).encode())


UNAUTHORIZED = http_response(b'{"errcode": "M_UNAUTHORIZED", "error": "Missing"}', b"401 Unauthorized")
"""The response to all requests of deep looks."""


def is_complete(request: bytes) -> bool:
    """Whether a request has come with its body, or expects a response before it sends that."""
    head, end, body = request.partition(END_OF_HEAD)
    length = CONTENT_LENGTH.search(head)
    return bool(end) and (b"Expect:" in head or len(body) >= int(length[1] if length else 0))


class ServerConnection:
    """One connection, from the ClientHello until the client closes it."""

    def __init__(self, accepted: socket.socket, context: ssl.SSLContext, homeservers: Homeservers) -> None:
        self._socket = accepted
        self._homeservers = homeservers
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._handshake_done = False
        self._handshake_seconds = 0.0
        self._request = b""
        self._loop.add_reader(accepted, self._on_readable)

    def _on_readable(self) -> None:
        try:
            content, ancillary, _, _ = self._socket.recvmsg(READ_BYTES, peer_clock.ANCILLARY_BYTES)
            arrived_at = time.monotonic() - peer_clock.queueing_delay(ancillary)
            if not content:
                raise ConnectionResetError
            self._incoming.write(content)
            self._advance(arrived_at)
        except (OSError, ValueError):  # the client has closed the connection, or violated the protocol
            self._close()

    def _advance(self, arrived_at: float) -> None:
        try:
            if not self._handshake_done:
                self._tls.do_handshake()
                self._handshake_done = True
            self._flush()  # the session tickets
            self._request += self._tls.read(READ_BYTES)
        except ssl.SSLWantReadError:
            self._flush()
            self._handshake_seconds = self._handshake_seconds or time.monotonic() - arrived_at
            return
        if is_complete(self._request):
            request, self._request = self._request.decode(), b""
            self._loop.call_later(self._homeservers.next_delay(), self._respond, request, arrived_at)

    def _respond(self, request: str, arrived_at: float) -> None:
        path, host = request.split(" ", 2)[1], request.partition("Host: ")[2].partition("\r\n")[0]
        try:
            response_seconds = time.monotonic() - arrived_at
            self._tls.write(self._homeservers.response(path, host, self._handshake_seconds, response_seconds))
            self._flush()
        except OSError:  # the client has closed the connection in the meantime
            self._close()

    def _flush(self) -> None:
        if content := self._outgoing.read():
            self._socket.send(content)

    def _close(self) -> None:
        if self._socket.fileno() < 0:  # it was closed before a response was due
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()


def listen(context: ssl.SSLContext, homeservers: Homeservers) -> str:
    """Listen on loopback, and return the address."""
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
        ServerConnection(accepted, context, homeservers)

    asyncio.get_running_loop().add_reader(listening, accept)
    return f"{LOOPBACK}:{listening.getsockname()[1]}"


@contextmanager
def closed_port() -> Iterator[str]:
    """Yield an address at which nothing listens, and that no other process can use."""
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        yield f"{LOOPBACK}:{bound.getsockname()[1]}"


# ---------------------------------------------------------------- the program


async def main(options: argparse.Namespace) -> None:
    with TemporaryDirectory(prefix="bench-") as folder, closed_port() as closed:
        authority = Authority(Path(folder), PUBLIC_CHAINS[options.algorithm])
        resolver = await start_resolver()
        web = listen(context_of(authority, VALID), Homeservers(options.delay))
        expired = listen(context_of(authority, EXPIRED), Homeservers(options.delay))
        homeserver = {None: web, "refused": closed, "expired": expired}[options.failing]
        await serve_until_end_of_input(
            {
                "servers": [f"s{number}.{DOMAIN}" for number in range(1, options.count + 1)],
                "probe": {"interval": options.interval, "timeout": options.timeout},
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


async def start_resolver() -> str:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    sock.bind((LOOPBACK, 0))
    await asyncio.get_running_loop().create_datagram_endpoint(Resolver, sock=sock)
    return f"{LOOPBACK}:{sock.getsockname()[1]}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--interval", default="5m")
    parser.add_argument("--timeout", default="10s")
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--algorithm", choices=PUBLIC_CHAINS, default="ecdsa")
    parser.add_argument("--failing", choices=["expired", "refused"])
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parse_arguments()))
