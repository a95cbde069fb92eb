"""An https server that serves sites by name from tables, which may be changed at any time."""

import asyncio
import json
import math
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import h11

from exporter.demo.authority import empty_context
from exporter.demo.listener import Listener, streams
from exporter.model.names import InvalidServerNameError, parse

WELL_KNOWN = "/.well-known/matrix/server"
_REQUESTS_KEPT = 10_000  # a demo may run for weeks
_READ_BYTES = 65536
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
JSON = ("Content-Type", "application/json")
HTML = ("Content-Type", "text/html; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Request:
    """What arrived, as it was sent."""

    sni: str | None
    method: str
    target: str
    host: str
    user_agent: str
    body: bytearray = field(default_factory=bytearray)
    """As much of it as has arrived."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def site(self) -> str:
        """The host of `Host`, without port and brackets; empty where it makes no sense."""
        try:
            return parse(self.host).host
        except InvalidServerNameError:
            return ""


@dataclass(frozen=True, slots=True)
class Response:
    """Content-Length is added, and what the connection needs."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


Resource: TypeAlias = Response | Callable[[Request], Awaitable[Response]]


def json_response(content: Mapping[str, Any], status: int = 200) -> Response:
    return Response(status, (JSON,), json.dumps(content).encode())


def delegation(m_server: str) -> Response:
    """What a well-known says."""
    return Response(200, (JSON, ("Cache-Control", "max-age=86400")), json.dumps({"m.server": m_server}).encode())


def redirect(location: str, status: int = 302) -> Response:
    return Response(status, (("Location", location),))


NOT_FOUND = Response(404, (HTML,), b"<!doctype html><title>Not Found</title><h1>Not Found</h1>")
_FORBIDDEN = Response(403, (HTML,), b"<!doctype html><title>Forbidden</title><h1>Forbidden</h1>")
_TOO_LARGE = Response(413, (HTML,), b"<!doctype html><title>Content Too Large</title><h1>Content Too Large</h1>")


@dataclass(slots=True)
class Site:
    """What one name serves: pages by path, and `otherwise` for every other path."""

    pages: dict[str, Resource] = field(default_factory=dict)
    otherwise: Resource = NOT_FOUND
    body_limit: float = math.inf
    """Bytes; a request that announces more is refused before its body is sent."""
    methods: frozenset[str] = _METHODS
    """All others are refused, before any body is sent."""

    def refusal(self, request: Request, body_bytes: int) -> Response | None:
        if request.method not in self.methods:
            return _FORBIDDEN
        return _TOO_LARGE if body_bytes > self.body_limit else None


class HttpsServer:
    """One port, any number of sites. Tables, all by host name (an IP address without brackets):

    `certificates` are picked by SNI; the first one is for clients that name none, or one that is not in the table.
    `sites` are picked by `Host`. `requests` are the latest to arrive, `greetings` the SNI of the latest handshakes,
    whatever became of them.
    """

    def __init__(
        self, only: ssl.TLSVersion | None = None, adjust: Callable[[ssl.SSLContext], None] | None = None
    ) -> None:
        """`only`: the one TLS version that is spoken; the certificates' own contexts must speak it too. `adjust` the
        rest of it, but for the certificates.
        """
        self.certificates: dict[str, ssl.SSLContext] = {}
        self.sites: dict[str, Site] = {}
        self.requests: deque[Request] = deque(maxlen=_REQUESTS_KEPT)
        self.greetings: deque[str | None] = deque(maxlen=_REQUESTS_KEPT)
        self._listener = Listener(self._serve)
        self._sni: WeakKeyDictionary[ssl.SSLObject | ssl.SSLSocket, str | None] = WeakKeyDictionary()
        self._greeter = empty_context(only)  # it is the greeter who chooses the version
        self._greeter.sni_callback = self._pick_certificate
        if adjust:
            adjust(self._greeter)

    @property
    def address(self) -> str:
        return self._listener.address

    async def start(self) -> None:
        await self._listener.start()

    async def stop(self) -> None:
        await self._listener.stop()

    def _pick_certificate(self, connection: ssl.SSLObject | ssl.SSLSocket, sni: str | None, _: ssl.SSLContext) -> None:
        self._sni[connection] = sni
        self.greetings.append(sni)
        first = next(iter(self.certificates.values()), self._greeter)
        connection.context = self.certificates.get(sni or "", first)

    async def _serve(self, accepted: socket.socket) -> None:
        async with streams(accepted, self._greeter) as (reader, writer):
            sni = self._sni[writer.get_extra_info("ssl_object")]
            http = h11.Connection(h11.SERVER)
            while isinstance(head := await next_event(http, reader), h11.Request):
                request = read_request(head, sni)
                self.requests.append(request)
                if refused := self._site(request).refusal(request, _announced_bytes(head)):
                    writer.write(render(http, request, refused))
                    return
                if not await _read_body(http, reader, writer, request.body):
                    return
                writer.write(render(http, request, await self._answer(request)))
                await writer.drain()
                if http.our_state is h11.MUST_CLOSE:
                    return
                http.start_next_cycle()

    def _site(self, request: Request) -> Site:
        return self.sites.get(request.site, Site())

    async def _answer(self, request: Request) -> Response:
        site = self._site(request)
        page = site.pages.get(request.path, site.otherwise)
        return page if isinstance(page, Response) else await page(request)


async def next_event(http: h11.Connection, reader: asyncio.StreamReader) -> h11.Event | None:
    """None where the client does not speak HTTP, or will say no more."""
    try:
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await reader.read(_READ_BYTES))
    except h11.RemoteProtocolError:
        return None
    return event if isinstance(event, h11.Event) else None


async def _read_body(
    http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytearray
) -> bool:
    """False where the client left in the middle of it. A client that asks whether to send it is told to go on at once,
    as nginx and Synapse do.
    """
    if http.they_are_waiting_for_100_continue:
        writer.write(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
    while isinstance(event := await next_event(http, reader), h11.Data):
        body += event.data
    return isinstance(event, h11.EndOfMessage)


def _announced_bytes(event: h11.Request) -> int:
    return int(dict(event.headers).get(b"content-length", b"0"))


def read_request(event: h11.Request, sni: str | None) -> Request:
    headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
    return Request(
        sni,
        event.method.decode(),
        event.target.decode(),
        headers.get("host", ""),
        headers.get("user-agent", ""),
    )


def render(http: h11.Connection, request: Request, answer: Response) -> bytes:
    headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
    head = h11.Response(status_code=answer.status, headers=headers, reason=_phrase(answer.status))
    body = b"" if request.method == "HEAD" else answer.body
    events: tuple[h11.Event, ...] = (head, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(http.send(event) or b"" for event in events)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""
