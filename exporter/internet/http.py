"""HTTP/1.1 requests over one TLS stream, with h11 as the parser.

Responses are not decompressed, and everything in them is bounded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import h11
from h11 import _abnf, _readers

from exporter import USER_AGENT
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import ClosedEarlyError, TooLargeError

MAX_HEADER_BYTES = 64 * 1024  # more than any homeserver reads in one line, and less than all of them read in all
MAX_HEADER_LINES = 200
MAX_INTERIM_RESPONSES = 10
_MAX_BYTES_PER_BODY_BYTE = 2  # on the wire: chunks may be small, and have extensions
MAX_CHUNKS = 500  # of a body: each takes some 10 µs of CPU time, and those of real servers have 2 KiB or more

_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")

# The patterns of h11 backtrack, blank by blank: a line with 60 KB of blanks takes 7 seconds. These match the same lines
# without backtracking, except that a chunk extension may not contain a bare CR or LF.
_readers.header_field_re = re.compile(_abnf.header_field.replace(f":{_abnf.OWS}", f":{_abnf.OWS}+", 1).encode())
_readers.chunk_header_re = re.compile(_abnf.chunk_header.replace(";.*", r";[^\r\n]*+", 1).encode())


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request. The `body`, if there is one, is JSON."""

    path: str
    host_header: str
    body: bytes | None = None
    method: str = "GET"
    user_agent: str = USER_AGENT
    authorization: str | None = None

    def events(self) -> Iterator[h11.Event]:
        """Yield the request as h11 sends it."""
        yield self._head()
        if self.body is not None:
            yield h11.Data(data=self.body)
        yield h11.EndOfMessage()

    def _head(self) -> h11.Request:
        headers = {
            "Host": self.host_header,
            "User-Agent": self.user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        if self.body is not None:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        return h11.Request(method=self.method, target=self.path, headers=list(headers.items()))


class ByteStream(Protocol):
    """What an exchange needs of a connection: a TLS stream, or a TCP stream for plain http."""

    async def send(self, content: bytes) -> None: ...

    async def receive(self) -> bytes:
        """Return some bytes; none at the end of the stream."""


class HttpExchange:
    """The requests and responses on one stream, one after the other."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER_BYTES)
        self.response_begun = False
        """Whether anything has been received since the latest request began."""
        self._bytes_left = 0
        """How many bytes may still be received, whatever they are."""
        self._header_lines = 0
        """How many lines of headers have been received since the latest request began, interim responses included."""

    def is_reusable(self) -> bool:
        """Whether another request can be sent.

        The server must keep the connection, and must have sent nothing after the latest response: it would be taken
        for the response to the next request.
        """
        surplus, _ = self._http.trailing_data
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE and not surplus:
            self._http.start_next_cycle()
        return self._http.our_state is h11.IDLE

    async def request(self, request: HttpRequest, max_bytes: int) -> HttpResponse:
        """Send a request, and return the response, whose body may have `max_bytes` bytes.

        Raises TooLargeError, ClosedEarlyError, h11.RemoteProtocolError, OSError or SSL.Error.
        """
        self._header_lines = 0
        self.response_begun, self._bytes_left = False, MAX_HEADER_BYTES + _MAX_BYTES_PER_BODY_BYTE * max_bytes
        await self._stream.send(b"".join(self._http.send(event) or b"" for event in request.events()))
        head = await self._receive_head()
        body = await self._receive_body(head, max_bytes)
        return HttpResponse(head.status_code, _decode_headers(head), body, head.http_version.decode())

    async def expect_continue(self, path: str, host_header: str, body_bytes: int) -> int:
        """Announce a PUT request with a body, and return the status of the first response, interim or final."""
        headers = {
            "Host": host_header,
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "Content-Length": str(body_bytes),
            "Expect": "100-continue",
        }
        self._header_lines, self._bytes_left = 0, MAX_HEADER_BYTES
        await self._stream.send(self._http.send(h11.Request(method="PUT", target=path, headers=list(headers.items()))))
        event = await self._next_event()
        if isinstance(event, h11.InformationalResponse | h11.Response):
            return event.status_code
        raise ClosedEarlyError("the connection was closed without a response")

    async def connect(self, authority: str, authorization: str | None) -> tuple[h11.Response, bytes]:
        """Send CONNECT, and return the final response, and what was received after it. Raises like `request`.

        After a response of success, the stream is a tunnel. The body of any other response is not received.
        """
        headers = {"Host": authority, "User-Agent": USER_AGENT}
        if authorization is not None:
            headers["Proxy-Authorization"] = authorization
        self._header_lines, self._bytes_left = 0, MAX_HEADER_BYTES
        request = h11.Request(method="CONNECT", target=authority, headers=list(headers.items()))
        await self._stream.send(self._http.send(request))
        self._http.send(h11.EndOfMessage())
        head = await self._receive_head()
        surplus, _ = self._http.trailing_data
        return head, surplus

    async def _receive_head(self) -> h11.Response:
        for _ in range(MAX_INTERIM_RESPONSES + 1):
            event = await self._next_event()
            if isinstance(event, h11.Response):
                if len(event.headers) > MAX_HEADER_LINES:
                    raise TooLargeError(f"{len(event.headers)} header lines, the limit is {MAX_HEADER_LINES}")
                return event
        raise h11.RemoteProtocolError(f"more than {MAX_INTERIM_RESPONSES} interim responses")

    async def _receive_body(self, head: h11.Response, max_bytes: int) -> bytes:
        body = bytearray()
        headers = dict(head.headers)
        # Transfer-Encoding overrides Content-Length (RFC 9112, section 6.3).
        chunks = 0
        announced = 0 if b"transfer-encoding" in headers else int(headers.get(b"content-length", b"0"))
        while len(body) <= max_bytes and announced <= max_bytes:
            event = await self._next_event()
            if isinstance(event, h11.EndOfMessage):
                return bytes(body)
            if isinstance(event, h11.Data):
                body += event.data
                chunks += event.chunk_start
            if chunks > MAX_CHUNKS:
                raise TooLargeError(f"the body has more than {MAX_CHUNKS} chunks")
        raise TooLargeError(f"the body has more than {max_bytes} bytes")

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            received = await self._stream.receive()
            if not received and self._http.their_state is h11.SEND_RESPONSE:
                raise ClosedEarlyError("the connection was closed before a response came")
            self.response_begun = self.response_begun or bool(received)
            self._bytes_left -= len(received)
            if self._bytes_left < 0:
                raise TooLargeError("the response, with its headers and framing, is too large")
            if self._http.their_state is h11.SEND_RESPONSE:
                self._count_header_lines(received)
            self._http.receive_data(received)
        return event

    def _count_header_lines(self, received: bytes) -> None:
        """Refuse very many lines before h11 makes objects of them, which take far more memory than the lines."""
        self._header_lines += _END_OF_HEAD.split(received, maxsplit=1)[0].count(b"\n")
        if self._header_lines > MAX_HEADER_LINES * (MAX_INTERIM_RESPONSES + 1):
            raise TooLargeError(f"far more than {MAX_HEADER_LINES} header lines")


def _decode_headers(head: h11.Response) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
