import time

import pytest
from cryptography.exceptions import InvalidSignature

from exporter.demo.homeserver import (
    KEYS,
    VERSION,
    Homeserver,
    publish_badly_signed_keys,
    publish_expired_keys,
    publish_keys_of_another_server,
    publishing,
    sign,
    without,
)
from exporter.demo.https_server import Request, Response
from tests.demo.keys_client import fetch_keys, verify

NAME = "x.lab.test"
JSON = (("Content-Type", "application/json"),)
UNRECOGNIZED = b'{"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}'


def request(target: str, method: str = "GET") -> Request:
    return Request(NAME, method, target, NAME, "test")


async def test_version() -> None:
    """The response has the name and the version of the software."""
    response = await Homeserver(NAME).respond(request(VERSION))
    assert response == Response(200, JSON, b'{"server": {"name": "Lab", "version": "1.0"}}')


async def test_keys() -> None:
    """The document has a current key and an old one, is valid for a day, and is signed by the current key."""
    homeserver, now = Homeserver(NAME), time.time()
    document = await fetch_keys(homeserver)
    verify(document)
    (key_id,), (old_key_id,) = document["verify_keys"], document["old_verify_keys"]
    assert document == {
        "server_name": NAME,
        "valid_until_ts": pytest.approx((now + 86400) * 1000, abs=10_000),
        "verify_keys": {key_id: {"key": document["verify_keys"][key_id]["key"]}},
        "old_verify_keys": {
            old_key_id: {
                "key": document["old_verify_keys"][old_key_id]["key"],
                "expired_ts": pytest.approx((now - 30 * 86400) * 1000, abs=10_000),
            }
        },
        "signatures": {NAME: {key_id: document["signatures"][NAME][key_id]}},
    }
    assert [name.partition(":")[0] for name in (key_id, old_key_id)] == ["ed25519", "ed25519"]


async def test_every_homeserver_has_a_key_of_its_own() -> None:
    """It keeps the key as long as it runs."""
    one, other = Homeserver(NAME), Homeserver(NAME)
    first, second, others = [(await fetch_keys(server))["verify_keys"] for server in (one, one, other)]
    assert first == second
    assert first != others


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/_matrix/federation/v1/nothing", "GET", 404),
        ("/_matrix/federation/v1/%76ersion", "GET", 404),
        ("/_matrix/federation/v1/nothing", "POST", 404),
        ("/_matrix/federation/v1/event/$a/b", "GET", 404),
        ("/_matrix/federation/v1/event/", "GET", 404),
        ("/_matrix/federation/v1/send/1", "GET", 404),
        (VERSION, "POST", 405),
        (KEYS, "PUT", 405),
    ],
)
async def test_unknown_paths_and_methods(target: str, method: str, status: int) -> None:
    """They have different statuses, both with M_UNRECOGNIZED."""
    assert await Homeserver(NAME).respond(request(target, method)) == Response(status, JSON, UNRECOGNIZED)


@pytest.mark.parametrize(
    ("target", "method"),
    [
        ("/_matrix/federation/v1/event/%24base", "GET"),
        ("/_matrix/federation/v1/event/%24a%2Fb", "GET"),
        ("/_matrix/federation/v1/send/1", "PUT"),
    ],
)
async def test_unsigned_requests_are_refused(target: str, method: str) -> None:
    """As in Synapse, a request that needs a signature is refused without one, before anything else is checked."""
    assert await Homeserver(NAME).respond(request(target, method)) == Response(
        401, JSON, b'{"errcode": "M_UNAUTHORIZED", "error": "Missing Authorization headers"}'
    )


async def test_a_resource_can_be_removed() -> None:
    """The path is then unknown."""
    homeserver = without(VERSION)(NAME)
    assert await homeserver.respond(request(VERSION)) == Response(404, JSON, UNRECOGNIZED)
    assert (await homeserver.respond(request(KEYS))).status == 200


# ---------------------------------------------------------------- broken keys


async def test_bad_signature() -> None:
    """Everything is right except that another key made the signature."""
    document = await fetch_keys(publishing(publish_badly_signed_keys)(NAME))
    assert document["signatures"][NAME].keys() == document["verify_keys"].keys()
    with pytest.raises(InvalidSignature):
        verify(document)


async def test_expired_keys() -> None:
    """They are correctly signed, and expired an hour ago."""
    document = await fetch_keys(publishing(publish_expired_keys)(NAME))
    verify(document)
    assert document["valid_until_ts"] == pytest.approx((time.time() - 3600) * 1000, abs=10_000)


async def test_keys_of_another_server() -> None:
    """They are correctly signed by that server."""
    document = await fetch_keys(publishing(publish_keys_of_another_server)(NAME))
    verify(document)
    assert (document["server_name"], list(document["signatures"])) == ("somebody-else.test", ["somebody-else.test"])


# ---------------------------------------------------------------- signatures


async def test_a_second_signature_is_added() -> None:
    """It covers neither the first one nor what is under `unsigned`."""
    homeserver, other = Homeserver(NAME), Homeserver("other.test")
    document = await fetch_keys(homeserver)
    both = sign(document | {"unsigned": {"age": 1}}, "other.test", other.key)
    verify(both)
    assert both["signatures"] == document["signatures"] | sign(document, "other.test", other.key)["signatures"]
