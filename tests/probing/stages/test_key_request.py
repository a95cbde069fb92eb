"""The stages of one endpoint: how the keys are requested. `test_prober` covers the rest."""

import pytest

from exporter.demo.https_server import Response, redirect
from exporter.model import names
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import Oddity
from exporter.model.findings import HttpShape, SigningKeys
from exporter.model.outcomes import Failed, Outcome, Passed
from exporter.model.reasons import Reason
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import HttpResponse
from exporter.probing.stages import keys
from exporter.probing.stages.key_request import fetch_keys
from tests.addresses import ip_endpoint
from tests.certificates import check_nothing, handshake
from tests.fake_world import FakeNetwork, Reaction, Server, healthy_homeserver, http_response

ADDRESS = "192.0.2.1:8448"
DOCUMENT = healthy_homeserver("example.test", "example.test").pages[keys.PATH]


async def fetch(pages: dict[str, Reaction[HttpResponse]]) -> tuple[Outcome[SigningKeys], HttpShape | None, list[str]]:
    """Return the outcome, the shape of the headers, and the paths requested."""
    network = FakeNetwork(servers={ADDRESS: Server(handshake("example.test"), pages)})
    connection = network.connection(Endpoint(Target("example.test", 8448), ip_endpoint(ADDRESS)[0]))
    await connection.open()
    await connection.start_tls("example.test", check_nothing)
    deadline = Deadline.for_probe(5.0)
    outcome, shape = await fetch_keys(connection, names.parse("example.test"), "example.test", deadline)
    prefix = f"GET {ADDRESS} example.test"
    return outcome, shape, [line.removeprefix(prefix) for line in network.calls if line.startswith(prefix)]


async def test_the_shape_of_the_headers_is_kept() -> None:
    """Homeservers limit them in different ways."""
    assert isinstance(DOCUMENT, HttpResponse)
    outcome, shape, paths = await fetch({keys.PATH: DOCUMENT})
    assert isinstance(outcome, Passed)
    assert (shape, paths) == (DOCUMENT.shape, [keys.PATH])


@pytest.mark.parametrize("location", ["/keys?a=b", "https://example.test/keys?a=b"])
async def test_follows_redirects_on_the_same_host(location: str) -> None:
    """Dendrite and the Conduit family do, Synapse does not."""
    outcome, _, paths = await fetch({keys.PATH: http_response(redirect(location)), "/keys": DOCUMENT})
    assert isinstance(outcome, Passed)
    assert outcome.found.oddities == {Oddity.REDIRECTED}
    assert paths == [keys.PATH, "/keys?a=b"]


@pytest.mark.parametrize(
    "location", ["http://example.test/keys", "https://example.test:8449/keys", "https://other.test/keys"]
)
async def test_does_not_follow_redirects_elsewhere(location: str) -> None:
    """That would be another connection, to an address that nobody has checked."""
    outcome, _, paths = await fetch({keys.PATH: http_response(redirect(location)), "/keys": DOCUMENT})
    assert isinstance(outcome, Failed)
    assert ([problem.reason for problem in outcome.problems], paths) == ([Reason.HTTP_STATUS], [keys.PATH])


async def test_the_number_of_redirects_is_bounded() -> None:
    """A loop ends."""
    outcome, _, paths = await fetch({keys.PATH: http_response(redirect(keys.PATH))})
    assert isinstance(outcome, Failed)
    assert paths == [keys.PATH] * 3


async def test_there_is_no_shape_without_a_response() -> None:
    """The connection may be lost."""
    outcome, shape, _ = await fetch({keys.PATH: ConnectionResetError(104, "reset")})
    assert isinstance(outcome, Failed)
    assert shape is None
    assert (await fetch({keys.PATH: http_response(Response(404))}))[1] is not None
