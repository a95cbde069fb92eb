"""The bytes of HTTP answers."""

from exporter.internet.http import MAX_HEADERS, HttpExchange, HttpRequest
from exporter.internet.tls import TlsStream
from exporter.model.outcomes import Passed
from exporter.probing.attempt import identity
from exporter.probing.evidence import HttpResponse
from exporter.probing.problems import Step
from tests.fuzz.targets.judging import attempted

AT_MOST = 2048  # bytes of a body
QUESTION = HttpRequest("/_matrix/federation/v1/version", "example.test")


class Remote(TlsStream):
    """Sends what is written, in pieces of `size`, as often as it is told to, and hangs up."""

    def __init__(self, written: bytes, size: int, times: int) -> None:
        self._left = written * times
        self._size = size

    async def send(self, content: bytes) -> None:
        pass

    async def receive(self) -> bytes:
        piece, self._left = self._left[: self._size], self._left[self._size :]
        return piece


def http(written: bytes) -> None:
    """The first byte says how it comes, the rest comes. Two questions over one connection, and the announcement of a
    third: bounded answers, or a reason.
    """
    how, written = written[:1] or b"\0", written[1:]
    size, times = (1, 7, 4096, 65536)[how[0] % 4], (1, 1, 1, 40)[how[0] // 4 % 4]
    exchange = HttpExchange(Remote(written, size, times))
    while exchange.is_reusable():
        outcome = attempted(Step.HTTP, exchange.request(QUESTION, AT_MOST), identity)
        if not isinstance(outcome, Passed):
            break
        is_bounded(outcome.found)
    announced = HttpExchange(Remote(written, size, times))
    attempted(Step.HTTP, announced.expect_continue("/_matrix/federation/v1/send/1", "example.test", 10), identity)


def is_bounded(answer: HttpResponse) -> None:
    assert 200 <= answer.status <= 999
    assert len(answer.headers) <= MAX_HEADERS
    assert len(answer.body) <= AT_MOST
    assert all(name == name.lower() for name, _ in answer.headers)
