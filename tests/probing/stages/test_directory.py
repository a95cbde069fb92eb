"""The request for a room alias."""

import pytest

from exporter.demo.https_server import Response, json_response
from exporter.model.addresses import Endpoint, Target
from exporter.model.findings import DirectoryResponse, SigningKeys
from exporter.model.outcomes import SKIPPED, Failed, Outcome
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import HttpResponse
from exporter.probing.stages import directory
from tests.addresses import ip_endpoint
from tests.certificates import check_nothing, handshake
from tests.fake_world import UNAUTHORIZED, FakeNetwork, Reaction, Server, http_response

ADDRESS = "192.0.2.1:8448"


async def run(response: Reaction[HttpResponse], user_agent: str | None = None) -> tuple[DirectoryResponse | None, str]:
    """Return the result and the request."""
    page = {directory.PATH: response}
    network = FakeNetwork(servers={ADDRESS: Server(handshake("example.test"), page, page)})
    connection = network.connection(Endpoint(Target("example.test", 8448), ip_endpoint(ADDRESS)[0]))
    await connection.open()
    await connection.start_tls("example.test", check_nothing)
    answered = await directory.run(connection, "example.test", Deadline.for_probe(5.0), user_agent)
    return answered, network.calls[-1]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (UNAUTHORIZED, DirectoryResponse(401, "M_UNAUTHORIZED")),
        (http_response(json_response({"errcode": 1}, 404)), DirectoryResponse(404, None)),
        (http_response(Response(404, (), b"<!doctype html>")), DirectoryResponse(404, None)),
        (ConnectionResetError(104, "reset"), None),
    ],
)
async def test_the_errcode_is_kept(response: Reaction[HttpResponse], expected: DirectoryResponse | None) -> None:
    """Without a response there is nothing to say."""
    assert (await run(response))[0] == expected


async def test_the_alias_is_a_new_one_each_time() -> None:
    """A cache in between must not answer."""
    (_, first), (_, second) = await run(UNAUTHORIZED), await run(UNAUTHORIZED)
    assert first != second
    assert first.startswith(f"GET {ADDRESS} example.test{directory.PATH}?room_alias=%23")
    assert first.endswith("%3Aexample.test")


async def test_the_user_agent_is_that_of_a_homeserver_where_asked_for() -> None:
    """A filter may let only homeservers pass."""
    answered, request = await run(UNAUTHORIZED, "Synapse/1.0")
    assert answered == DirectoryResponse(401, "M_UNAUTHORIZED")
    assert request.endswith(" as Synapse/1.0")


REACHED, PAGE = DirectoryResponse(401, "M_UNAUTHORIZED"), DirectoryResponse(403, None)


@pytest.mark.parametrize(
    ("answered", "homeservers", "expected"),
    [(PAGE, REACHED, True), (None, REACHED, True), (PAGE, PAGE, False), (PAGE, None, False), (REACHED, REACHED, False)],
)
def test_a_filter_may_let_only_homeservers_pass(
    answered: DirectoryResponse | None, homeservers: DirectoryResponse | None, *, expected: bool
) -> None:
    """Then the homeserver answers only what has the User-Agent of one."""
    assert directory.lets_homeservers_pass(answered, homeservers) is expected


BROKEN_KEYS: Failed[SigningKeys] = Failed(0.1, ())


@pytest.mark.parametrize(
    ("keys", "answered", "refused"),
    [
        (SKIPPED, None, False),
        (SKIPPED, DirectoryResponse(401, "M_UNAUTHORIZED"), False),
        (SKIPPED, DirectoryResponse(403, None), True),
        (BROKEN_KEYS, None, True),
    ],
)
def test_a_refusal_deserves_a_second_look(
    keys: Outcome[SigningKeys], answered: DirectoryResponse | None, *, refused: bool
) -> None:
    """Something other than a homeserver seems to answer."""
    assert directory.is_refusal(keys, answered) is refused


def test_the_detail_says_what_came_back() -> None:
    """It stands in the report."""
    assert DirectoryResponse(404, None).detail == "a request for a room alias returns status 404 and no Matrix error"
