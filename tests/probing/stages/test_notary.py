import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exporter.demo.homeserver import Homeserver, encode_public_key, key_id, sign_as
from exporter.demo.https_server import Response, json_response
from exporter.model import names
from exporter.model.findings import SigningKeys
from exporter.model.outcomes import Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing.attempt import Failure
from exporter.probing.stages.keys import EPOCH
from exporter.probing.stages.notary import PublishedKeys, evaluate, parse_documents
from tests.fake_world import received

NAME = "example.test"
NOTARY = names.parse("notary.test")
SEEN_AT = datetime(2026, 11, 22, 18, 0, 0, tzinfo=UTC)
VALID_UNTIL = SEEN_AT + timedelta(days=1)

Document = dict[str, Any]


class Known(Homeserver):
    """One whose keys are valid until the time that is set."""

    def __init__(self, server_name: str = NAME, valid_until: datetime = VALID_UNTIL) -> None:
        super().__init__(server_name)
        self.valid_until = valid_until
        self.changed: Document = {}

    def unsigned_keys(self) -> Document:
        milliseconds = (self.valid_until - EPOCH) // timedelta(milliseconds=1)
        return {**super().unsigned_keys(), "valid_until_ts": milliseconds, **self.changed}

    @property
    def public_keys(self) -> dict[str, str]:
        return {key_id(self.key): encode_public_key(self.key)}


def published(*homeservers: Known) -> PublishedKeys:
    return PublishedKeys(NAME, {name: key for each in homeservers for name, key in each.public_keys.items()}, SEEN_AT)


def notarised(known: Known, by: str = NOTARY.text) -> Document:
    return sign_as(Homeserver(by), json.loads(known.keys().body))


def test_peers_ask_for_what_is_valid_now() -> None:
    """To want more would make the notary fetch the keys anew for every such question."""
    asked = PublishedKeys(NAME, {"ed25519:a": "x", "ed25519:b": "y"}, SEEN_AT)
    now = {"minimum_valid_until_ts": 1795370400000}
    assert json.loads(asked.by_key_id()) == {"server_keys": {NAME: {"ed25519:a": now, "ed25519:b": now}}}
    assert json.loads(asked.by_name()) == {"server_keys": {NAME: {}}}


# ---------------------------------------------------------------- which documents count


def test_documents_that_a_peer_would_use_are_read() -> None:
    """Of the right server, still valid, and signed by the notary; all others are passed over."""
    known = Known()
    unsigned = json.loads(known.keys().body)
    good = notarised(known)
    answer = json_response(
        {
            "server_keys": [
                "no document",
                {"server_name": NAME},
                notarised(Known("other.test")),
                notarised(Known(valid_until=SEEN_AT)),
                notarised(known, by="another-notary.test"),
                unsigned,
                good,
            ]
        }
    )
    assert parse_documents(received(answer), NOTARY, published(known)) == (good,)


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (json_response({"errcode": "M_UNRECOGNIZED"}, 404), Reason.HTTP_STATUS, "status 404, expected 200"),
        (json_response({}), Reason.INVALID_CONTENT, "server_keys should be an array, found null"),
        (json_response({"server_keys": {}}), Reason.INVALID_CONTENT, "server_keys should be an array, found an object"),
        (Response(200, (), b"[]"), Reason.INVALID_CONTENT, "a JSON object was expected, found an array"),
    ],
)
def test_what_is_no_answer_of_a_notary_is_told(answer: Response, reason: Reason, detail: str) -> None:
    """The Conduit family has no notaries, and Dendrite is one under some names only: both say 404."""
    assert parse_documents(received(answer), NOTARY, published(Known())) == Failure((Problem(reason, detail),))


# ---------------------------------------------------------------- what they say


def judged(seen: PublishedKeys, *documents: Document) -> Outcome[SigningKeys]:
    return evaluate(documents, NOTARY, seen, 0.5)


def failed(detail: str, found: dict[str, str]) -> Failed[SigningKeys]:
    problem = Problem(Reason.SIGNATURE_INVALID, f"notary.test gives out {detail}")
    return Failed(0.5, (problem,), SigningKeys(found, VALID_UNTIL))


def test_the_same_keys() -> None:
    known = Known()
    expected = Passed(0.5, SigningKeys(known.public_keys, VALID_UNTIL))
    assert judged(published(known), notarised(known)) == expected


def test_an_earlier_document_may_hold_fewer_keys() -> None:
    """As when endpoints differ, or when a key was added since."""
    known, new = Known(), Known()
    expected = Passed(0.5, SigningKeys(known.public_keys, VALID_UNTIL))
    assert judged(published(known, new), notarised(known)) == expected


def test_an_earlier_document_may_hold_more_keys() -> None:
    """As when one was retired since."""
    known, retired = Known(), Known()
    expected = Passed(0.5, SigningKeys({**known.public_keys, **retired.public_keys}, VALID_UNTIL))
    assert judged(published(known), notarised(known), notarised(retired)) == expected


def test_other_keys_under_other_ids() -> None:
    known, other = Known(), Known()
    (publishes,), (gives_out,) = known.public_keys, other.public_keys
    expected = failed(f"{gives_out}, where the server publishes {publishes}", other.public_keys)
    assert judged(published(known), notarised(other)) == expected


def test_another_key_under_the_same_id() -> None:
    """As happens where a key is lost and a new one is made by hand, and both are called 1."""
    known = Known()
    (same_id,) = known.public_keys
    seen = PublishedKeys(NAME, {same_id: encode_public_key(Homeserver(NAME).key)}, SEEN_AT)
    assert judged(seen, notarised(known)) == failed(f"another key as {same_id}", known.public_keys)


def test_the_document_that_is_valid_for_longest_counts() -> None:
    """Notaries keep what they fetched earlier, in no particular order."""
    known, lost = Known(), Known(valid_until=VALID_UNTIL - timedelta(hours=1))
    (same_id,) = known.public_keys
    lost.changed = {"verify_keys": {same_id: {"key": encode_public_key(lost.key)}}}
    older = json.loads(lost.keys().body)
    older["signatures"][NAME] = {same_id: next(iter(older["signatures"][NAME].values()))}
    for documents in ((older, notarised(known)), (notarised(known), older)):
        assert judged(published(known), *documents) == Passed(0.5, SigningKeys(known.public_keys, VALID_UNTIL))
    assert isinstance(judged(published(known), older), Failed)


def test_what_is_told_of_one_notary_is_bounded() -> None:
    """However much it gives out."""
    known = Known()
    tampered = [notarised(known) | {"old_verify_keys": {}}] * 100
    outcome = judged(published(known), *tampered)
    assert isinstance(outcome, Failed)
    assert len(outcome.problems) == 5


def test_a_document_that_the_server_has_not_signed() -> None:
    """Peers check both signatures, and so does the notary, if nothing is wrong with it."""
    known = Known()
    (only,) = known.public_keys
    tampered = notarised(known) | {"old_verify_keys": {}}
    expected = failed(f"what the server has not signed: {only}: the signature does not match the answer", {})
    assert judged(published(known), tampered) == expected
