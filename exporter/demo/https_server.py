"""An https server that serves sites by name from tables, which may be changed at any time."""

import asyncio
import json
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
SUPPORT = "/.well-known/matrix/support"
JSON = ("Content-Type", "application/json")
HTML = ("Content-Type", "text/html; charset=utf-8")
_REQUESTS_KEPT = 10_000  # a demo may run for weeks
_READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was received."""

    sni: str | None
    method: str
    target: str
    host: str
    user_agent: str
    body: bytearray = field(default_factory=bytearray)
    """The part of the body that has arrived so far."""
    authorization: str | None = None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def site(self) -> str:
        """The host of `Host`, without port and brackets; empty if `Host` is malformed."""
        try:
            return parse(self.host).host
        except InvalidServerNameError:
            return ""


@dataclass(frozen=True, slots=True)
class Response:
    """A response; the server adds Content-Length and what the connection needs."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


RequestHandler: TypeAlias = Callable[[Request], Awaitable[Response]]
Resource: TypeAlias = Response | RequestHandler
"""What a path leads to: the same response to every request, or a function that makes one."""


def json_response(content: Mapping[str, Any], status: int = 200) -> Response:
    return Response(status, (JSON,), json.dumps(content).encode())


def delegation(m_server: str) -> Response:
    """Return the response of a well-known that delegates to `m_server`."""
    return Response(200, (JSON, ("Cache-Control", "max-age=86400")), json.dumps({"m.server": m_server}).encode())


def support(host: str) -> Response:
    """Return the response that says whom to contact about the servers of `host`."""
    contact = {"role": "m.role.admin", "matrix_id": f"@admin:{host}", "email_address": f"admin@{host}"}
    return json_response({"contacts": [contact], "support_page": f"https://{host}/support"})


def redirect(location: str, status: int = 302) -> Response:
    return Response(status, (("Location", location),))


WELCOME = Response(200, (HTML,), b"<!doctype html><title>Welcome</title><h1>Welcome</h1>")
NOT_FOUND = Response(404, (HTML,), b"<!doctype html><title>Not Found</title><h1>Not Found</h1>")

Refusal: TypeAlias = Callable[[Request, int], Response | None]
"""Decides before the body is read whether to refuse a request; the number is the Content-Length."""


def _accept_all(*_: object) -> None:
    """Refuse no request."""


@dataclass(slots=True)
class Site:
    """What one host name serves: resources by path, and `fallback` for every other path."""

    resources: dict[str, Resource] = field(default_factory=dict)
    fallback: Resource = NOT_FOUND
    refuse: Refusal = _accept_all


class HttpsServer:
    """One port with any number of sites, in tables by host name (an IP address without brackets).

    `certificates` are chosen by SNI; the first one is for clients that send no name, or a name that is not in the
    table. `sites` are chosen by `Host`. `requests` are the latest requests, and `handshakes` the SNI of the latest
    handshakes, including those that failed.
    """

    def __init__(self, configure_tls: Callable[[ssl.SSLContext], None] | None = None) -> None:
        """`configure_tls` changes the context of the handshake, which chooses the TLS version; the contexts of the
        certificates must allow that version too.
        """
        self.certificates: dict[str, ssl.SSLContext] = {}
        self.sites: dict[str, Site] = {}
        self.requests: deque[Request] = deque(maxlen=_REQUESTS_KEPT)
        self.handshakes: deque[str | None] = deque(maxlen=_REQUESTS_KEPT)
        self._listener = Listener(self._serve)
        self._sni: WeakKeyDictionary[ssl.SSLObject | ssl.SSLSocket, str | None] = WeakKeyDictionary()
        self._context = empty_context()
        self._context.sni_callback = self._choose_certificate
        if configure_tls:
            configure_tls(self._context)

    @property
    def address(self) -> str:
        return self._listener.address

    async def start(self) -> None:
        await self._listener.start()

    async def stop(self) -> None:
        await self._listener.stop()

    def _choose_certificate(
        self, connection: ssl.SSLObject | ssl.SSLSocket, sni: str | None, _: ssl.SSLContext
    ) -> None:
        self._sni[connection] = sni
        self.handshakes.append(sni)
        first = next(iter(self.certificates.values()), self._context)
        connection.context = self.certificates.get(sni or "", first)

    async def _serve(self, accepted: socket.socket) -> None:
        async with streams(accepted, self._context) as (reader, writer):
            sni = self._sni[writer.get_extra_info("ssl_object")]
            http = h11.Connection(h11.SERVER)
            while isinstance(head := await next_event(http, reader), h11.Request):
                request = read_request(head, sni)
                self.requests.append(request)
                site = self.sites.get(request.site, Site())
                if refused := site.refuse(request, _content_length(head)):
                    writer.write(render(http, request, refused))
                    return
                if not await _read_body(http, reader, writer, request.body):
                    return
                writer.write(render(http, request, await _respond(site, request)))
                await writer.drain()
                if http.our_state is h11.MUST_CLOSE:
                    return
                http.start_next_cycle()


async def _respond(site: Site, request: Request) -> Response:
    resource = site.resources.get(request.path, site.fallback)
    return resource if isinstance(resource, Response) else await resource(request)


async def next_event(http: h11.Connection, reader: asyncio.StreamReader) -> h11.Event | None:
    """Return None if the client does not speak HTTP, or has closed the connection."""
    try:
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await reader.read(_READ_BYTES))
    except h11.RemoteProtocolError:
        return None
    return event if isinstance(event, h11.Event) else None


async def _read_body(
    http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytearray
) -> bool:
    """Return False if the client left before the end of the body.

    A client that sends `Expect: 100-continue` gets `100 Continue` at once, as from nginx and Synapse.
    """
    if http.they_are_waiting_for_100_continue:
        writer.write(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
    while isinstance(event := await next_event(http, reader), h11.Data):
        body += event.data
    return isinstance(event, h11.EndOfMessage)


def _content_length(event: h11.Request) -> int:
    return int(dict(event.headers).get(b"content-length", b"0"))


def read_request(event: h11.Request, sni: str | None) -> Request:
    headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
    return Request(
        sni,
        event.method.decode(),
        event.target.decode(),
        headers.get("host", ""),
        headers.get("user-agent", ""),
        authorization=headers.get("authorization"),
    )


def render(http: h11.Connection, request: Request, response: Response) -> bytes:
    headers = [*response.headers, ("Content-Length", str(len(response.body)))]
    head = h11.Response(status_code=response.status, headers=headers, reason=_reason_phrase(response.status))
    body = b"" if request.method == "HEAD" else response.body
    events: tuple[h11.Event, ...] = (head, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(http.send(event) or b"" for event in events)


def _reason_phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""
