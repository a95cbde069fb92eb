"""HTTP responses."""

from exporter.internet.http import MAX_HEADERS, HttpExchange, HttpRequest
from exporter.internet.tls import TlsStream
from exporter.model.outcomes import Passed
from exporter.probing.attempt import identity
from exporter.probing.evidence import HttpResponse
from exporter.probing.problems import Step
from tests.fuzz.targets.checks import run_attempt

MAX_BODY_BYTES = 2048  # bytes of a body
REQUEST = HttpRequest("/_matrix/federation/v1/version", "example.test")


class FakeStream(TlsStream):
    """Returns the data `times` times, in pieces of `size` bytes, and then the end of the stream."""

    def __init__(self, data: bytes, size: int, times: int) -> None:
        self._remaining = data * times
        self._size = size

    async def send(self, content: bytes) -> None:
        pass

    async def receive(self) -> bytes:
        piece, self._remaining = self._remaining[: self._size], self._remaining[self._size :]
        return piece


def http(data: bytes) -> None:
    """The first byte selects the pieces in which the rest arrives.

    Requests over one connection, and a request with `Expect: 100-continue`, have a bounded response or a reason.
    """
    selector, data = data[:1] or b"\0", data[1:]
    size, times = (1, 7, 4096, 65536)[selector[0] % 4], (1, 1, 1, 40)[selector[0] // 4 % 4]
    exchange = HttpExchange(FakeStream(data, size, times))
    while exchange.is_reusable():
        outcome = run_attempt(Step.HTTP, exchange.request(REQUEST, MAX_BODY_BYTES), identity)
        if not isinstance(outcome, Passed):
            break
        check_bounds(outcome.found)
    expecting = HttpExchange(FakeStream(data, size, times))
    run_attempt(Step.HTTP, expecting.expect_continue("/_matrix/federation/v1/send/1", "example.test", 10), identity)


def check_bounds(response: HttpResponse) -> None:
    assert 200 <= response.status <= 999
    assert len(response.headers) <= MAX_HEADERS
    assert len(response.body) <= MAX_BODY_BYTES
    assert all(name == name.lower() for name, _ in response.headers)
