"""What the exporter answers as a homeserver, and what it notes about who comes."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from exporter.model import names
from exporter.model.enums import IPFamily
from exporter.outbound.peer import Arrival, Peer, PeerRequest, PeerResponse, Purpose, Signature
from exporter.outbound.signing import SigningKey, generate_seed

OWN, THEM, NOTARY = "us.test", "them.test", "notary.test"
VERSION, KEYS = "/_matrix/federation/v1/version", "/_matrix/key/v2/server"
DIRECTORY, WELL_KNOWN = "/_matrix/federation/v1/query/directory", "/.well-known/matrix/server"
INTERVAL = 900.0
NOW = 1_800_000_000.0
THEIR_KEY = SigningKey.from_seed(THEM, generate_seed())
THEIR_KEYS = {THEIR_KEY.key_id: THEIR_KEY.public}
NOTARY_KEY = SigningKey.from_seed(NOTARY, generate_seed())


class Clock:
    """Both clocks of a peer, which only tests move."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def peer(clock: Clock) -> Peer:
    return new_peer(clock)


def new_peer(clock: Clock, name: str = OWN) -> Peer:
    key = SigningKey.from_seed(name, generate_seed())
    return Peer(names.parse(name), key, INTERVAL, clock, lambda: NOW + clock.seconds)


def get(peer: Peer, uri: str, key: SigningKey | None = None, family: IPFamily | None = IPFamily.IPV6) -> PeerResponse:
    authorization = key.authorization(uri, peer.name.text) if key else None
    return peer.respond(PeerRequest("GET", uri, authorization, family))


def alias_uri(alias: str) -> str:
    return f"{DIRECTORY}?room_alias={quote(alias, safe='')}"


# ---------------------------------------------------------------- what everyone gets


def test_the_version_names_the_exporter(peer: Peer) -> None:
    """Whoever sees its requests can look up what it is."""
    response = get(peer, VERSION)
    assert (response.status, response.content["server"]["name"]) == (200, "matrix-federation-exporter")


@pytest.mark.parametrize(
    ("method", "uri", "status"),
    [
        ("GET", "/_matrix/federation/v1/nothing", 404),
        ("PUT", "/_matrix/federation/v1/send/1", 404),
        ("GET", "/metrics", 404),
        ("GET", "/", 404),
        ("GET", f"{KEYS}/", 404),
        ("POST", KEYS, 405),
        ("PUT", VERSION, 405),
        ("HEAD", DIRECTORY, 405),
    ],
)
def test_what_it_does_not_support_is_answered_as_the_specification_says(
    peer: Peer, method: str, uri: str, status: int
) -> None:
    response = peer.respond(PeerRequest(method, uri))
    assert (response.status, response.content["errcode"]) == (status, "M_UNRECOGNIZED")


def test_a_name_without_a_port_has_a_well_known_that_stays_on_its_port(clock: Clock) -> None:
    """Whoever reads it has come over port 443. It may be cached for some minutes only."""
    response = get(new_peer(clock), WELL_KNOWN)
    assert (response.content, response.cache_seconds) == ({"m.server": "us.test:443"}, 300)
    assert get(new_peer(clock, "us.test:8448"), WELL_KNOWN).status == 404


# ---------------------------------------------------------------- keys


def test_the_keys_are_signed_and_valid_until_shortly_before_the_next_look(peer: Peer) -> None:
    """So a server has to fetch them again for every look."""
    document = get(peer, KEYS).content
    assert document["verify_keys"] == {peer.key.key_id: {"key": peer.key.public}}
    unsigned = {name: value for name, value in document.items() if name != "signatures"}
    assert peer.key.sign(unsigned) == document
    assert document["valid_until_ts"] == (NOW + 0.8 * INTERVAL) * 1000
    assert peer.latest_validity > document["valid_until_ts"] + 1_000_000


def test_the_keys_are_signed_once_a_second_however_often_they_are_requested(peer: Peer, clock: Clock) -> None:
    """Signing costs more than answering."""
    first = get(peer, KEYS).body
    clock.seconds = 0.9
    assert get(peer, KEYS).body == first
    clock.seconds = 1.0
    assert get(peer, KEYS).body != first


def test_the_keys_for_a_look_are_told_from_all_earlier_ones(peer: Peer) -> None:
    """A notary that returns them has fetched them since the look began, even within the same millisecond."""
    before = get(peer, KEYS).content["valid_until_ts"]
    with peer.expect(THEM, THEIR_KEYS) as expected:
        during = get(peer, KEYS).content["valid_until_ts"]
    assert before <= expected.signed_after < during


