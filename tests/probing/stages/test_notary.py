"""How the documents of a notary are selected and compared with the published keys."""

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
from tests.fake_world import http_response

NAME = "example.test"
NOTARY = names.parse("notary.test")
SEEN_AT = datetime(2026, 11, 22, 18, 0, 0, tzinfo=UTC)
VALID_UNTIL = SEEN_AT + timedelta(days=1)

Document = dict[str, Any]


class KnownServer(Homeserver):
    """A homeserver whose keys are valid until a given time. `changed` replaces fields of its key document."""

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


def published(*homeservers: KnownServer) -> PublishedKeys:
    return PublishedKeys(NAME, {name: key for each in homeservers for name, key in each.public_keys.items()}, SEEN_AT)


def notarised(known: KnownServer, by: str = NOTARY.text) -> Document:
    return sign_as(Homeserver(by), json.loads(known.keys().body))


def test_queries_require_validity_at_the_moment_of_the_probe() -> None:
    """A notary would fetch the keys anew for every query that requires more."""
    keys = PublishedKeys(NAME, {"ed25519:a": "x", "ed25519:b": "y"}, SEEN_AT)
    now = {"minimum_valid_until_ts": 1795370400000}
    assert json.loads(keys.query_by_key_id()) == {"server_keys": {NAME: {"ed25519:a": now, "ed25519:b": now}}}
    assert json.loads(keys.query_by_name()) == {"server_keys": {NAME: {}}}


# ---------------------------------------------------------------- which documents count


def test_selects_documents_that_a_peer_would_use() -> None:
    """They must be about the right server, still valid, and signed by the notary."""
    known = KnownServer()
    unsigned = json.loads(known.keys().body)
    good = notarised(known)
    answer = json_response(
        {
            "server_keys": [
                "no document",
                {"server_name": NAME},
                notarised(KnownServer("other.test")),
                notarised(KnownServer(valid_until=SEEN_AT)),
                notarised(known, by="another-notary.test"),
                unsigned,
                good,
            ]
        }
    )
    assert parse_documents(http_response(answer), NOTARY, published(known)) == (good,)


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (json_response({}), Reason.INVALID_CONTENT, "server_keys should be an array, found null"),
        (json_response({"server_keys": {}}), Reason.INVALID_CONTENT, "server_keys should be an array, found an object"),
    ],
)
def test_rejects_documents_that_no_notary_sends(answer: Response, reason: Reason, detail: str) -> None:
    """They are JSON."""
    response = http_response(answer)
    assert parse_documents(response, NOTARY, published(KnownServer())) == Failure((Problem(reason, detail),))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (json_response({"errcode": "M_UNRECOGNIZED"}, 404), Reason.HTTP_STATUS),
        (Response(200, (), b"[]"), Reason.INVALID_CONTENT),
    ],
)
def test_rejects_responses_that_no_notary_sends(answer: Response, reason: Reason) -> None:
    """Homeservers of the Conduit family are not notaries, and Dendrite is only one for some names: both return 404."""
    found = parse_documents(http_response(answer), NOTARY, published(KnownServer()))
    assert isinstance(found, Failure)
    assert [problem.reason for problem in found.problems] == [reason]


# ---------------------------------------------------------------- what the documents say


def compare(seen: PublishedKeys, *documents: Document) -> Outcome[SigningKeys]:
    return evaluate(documents, NOTARY, seen, 0.5)


def failed(complaint: str, found: dict[str, str]) -> Failed[SigningKeys]:
    problem = Problem(Reason.SIGNATURE_INVALID, f"notary.test returns {complaint}")
    return Failed(0.5, (problem,), SigningKeys(found, VALID_UNTIL))


def test_the_same_keys() -> None:
    """The stage passes."""
    known = KnownServer()
    expected = Passed(0.5, SigningKeys(known.public_keys, VALID_UNTIL))
    assert compare(published(known), notarised(known)) == expected


def test_an_earlier_document_may_contain_fewer_keys() -> None:
    """Endpoints may differ, or a key may have been added since."""
    known, new = KnownServer(), KnownServer()
    expected = Passed(0.5, SigningKeys(known.public_keys, VALID_UNTIL))
    assert compare(published(known, new), notarised(known)) == expected


def test_an_earlier_document_may_contain_more_keys() -> None:
    """A key may have been retired since."""
    known, retired = KnownServer(), KnownServer()
    expected = Passed(0.5, SigningKeys({**known.public_keys, **retired.public_keys}, VALID_UNTIL))
    assert compare(published(known), notarised(known), notarised(retired)) == expected


def test_different_key_ids() -> None:
    """At least one key ID must be both returned and published."""
    known, other = KnownServer(), KnownServer()
    (publishes,), (returns,) = known.public_keys, other.public_keys
    expected = failed(f"{returns}, but the server publishes {publishes}", other.public_keys)
    assert compare(published(known), notarised(other)) == expected


def test_a_different_key_with_the_same_id() -> None:
    """A key may have been lost, and a new one given the same ID by hand."""
    known = KnownServer()
    (same_id,) = known.public_keys
    seen = PublishedKeys(NAME, {same_id: encode_public_key(Homeserver(NAME).key)}, SEEN_AT)
    assert compare(seen, notarised(known)) == failed(f"a different key as {same_id}", known.public_keys)


def test_the_document_that_is_valid_for_longest_counts() -> None:
    """Notaries keep what they fetched earlier, in no particular order."""
    known, lost = KnownServer(), KnownServer(valid_until=VALID_UNTIL - timedelta(hours=1))
    (same_id,) = known.public_keys
    lost.changed = {"verify_keys": {same_id: {"key": encode_public_key(lost.key)}}}
    older = json.loads(lost.keys().body)
    older["signatures"][NAME] = {same_id: next(iter(older["signatures"][NAME].values()))}
    for documents in ((older, notarised(known)), (notarised(known), older)):
        assert compare(published(known), *documents) == Passed(0.5, SigningKeys(known.public_keys, VALID_UNTIL))
    assert isinstance(compare(published(known), older), Failed)


def test_the_number_of_problems_with_one_notary_is_bounded() -> None:
    """A notary may return any number of bad documents."""
    known = KnownServer()
    tampered = [notarised(known) | {"old_verify_keys": {}}] * 100
    outcome = compare(published(known), *tampered)
    assert isinstance(outcome, Failed)
    assert len(outcome.problems) == 5


def test_a_document_that_the_server_has_not_signed() -> None:
    """Peers check both signatures, and so does the notary unless something is wrong with it."""
    known = KnownServer()
    (only,) = known.public_keys
    tampered = notarised(known) | {"old_verify_keys": {}}
    complaint = f"a document that the server has not signed: {only}: the signature does not match the document"
    assert compare(published(known), tampered) == failed(complaint, {})
