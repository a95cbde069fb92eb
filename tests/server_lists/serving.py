"""An HTTP server on loopback whose responses a test sets."""

import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from exporter.demo.listener import Listener, streams

Respond: TypeAlias = Callable[[str], bytes]
"""Returns the bytes of the response to a request, by its target, such as `/servers?page=2`."""

UNFINISHED_RESPONSE = b"HTTP/1.1 200 OK\r\n"
"""Nothing follows it until the client closes the connection."""


@dataclass(slots=True)
class ListServer:
    """`respond` may be replaced at any time. `heads` are the request heads as received."""

    respond: Respond
    context: ssl.SSLContext | None = None
    heads: list[str] = field(default_factory=list)
    url: str = ""

    async def handle(self, accepted: socket.socket) -> None:
        async with streams(accepted, self.context) as (reader, writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            response = self.respond(head.split(" ")[1])
            writer.write(response)
            await writer.drain()
            if response == UNFINISHED_RESPONSE:
                await reader.read()

    def header(self, name: str) -> list[str]:
        """Return the values of a header in all requests."""
        lines = (line.partition(": ") for head in self.heads for line in head.splitlines()[1:])
        return [value for key, _, value in lines if key.lower() == name]


@asynccontextmanager
async def serving(
    respond: Respond, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[ListServer]:
    server = ListServer(respond, context)
    listener = Listener(server.handle)
    await listener.start()
    server.url = f"{'https' if context else 'http'}://{host}:{listener.address.rpartition(':')[2]}"
    try:
        yield server
    finally:
        await listener.stop()


def http_response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def json_response(document: object) -> bytes:
    return http_response(json.dumps(document).encode(), "Content-Type: application/json")


def target_groups(*names: str) -> bytes:
    """Return a response in the http_sd format."""
    return json_response([{"targets": names, "labels": {}}])
