"""An http server on loopback that answers with what a test tells it to, whatever it is asked."""

import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from exporter.demo.listener import Listener, streams

Answers: TypeAlias = Callable[[str], bytes]
"""From the target of a request, such as `/servers?page=2`."""


SILENCE = b"HTTP/1.1 200 OK\r\n"
"""Is followed by nothing, until the client goes."""


@dataclass(slots=True)
class ListServer:
    """`answers` may be replaced at any time; `heads` are the requests as they were received."""

    answers: Answers
    context: ssl.SSLContext | None = None
    heads: list[str] = field(default_factory=list)
    url: str = ""

    async def answer(self, accepted: socket.socket) -> None:
        async with streams(accepted, self.context) as (reader, writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            said = self.answers(head.split(" ")[1])
            writer.write(said)
            await writer.drain()
            if said == SILENCE:
                await reader.read()

    def header(self, name: str) -> list[str]:
        """Its values in all requests."""
        lines = (line.partition(": ") for head in self.heads for line in head.splitlines()[1:])
        return [value for key, _, value in lines if key.lower() == name]


@asynccontextmanager
async def serving(
    answers: Answers, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[ListServer]:
    server = ListServer(answers, context)
    listener = Listener(server.answer)
    await listener.start()
    server.url = f"{'https' if context else 'http'}://{host}:{listener.address.rpartition(':')[2]}"
    try:
        yield server
    finally:
        await listener.stop()


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def ok(document: object) -> bytes:
    return answer(json.dumps(document).encode(), "Content-Type: application/json")


def groups(*names: str) -> bytes:
    """In http_sd's format."""
    return ok([{"targets": names, "labels": {"team": "chat"}}])