def test_who_is_looked_at_gets_the_keys_and_is_recognized_by_its_signature(peer: Peer) -> None:
    with peer.expect(THEM, THEIR_KEYS) as expected:
        assert get(peer, KEYS, THEIR_KEY).status == 200
    assert expected.came(Purpose.KEYS) == Arrival(Purpose.KEYS, 0.0, Signature.GOOD, IPFamily.IPV6)


def test_a_notary_does_not_get_the_keys_and_is_noted(peer: Peer) -> None:
    """It would answer in the place of a server that cannot come itself."""
    with peer.expect(THEM, THEIR_KEYS) as expected:
        response = get(peer, KEYS, NOTARY_KEY)
    assert (response.status, response.content["errcode"]) == (401, "M_UNAUTHORIZED")
    assert (expected.came(Purpose.KEYS), expected.strangers) == (None, {NOTARY})


def test_who_claims_to_be_another_server_is_not_taken_for_it(peer: Peer) -> None:
    """Everyone can write a name into a header."""
    impostor = SigningKey(THEM, THEIR_KEY.key_id, NOTARY_KEY.private)
    with peer.expect(THEM, THEIR_KEYS) as expected:
        get(peer, KEYS, impostor)
    arrival = expected.came(Purpose.KEYS)
    assert arrival is not None
    assert arrival.signature is Signature.BAD


def test_an_unsigned_request_gets_the_keys_and_proves_nothing(peer: Peer) -> None:
    """Dendrite and the Conduit family do not sign it."""
    with peer.expect(THEM, THEIR_KEYS) as expected:
        assert get(peer, KEYS).status == 200
    arrival = expected.came(Purpose.KEYS)
    assert arrival is not None
    assert arrival.signature is Signature.MISSING


# ---------------------------------------------------------------- the room alias


def test_the_alias_of_a_look_leads_to_a_room_that_only_who_asks_can_know(peer: Peer) -> None:
    with peer.expect(THEM, THEIR_KEYS) as expected:
        response = get(peer, alias_uri(peer.alias(expected)), THEIR_KEY)
    assert response.content == {"room_id": peer.room_id(expected), "servers": [OWN]}
    assert expected.came(Purpose.ALIAS) == Arrival(Purpose.ALIAS, 0.0, Signature.GOOD, IPFamily.IPV6)


@pytest.mark.parametrize(
    "query", ["", "?room_alias=%23nothing%3Aus.test", "?room_alias=%23", "?room_alias", "?a&b=&;", "?" + "a=b&" * 4000]
)
def test_any_other_alias_is_unknown(peer: Peer, query: str) -> None:
    """That costs nothing: not even a signature is verified."""
    with peer.expect(THEM, THEIR_KEYS) as expected:
        response = get(peer, f"{DIRECTORY}{query}", THEIR_KEY)
    assert (response.status, response.content["errcode"]) == (404, "M_NOT_FOUND")
    assert expected.arrivals == []


def test_the_alias_is_unknown_once_the_look_is_over(peer: Peer) -> None:
    with peer.expect(THEM, THEIR_KEYS) as expected:
        pass
    assert get(peer, alias_uri(peer.alias(expected)), THEIR_KEY).status == 404


@pytest.mark.parametrize(
    ("key", "signature"),
    [
        (None, Signature.MISSING),
        (NOTARY_KEY, Signature.BAD),
        (SigningKey(THEM, THEIR_KEY.key_id, NOTARY_KEY.private), Signature.BAD),
    ],
)
def test_the_room_is_only_for_who_signed_the_request(peer: Peer, key: SigningKey | None, signature: Signature) -> None:
    """The arrival says what was wrong."""
    with peer.expect(THEM, THEIR_KEYS) as expected:
        response = get(peer, alias_uri(peer.alias(expected)), key)
    arrival = expected.came(Purpose.ALIAS)
    assert response.status == 401
    assert arrival is not None
    assert (arrival.signature, bool(arrival.complaint)) == (signature, True)


def test_a_flood_of_requests_is_not_kept(peer: Peer) -> None:
    """Neither the arrivals nor the names that they claim."""
    with peer.expect(THEM, THEIR_KEYS) as expected:
        for number in range(1000):
            get(peer, KEYS)
            get(peer, KEYS, SigningKey(f"s{number}.test", "ed25519:1", NOTARY_KEY.private))
    assert len(expected.arrivals) <= 16
    assert len(expected.strangers) <= 16


def test_the_private_key_is_in_no_response_and_no_text(peer: Peer) -> None:
    seed = peer.key.private.private_bytes_raw()
    texts = [repr(peer), repr(peer.key), *(json.dumps(get(peer, uri).content) for uri in (KEYS, VERSION, WELL_KNOWN))]
    assert not any(each in text for text in texts for each in secrets_in(seed))


def secrets_in(seed: bytes) -> Iterator[str]:
    yield seed.hex()
    yield repr(seed)[2:-1]
