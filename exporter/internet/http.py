"""HTTP/1.1 requests over one TLS stream, parsed by h11. Nothing is decompressed, everything is bounded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import h11
from h11 import _abnf, _readers

from exporter import USER_AGENT
from exporter.internet.tls import TlsStream
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import ClosedEarlyError, TooLargeError

MAX_HEADER_BYTES = 16 * 1024  # the default of h11; some 4000 headers, which take 1.5 MB of memory
MAX_HEADERS = 100
MAX_INTERIM_RESPONSES = 10
_MAX_FRAMING = 2  # bytes on the way for each byte of a body: chunks may be small, and bear extensions

# The patterns of h11 give back, blank by blank, what they have matched: a line with 60 KB of blanks takes 7 seconds.
# These match the same, but that a chunk extension bears no bare CR or LF, and give nothing back.
_readers.header_field_re = re.compile(_abnf.header_field.replace(f":{_abnf.OWS}", f":{_abnf.OWS}+", 1).encode())
_readers.chunk_header_re = re.compile(_abnf.chunk_header.replace(";.*", r";[^\r\n]*+", 1).encode())


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A GET, or a POST where there is a body, which is JSON."""

    path: str
    host_header: str
    body: bytes | None = None

    def events(self) -> Iterator[h11.Event]:
        yield self._head()
        if self.body is not None:
            yield h11.Data(data=self.body)
        yield h11.EndOfMessage()

    def _head(self) -> h11.Request:
        headers = {
            "Host": self.host_header,
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        if self.body is None:
            return h11.Request(method="GET", target=self.path, headers=list(headers.items()))
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        return h11.Request(method="POST", target=self.path, headers=list(headers.items()))


class HttpExchange:
    def __init__(self, stream: TlsStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER_BYTES)
        self.answered = False
        """Whether anything was received since the latest request began."""
        self._left = 0
        """Bytes that may still be received, whatever they are."""

    def is_reusable(self) -> bool:
        """For another request: the remote keeps the connection, and nothing of an earlier answer is left in it, which
        would be taken for an answer to the next request.
        """
        surplus, _ = self._http.trailing_data
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE and not surplus:
            self._http.start_next_cycle()
        return self._http.our_state is h11.IDLE

    async def ask(self, question: HttpRequest, max_bytes: int) -> HttpResponse:
        """Raises TooLargeError, ClosedEarlyError, h11.RemoteProtocolError, OSError or SSL.Error."""
        self.answered, self._left = False, MAX_HEADER_BYTES + _MAX_FRAMING * max_bytes
        await self._stream.send(b"".join(self._http.send(event) or b"" for event in question.events()))
        answer = await self._head()
        return HttpResponse(answer.status_code, _decode_headers(answer), await self._body(answer, max_bytes))

    async def expect_continue(self, path: str, host_header: str, body_bytes: int) -> int:
        """The status of the first answer, interim or not."""
        headers = {
            "Host": host_header,
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "Content-Length": str(body_bytes),
            "Expect": "100-continue",
        }
        self._left = MAX_HEADER_BYTES
        await self._stream.send(self._http.send(h11.Request(method="PUT", target=path, headers=list(headers.items()))))
        event = await self._next_event()
        if isinstance(event, h11.InformationalResponse | h11.Response):
            return event.status_code
        raise ClosedEarlyError("the connection was closed without an answer")

    async def _head(self) -> h11.Response:
        for _ in range(MAX_INTERIM_RESPONSES + 1):
            event = await self._next_event()
            if isinstance(event, h11.Response):
                if not event.http_version.startswith(b"1."):
                    raise h11.RemoteProtocolError(f"HTTP/{event.http_version.decode()}, which was not asked for")
                if len(event.headers) > MAX_HEADERS:
                    raise TooLargeError(f"{len(event.headers)} headers, at most {MAX_HEADERS} are read")
                return event
        raise h11.RemoteProtocolError(f"no answer after {MAX_INTERIM_RESPONSES} interim ones")

    async def _body(self, answer: h11.Response, max_bytes: int) -> bytes:
        body = bytearray()
        headers = dict(answer.headers)
        # Chunks take precedence (RFC 9112, section 6.3).
        announced = 0 if b"transfer-encoding" in headers else int(headers.get(b"content-length", b"0"))
        while len(body) <= max_bytes and announced <= max_bytes:
            event = await self._next_event()
            if isinstance(event, h11.EndOfMessage):
                return bytes(body)
            if isinstance(event, h11.Data):
                body += event.data
        raise TooLargeError(f"the body has more than {max_bytes} bytes")

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            content = await self._stream.receive()
            if not content and self._http.their_state is h11.SEND_RESPONSE:
                raise ClosedEarlyError("the connection was closed before there was an answer")
            self.answered = self.answered or bool(content)
            self._left -= len(content)
            if self._left < 0:
                raise TooLargeError("the answer goes on and on, headers and framing included")
            self._http.receive_data(content)
        return event


def _decode_headers(answer: h11.Response) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers)
