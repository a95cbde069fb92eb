import time

from exporter.demo.homeserver import VERSION, Homeserver
from exporter.demo.https_server import Request, Response
from tests.lab.slow import slow_down

NAME = "x.lab.test"


async def test_every_response_is_delayed() -> None:
    """The response is that of the homeserver, and comes no earlier than asked for."""
    homeserver, started = Homeserver(NAME), time.perf_counter()
    respond = slow_down(0.02)(homeserver).fallback
    assert not isinstance(respond, Response)
    assert await respond(Request(NAME, "GET", VERSION, NAME, "test")) == homeserver.version()
    assert time.perf_counter() - started >= 0.0195  # timers of event loops may be early by their clock's resolution
