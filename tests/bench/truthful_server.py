"""`python -m tests.bench.truthful_server COUNT DELAY`: homeservers that say how long they truly took for each answer.

They stand in for a server that needs DELAY seconds. On a busy machine they need longer, and only they know how much:
from the moment when the kernel received the request until the answer is handed to it. That is what the version says.
"""

import asyncio
import json
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from exporter.internet import peer_clock
from exporter.lab.authority import Authority
from exporter.lab.homeserver import VERSION, Homeserver
from exporter.lab.listener import Listener
from tests.bench.processes import serve_until_end_of_input

READ_BYTES = 65536
HOST = "truth.lab.test"
FIRST_PORT = 10_000  # names with a port need neither a well-known nor SRV: a probe is one connection

Done = TypeVar("Done")


class StampedTls:
    """The server's side of TLS. `arrived_at` is when the kernel received what was read last, of the monotonic clock."""

    def __init__(self, accepted: socket.socket, context: ssl.SSLContext) -> None:
        peer_clock.ask_for_timestamps(accepted)
        self._socket = accepted
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.arrived_at = 0.0

    async def handshake(self) -> None:
        await self._until_done(self._tls.do_handshake)

    async def request(self) -> bytes:
        """Up to its empty line: what is asked for has no body. Raises OSError when the client leaves."""
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += await self._until_done(lambda: self._tls.read(READ_BYTES))
        return request

    async def send(self, content: bytes) -> None:
        await self._until_done(lambda: self._tls.write(content))

    async def _until_done(self, act: Callable[[], Done]) -> Done:
        loop = asyncio.get_running_loop()
        while True:
            try:
                done = act()
            except ssl.SSLWantReadError:
                await loop.sock_sendall(self._socket, self._outgoing.read())
                await self._receive()
            else:
                await loop.sock_sendall(self._socket, self._outgoing.read())
                return done

    async def _receive(self) -> None:
        while True:
            try:
                content, ancillary, _, _ = self._socket.recvmsg(READ_BYTES, peer_clock.ANCILLARY_BYTES)
            except BlockingIOError:
                await self._readable()
            else:
                break
        self.arrived_at = time.monotonic() - peer_clock.lay_in_the_socket(ancillary)
        if not content:
            raise ConnectionResetError
        self._incoming.write(content)

    async def _readable(self) -> None:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._socket, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._socket)


class TruthfulServer:
    def __init__(self, context: ssl.SSLContext, delay: float) -> None:
        self._context = context
        self._delay = delay
        self._homeservers: dict[str, Homeserver] = {}

    async def serve(self, accepted: socket.socket) -> None:
        stream = StampedTls(accepted, self._context)
        await stream.handshake()
        while True:
            request = (await stream.request()).decode()
            arrived_at = stream.arrived_at
            await asyncio.sleep(self._delay)
            content = self._keys(request)
            if VERSION in request:
                content = json.dumps({"server": {"version": f"{time.monotonic() - arrived_at:.6f}"}}).encode()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))

    def _keys(self, request: str) -> bytes:
        host = request.partition("Host: ")[2].partition("\r\n")[0]
        return self._homeservers.setdefault(host, Homeserver(host)).keys().body


async def main(count: int, delay: float) -> None:
    with TemporaryDirectory(prefix="bench-") as folder:
        authority = Authority(Path(folder))
        listener = Listener(TruthfulServer(authority.issue([HOST]).server_context(), delay).serve)
        await listener.start()
        names = [f"{HOST}:{port}" for port in range(FIRST_PORT, FIRST_PORT + count)]
        network = {"ca_file": str(authority.ca_file), "connect_to": dict.fromkeys(names, listener.address)}
        await serve_until_end_of_input({"servers": names, "network": network})
        await listener.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
