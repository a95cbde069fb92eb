"""What is said, byte for byte, instead of one of the three answers that a probe asks for."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from dataclasses import dataclass

import h11

from exporter.demo.homeserver import KEYS, VERSION, Homeserver
from exporter.demo.https_server import WELL_KNOWN, delegation, next_event, read_request, render
from exporter.demo.servers import (
    FEDERATION_PORT,
    HEALTHY,
    WELL_KNOWN_PORT,
    LabServer,
    Place,
    RawSite,
    StreamHandler,
    federates,
)
from exporter.model.addresses import host_port
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.hostile.rows import Problems

STAGES = {WELL_KNOWN: Stage.WELL_KNOWN, VERSION: Stage.VERSION, KEYS: Stage.KEYS}
OK = b"HTTP/1.1 200 OK\r\n"
PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class RawResponse:
    """`beginning`, and then `again` and again until the client leaves; None closes the connection instead."""

    beginning: bytes
    again: bytes | None = None
    pause: float = 0.0
    """Seconds after each `again`."""

    async def to(self, writer: StreamWriter) -> None:
        writer.write(self.beginning)
        await writer.drain()
        while self.again is not None:
            writer.write(self.again)
            await writer.drain()
            await asyncio.sleep(self.pause)


def dripping(beginning: bytes, drop: bytes) -> RawResponse:
    return RawResponse(beginning, drop, PAUSE_SECONDS)


def silent_after(beginning: bytes) -> RawResponse:
    return RawResponse(beginning, b"", PAUSE_SECONDS)


def page(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    lines = (b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body), b"", body)
    return b"\r\n".join(lines)


@dataclass(frozen=True, slots=True)
class BadResponse:
    """A row of a table: all is well with the server, but for what is said to who asks for `path`.

    `said` is made of the homeserver and of the body that is the right answer. `reason` is that of the path's stage, and
    None where the specification takes no offence.
    """

    label: str
    shows: str
    path: str
    said: Callable[[Homeserver, bytes], RawResponse]
    reason: Reason | None

    def at(self, ip: str) -> LabServer:
        host = f"{self.label}.hostile.test"
        method = Method.WELL_KNOWN_PORT if self.path == WELL_KNOWN and not self.reason else Method.DEFAULT_8448
        return LabServer(host, self.shows, method, f"{host} A {ip}", self._places(host, ip), self._expected())

    def _places(self, host: str, ip: str) -> dict[str, Place]:
        raw = RawSite(host, self._talk(Homeserver(host)))
        if self.path == WELL_KNOWN:
            return {host_port(ip, WELL_KNOWN_PORT): raw, host_port(ip, FEDERATION_PORT): federates(host)}
        return {host_port(ip, FEDERATION_PORT): raw}

    def _expected(self) -> Problems:
        return frozenset({(STAGES[self.path], self.reason)}) if self.reason else HEALTHY

    def _talk(self, homeserver: Homeserver) -> StreamHandler:
        async def talk(reader: StreamReader, writer: StreamWriter) -> None:
            """One request, so that what was said wrongly ends with the connection."""
            http = h11.Connection(h11.SERVER)
            head = await next_event(http, reader)
            if not isinstance(head, h11.Request):
                return
            request = read_request(head, homeserver.server_name)
            if request.path == self.path:
                await self.said(homeserver, right_body(homeserver, self.path)).to(writer)
            else:
                writer.write(render(http, request, await homeserver.answer(request)))

        return talk


def right_body(homeserver: Homeserver, path: str) -> bytes:
    if path == WELL_KNOWN:
        return delegation(host_port(homeserver.server_name, FEDERATION_PORT)).body
    return homeserver.pages[path]().body
