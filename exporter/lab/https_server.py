"""An https server that serves sites by name from tables, which may be changed at any time."""

import asyncio
import json
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import h11

from exporter.lab.listener import Listener, streams
from exporter.names import InvalidServerNameError, parse

WELL_KNOWN = "/.well-known/matrix/server"
REQUESTS_KEPT = 10_000  # a demo may run for weeks
READ_BYTES = 65536
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
    body: bytes = b""

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
class Answer:
    """Content-Length is added, and what the connection needs."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


Page: TypeAlias = Answer | Callable[[Request], Awaitable[Answer]]


def json_answer(content: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(status, (JSON,), json.dumps(content).encode())


def delegation(m_server: str) -> Answer:
    """What a well-known says."""
    return Answer(200, (JSON, ("Cache-Control", "max-age=86400")), json.dumps({"m.server": m_server}).encode())


def redirect(location: str, status: int = 302) -> Answer:
    return Answer(status, (("Location", location),))


NOT_FOUND = Answer(404, (HTML,), b"<!doctype html><title>Not Found</title><h1>Not Found</h1>")


@dataclass(slots=True)
class Site:
    """What one name serves: pages by path, and `otherwise` for every other path."""

    pages: dict[str, Page] = field(default_factory=dict)
    otherwise: Page = NOT_FOUND


class HttpsServer:
    """One port, any number of sites. Tables, all by host name (an IP address without brackets):

    `certificates` are picked by SNI; the first one is for clients that name none, or one that is not in the table.
    `sites` are picked by `Host`. `requests` are the latest to arrive, `greetings` the SNI of the latest handshakes,
    whatever became of them.
    """

    def __init__(self) -> None:
        self.certificates: dict[str, ssl.SSLContext] = {}
        self.sites: dict[str, Site] = {}
        self.requests: deque[Request] = deque(maxlen=REQUESTS_KEPT)
        self.greetings: deque[str | None] = deque(maxlen=REQUESTS_KEPT)
        self._listener = Listener(self._serve)
        self._sni: WeakKeyDictionary[ssl.SSLObject | ssl.SSLSocket, str | None] = WeakKeyDictionary()
        self._greeter = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._greeter.sni_callback = self._pick_certificate

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
            while request := await receive(http, reader, sni):
                self.requests.append(request)
                writer.write(rendered(http, request, await self._answer(request)))
                await writer.drain()
                if http.our_state is h11.MUST_CLOSE:
                    return
                http.start_next_cycle()

    async def _answer(self, request: Request) -> Answer:
        site = self.sites.get(request.site, Site())
        page = site.pages.get(request.path, site.otherwise)
        return page if isinstance(page, Answer) else await page(request)


async def receive(http: h11.Connection, reader: asyncio.StreamReader, sni: str | None) -> Request | None:
    """The next request; none where the client has gone, or does not speak HTTP."""
    request = None
    while True:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError:
            return None
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Request):
            request = read_request(event, sni)
        elif isinstance(event, h11.Data) and request:
            request = replace(request, body=request.body + event.data)
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif isinstance(event, h11.ConnectionClosed):
            return None


def read_request(event: h11.Request, sni: str | None) -> Request:
    headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
    return Request(
        sni, event.method.decode(), event.target.decode(), headers.get("host", ""), headers.get("user-agent", "")
    )


def rendered(http: h11.Connection, request: Request, answer: Answer) -> bytes:
    headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
    head = h11.Response(status_code=answer.status, headers=headers, reason=phrase(answer.status))
    body = b"" if request.method == "HEAD" else answer.body
    events: tuple[h11.Event, ...] = (head, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(http.send(event) or b"" for event in events)


def phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""
