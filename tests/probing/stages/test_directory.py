"""The request for a room alias."""

from dataclasses import replace

import pytest

from exporter.demo.https_server import Response, json_response
from exporter.model.addresses import Endpoint, Target
from exporter.model.findings import SigningKeys
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Problem, ResponseSummary, UnexpectedResponse
from exporter.model.reasons import Reason
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import HttpResponse
from exporter.probing.stages import directory
from tests.addresses import ip_endpoint
from tests.certificates import check_nothing, handshake
from tests.fake_world import UNAUTHORIZED, FakeNetwork, Reaction, Server, http_response

ADDRESS = "192.0.2.1:8448"


async def run(response: Reaction[HttpResponse], user_agent: str | None = None) -> tuple[ResponseSummary | None, str]:
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
        (UNAUTHORIZED, ResponseSummary(401, "M_UNAUTHORIZED")),
        (http_response(json_response({"errcode": 1}, 404)), ResponseSummary(404, None)),
        (http_response(Response(404, (), b"<!doctype html>")), ResponseSummary(404, None)),
        (ConnectionResetError(104, "reset"), None),
    ],
)
async def test_the_errcode_is_kept(response: Reaction[HttpResponse], expected: ResponseSummary | None) -> None:
    """Without a response there is nothing to say."""
    seen, _ = await run(response)
    assert (seen and replace(seen, origin=())) == expected


async def test_the_alias_is_a_new_one_each_time() -> None:
    """A cache in between must not answer."""
    (_, first), (_, second) = await run(UNAUTHORIZED), await run(UNAUTHORIZED)
    assert first != second
    assert first.startswith(f"GET {ADDRESS} example.test{directory.PATH}?room_alias=%23")
    assert first.endswith("%3Aexample.test")


async def test_the_user_agent_is_that_of_a_homeserver_where_asked_for() -> None:
    """A filter may let only homeservers pass."""
    answered, request = await run(UNAUTHORIZED, "Synapse/1.0")
    assert answered is not None
    assert answered.reached
    assert request.endswith(" as Synapse/1.0")


def keys_failed(problem: Problem) -> Failed[SigningKeys]:
    return Failed(0.1, (problem,))


REACHED, PAGE = ResponseSummary(401, "M_UNAUTHORIZED"), ResponseSummary(403, None)


@pytest.mark.parametrize(
    ("keys", "answered", "expected"),
    [
        (SKIPPED, None, False),
        (SKIPPED, REACHED, False),
        (SKIPPED, PAGE, True),
        (SKIPPED, ResponseSummary(404, None), False),
        (keys_failed(UnexpectedResponse(Reason.HTTP_STATUS, "403", PAGE)), REACHED, True),
        (keys_failed(UnexpectedResponse(Reason.HTTP_STATUS, "404", ResponseSummary(404, None))), REACHED, False),
        (keys_failed(Problem(Reason.HTTP_PROTOCOL, "closed")), None, True),
        (keys_failed(Problem(Reason.KEY_EXPIRED, "expired")), REACHED, False),
    ],
)
def test_what_a_filter_may_have_answered_deserves_a_second_look(
    keys: Outcome[SigningKeys], answered: ResponseSummary | None, *, expected: bool
) -> None:
    """It answers with few statuses, or closes the connection."""
    assert directory.may_be_filtered(keys, answered) is expected
