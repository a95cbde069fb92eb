"""Responses that are sent byte for byte in place of one of those that a probe and a deep look ask for."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from dataclasses import dataclass

import h11

from exporter.demo.homeserver import KEYS, VERSION, Homeserver
from exporter.demo.https_server import (
    SUPPORT,
    WELL_KNOWN,
    delegation,
    next_event,
    read_request,
    render,
    support,
)
from exporter.demo.servers import FEDERATION_PORT, HEALTHY, WELL_KNOWN_PORT, LabServer, PortFactory, Website, federates
from exporter.model.addresses import host_port
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.hostile.rows import Problems
from tests.lab.ports import StreamHandler, listen_with_tls

OK = b"HTTP/1.1 200 OK\r\n"
_STAGES = {WELL_KNOWN: Stage.WELL_KNOWN, VERSION: Stage.VERSION, KEYS: Stage.KEYS}
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class RawResponse:
    """`beginning`, and then `repeated` until the client leaves; if that is None, the connection is closed instead."""

    beginning: bytes
    repeated: bytes | None = None
    pause: float = 0.0
    """Seconds after each `repeated`."""

    async def send(self, writer: StreamWriter) -> None:
        writer.write(self.beginning)
        await writer.drain()
        while self.repeated is not None:
            writer.write(self.repeated)
            await writer.drain()
            await asyncio.sleep(self.pause)


def dripping(beginning: bytes, drop: bytes) -> RawResponse:
    return RawResponse(beginning, drop, _PAUSE_SECONDS)


def silent_after(beginning: bytes) -> RawResponse:
    return RawResponse(beginning, b"", _PAUSE_SECONDS)


def http_response(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    lines = (b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body), b"", body)
    return b"\r\n".join(lines)


@dataclass(frozen=True, slots=True)
class BadResponse:
    """A row: a server that works, except that it responds to requests for `path` with `response`.

    `response` is made from the homeserver and the correct body. `reason` is that of the path's stage, and None if the
    specification allows the response.
    """

    label: str
    shows: str
    path: str
    response: Callable[[Homeserver, bytes], RawResponse]
    reason: Reason | None

    def at(self, ip: str) -> LabServer:
        host = f"{self.label}.hostile.test"
        method = Method.WELL_KNOWN_PORT if self.path == WELL_KNOWN and not self.reason else Method.DEFAULT_8448
        return LabServer(host, self.shows, method, f"{host} A {ip}", self._ports(host, ip), self._expected())

    def _ports(self, host: str, ip: str) -> dict[str, Website | PortFactory]:
        raw = listen_with_tls(host, self._handler(Homeserver(host)))
        if self.path in (WELL_KNOWN, SUPPORT):
            return {host_port(ip, WELL_KNOWN_PORT): raw, host_port(ip, FEDERATION_PORT): federates(host)}
        return {host_port(ip, FEDERATION_PORT): raw}

    def _expected(self) -> Problems:
        return frozenset({(_STAGES[self.path], self.reason)}) if self.reason else HEALTHY

    def _handler(self, homeserver: Homeserver) -> StreamHandler:
        async def handle(reader: StreamReader, writer: StreamWriter) -> None:
            """Serve one request only, so that a bad response is followed by the end of the connection."""
            http = h11.Connection(h11.SERVER)
            head = await next_event(http, reader)
            if not isinstance(head, h11.Request):
                return
            request = read_request(head, homeserver.server_name)
            if request.path == self.path:
                await self.response(homeserver, _correct_body(homeserver, self.path)).send(writer)
            else:
                writer.write(render(http, request, await homeserver.respond(request)))

        return handle


def _correct_body(homeserver: Homeserver, path: str) -> bytes:
    if path == WELL_KNOWN:
        return delegation(host_port(homeserver.server_name, FEDERATION_PORT)).body
    if path == SUPPORT:
        return support(homeserver.server_name).body
    return homeserver.resources[path]().body
