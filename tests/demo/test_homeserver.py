import base64
import json
import time
from typing import Any

import pytest
from canonicaljson import encode_canonical_json
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exporter.demo.homeserver import KEYS, VERSION, Homeserver, KeyFault
from exporter.demo.https_server import Request, Response

NAME = "x.lab.test"
JSON = (("Content-Type", "application/json"),)
UNRECOGNIZED = b'{"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}'


def request(target: str, method: str = "GET") -> Request:
    return Request(NAME, method, target, NAME, "judge")


async def published(homeserver: Homeserver) -> dict[str, Any]:
    answer = await homeserver.answer(request(KEYS))
    assert (answer.status, answer.headers) == (200, JSON)
    document: dict[str, Any] = json.loads(answer.body)
    return document


def decoded(text: str) -> bytes:
    assert "=" not in text
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def verify(document: dict[str, Any]) -> None:
    """By the book (Matrix specification, appendices, "Checking for a Signature"). Raises InvalidSignature."""
    signed = {key: value for key, value in document.items() if key not in {"signatures", "unsigned"}}
    for key_id, key in document["verify_keys"].items():
        signature = document["signatures"][document["server_name"]][key_id]
        public_key = Ed25519PublicKey.from_public_bytes(decoded(key["key"]))
        public_key.verify(decoded(signature), encode_canonical_json(signed))


async def test_version() -> None:
    """Name and version of the software, as the federation asks for them."""
    answer = await Homeserver(NAME).answer(request(VERSION))
    assert answer == Response(200, JSON, b'{"server": {"name": "Lab", "version": "1.0"}}')


async def test_keys() -> None:
    """One key for now and one of old, valid for a day, and signed by the one for now."""
    homeserver, now = Homeserver(NAME), time.time()
    document = await published(homeserver)
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


async def test_every_homeserver_has_its_own_key_and_keeps_it() -> None:
    """An identity lasts as long as the homeserver."""
    one, other = Homeserver(NAME), Homeserver(NAME)
    first, again, others = [(await published(server))["verify_keys"] for server in (one, one, other)]
    assert first == again
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
async def test_what_it_does_not_know(target: str, method: str, status: int) -> None:
    """Unknown paths and wrong methods are told apart, both as M_UNRECOGNIZED."""
    assert await Homeserver(NAME).answer(request(target, method)) == Response(status, JSON, UNRECOGNIZED)


@pytest.mark.parametrize(
    ("target", "method"),
    [
        ("/_matrix/federation/v1/event/%24base", "GET"),
        ("/_matrix/federation/v1/event/%24a%2Fb", "GET"),
        ("/_matrix/federation/v1/send/1", "PUT"),
    ],
)
async def test_who_asks_without_saying_who_is_sent_away(target: str, method: str) -> None:
    """As Synapse does it: what needs a signature is refused without one, before anything is looked at."""
    assert await Homeserver(NAME).answer(request(target, method)) == Response(
        401, JSON, b'{"errcode": "M_UNAUTHORIZED", "error": "Missing Authorization headers"}'
    )


async def test_a_page_can_be_taken_away() -> None:
    """It then answers like any path that it does not know."""
    homeserver = Homeserver(NAME)
    del homeserver.pages[VERSION]
    assert await homeserver.answer(request(VERSION)) == Response(404, JSON, UNRECOGNIZED)


async def test_bad_signature() -> None:
    """All is in place, but the signature was made with another key."""
    document = await published(Homeserver(NAME, fault=KeyFault.BAD_SIGNATURE))
    with pytest.raises(InvalidSignature):
        verify(document)


async def test_expired_keys() -> None:
    """Well signed, and valid until an hour ago."""
    document = await published(Homeserver(NAME, fault=KeyFault.EXPIRED))
    verify(document)
    assert document["valid_until_ts"] == pytest.approx((time.time() - 3600) * 1000, abs=10_000)


async def test_other_server_name() -> None:
    """The keys of somebody else, well signed by them."""
    document = await published(Homeserver(NAME, fault=KeyFault.OTHER_SERVER_NAME))
    verify(document)
    assert (document["server_name"], list(document["signatures"])) == ("somebody-else.test", ["somebody-else.test"])


async def test_no_ed25519_key() -> None:
    """The only key is of another algorithm."""
    document = await published(Homeserver(NAME, fault=KeyFault.NO_ED25519_KEY))
    assert [key_id.partition(":")[0] for key_id in document["verify_keys"]] == ["curve25519"]


async def test_short_life() -> None:
    """Well signed, and valid for ten minutes."""
    document = await published(Homeserver(NAME, fault=KeyFault.SHORT_LIFE))
    verify(document)
    assert document["valid_until_ts"] == pytest.approx((time.time() + 600) * 1000, abs=10_000)


async def test_old_key_in_future() -> None:
    """Well signed, with an old key that has yet to expire."""
    document = await published(Homeserver(NAME, fault=KeyFault.OLD_KEY_IN_FUTURE))
    verify(document)
    (old_key,) = document["old_verify_keys"].values()
    assert len(decoded(old_key["key"])) == 32
    assert old_key["expired_ts"] == pytest.approx((time.time() + 86400) * 1000, abs=10_000)


async def test_the_lifetime_of_keys_can_be_set() -> None:
    """For all that depends on how long they are valid."""
    homeserver = Homeserver(NAME)
    homeserver.key_life_seconds = 60
    document = await published(homeserver)
    assert document["valid_until_ts"] == pytest.approx((time.time() + 60) * 1000, abs=10_000)


async def test_delay_is_kept_and_measured() -> None:
    """It waits before each answer, and tells how long it truly took: never less than asked, never more than passed."""
    homeserver, started = Homeserver(NAME, delay=0.02), time.perf_counter()
    await homeserver.answer(request(VERSION))
    await homeserver.answer(request(KEYS))
    passed = time.perf_counter() - started
    first, second = homeserver.waits
    assert min(first, second) >= 0.0195  # timers of event loops may be early by their clock's resolution
    assert first + second <= passed
