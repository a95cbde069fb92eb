import math

import pytest

from exporter.demo.homeserver import KEYS, VERSION, Homeserver
from exporter.demo.https_server import Request, Response
from tests.lab.reverse_proxy import FAULTS, ProxyFault, in_front_of

NAME = "x.lab.test"
ENCODED = "/_matrix/federation/v1/event/%24a%2Fb"
UNKNOWN = "/_matrix/federation/v1/nothing"


async def through(
    fault: ProxyFault | None, target: str, host: str = NAME, homeserver: Homeserver | None = None
) -> Response:
    site = in_front_of((homeserver or Homeserver(NAME)).answer, fault)
    assert not site.pages
    assert not isinstance(site.otherwise, Response)
    return await site.otherwise(Request(NAME, "GET", target, host, "judge"))


async def outcome(fault: ProxyFault | None, target: str, host: str = NAME) -> tuple[int, str]:
    """Status and type of the content."""
    answer = await through(fault, target, host)
    return answer.status, dict(answer.headers)["Content-Type"]


JSON, HTML = "application/json", "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("fault", "target", "host", "found"),
    [
        (None, ENCODED, NAME, (401, JSON)),
        (ProxyFault.DECODES_PATHS, ENCODED, NAME, (404, JSON)),
        (ProxyFault.DECODES_PATHS, "/_matrix/federation/v1/event/%24base", NAME, (401, JSON)),
        (ProxyFault.DECODES_PATHS, "/_matrix/federation/v1/%76ersion", NAME, (200, JSON)),
        (None, UNKNOWN, NAME, (404, JSON)),
        (ProxyFault.CATCHES_ALL, UNKNOWN, NAME, (200, HTML)),
        (ProxyFault.CATCHES_ALL, ENCODED, NAME, (401, JSON)),
        (None, KEYS, f"{NAME}:8448", (200, JSON)),
        (ProxyFault.HOST_WITHOUT_PORT_ONLY, KEYS, f"{NAME}:8448", (404, HTML)),
        (ProxyFault.HOST_WITHOUT_PORT_ONLY, KEYS, NAME, (200, JSON)),
        (ProxyFault.LOSES_CONTENT_TYPE, KEYS, NAME, (200, "text/plain; charset=utf-8")),
    ],
)
async def test_what_passes(fault: ProxyFault | None, target: str, host: str, found: tuple[int, str]) -> None:
    """Each fault is what it is named after, and leaves all else as it is."""
    assert await outcome(fault, target, host) == found


@pytest.mark.parametrize("fault", ProxyFault)
async def test_probes_pass(fault: ProxyFault) -> None:
    """What a probe asks for is there behind every fault: that is what makes them hard to find."""
    homeserver = Homeserver(NAME)
    assert (await through(fault, VERSION, homeserver=homeserver)).body == homeserver.version().body
    assert (await through(fault, KEYS)).status == 200


@pytest.mark.parametrize(("fault", "limit"), [(None, math.inf), (ProxyFault.LIMITS_BODIES, 1 << 20)])
def test_limit_of_bodies(fault: ProxyFault | None, limit: float) -> None:
    """It is kept where bodies are read: see the https server."""
    assert in_front_of(Homeserver(NAME).answer, fault).body_limit == limit


@pytest.mark.parametrize(("fault", "put"), [(None, True), (ProxyFault.READS_ONLY, False)])
def test_methods(fault: ProxyFault | None, *, put: bool) -> None:
    """They are refused before a body is sent."""
    methods = in_front_of(Homeserver(NAME).answer, fault).methods
    assert ("GET" in methods, "PUT" in methods) == (True, put)


def test_every_fault_is_in_the_table() -> None:
    """None is a name only."""
    assert set(FAULTS) == set(ProxyFault)
