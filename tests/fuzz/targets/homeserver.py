"""What a homeserver answers: its version, its keys, and those that it has of others."""

import json
from datetime import UTC, datetime
from typing import Any

from canonicaljson import encode_canonical_json
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from exporter.demo.homeserver import encode_base64, encode_public_key, key_id
from exporter.model import names
from exporter.model.findings import SigningKeys
from exporter.model.outcomes import Failed, found
from exporter.model.reasons import Reason
from exporter.probing.problems import Step
from exporter.probing.stages import keys as keys_stage
from exporter.probing.stages import notary as notary_stage
from exporter.probing.stages import version as version_stage
from exporter.probing.stages.notary import PublishedKeys
from tests.fuzz.targets.judging import answer_of, attempted, brought, in_order, one_line

NAME = "example.test"
NOTARY = names.parse("notary.test")
NOW = datetime(2026, 11, 22, 18, 0, 0, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

Document = dict[str, Any]


def version(written: bytes) -> None:
    outcome = attempted(Step.HTTP, brought(answer_of(written)), version_stage.evaluate)
    software = found(outcome)
    for text in (software.name, software.version) if software else ():
        assert text is None or (text.isprintable() and len(text) <= version_stage.MAX_CHARACTERS)


def keys(written: bytes) -> None:
    """Every key that is called good has signed; and one that has signed is called good, whatever stands around it."""
    answer = answer_of(written)
    published = read_keys(answer.body, answer.status)
    document = document_in(answer.body)
    if published and published.keys:
        assert document
        good_keys_have_signed(document, published)
    if document and (signed := signed_as_well(document)):
        again = read_keys(json.dumps(signed).encode())
        assert again is None or key_id(KEY) in again.keys


def read_keys(body: bytes, status: int = 200) -> SigningKeys | None:
    """None where the document is malformed."""
    answer = answer_of(b"%d\nContent-Type: application/json\n\n" % status + body)
    outcome = attempted(Step.HTTP, brought(answer), lambda answer: keys_stage.evaluate(answer, NAME, NOW))
    published = found(outcome)
    if published is None:
        assert isinstance(outcome, Failed)
        return None
    for fault in published.old_key_faults:
        one_line(fault)
    refused = isinstance(outcome, Failed) and any(each.reason is Reason.INVALID_CONTENT for each in outcome.problems)
    return None if refused else published


def good_keys_have_signed(document: Document, published: SigningKeys) -> None:
    message = encode_canonical_json({key: document[key] for key in document if key not in ("signatures", "unsigned")})
    for name, key in published.keys.items():
        assert document["verify_keys"][name]["key"] == key
        signature = document["signatures"][document["server_name"]][name]
        raw_key, raw_signature = map(keys_stage.decode_base64, (key, signature))
        Ed25519PublicKey.from_public_bytes(raw_key).verify(raw_signature, message)


def document_in(body: bytes) -> Document | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def signed_as_well(document: Document) -> Document | None:
    """With a key and a signature of ours, where there is room for them."""
    verify_keys, signatures, signer = (document.get(name) for name in ("verify_keys", "signatures", "server_name"))
    if not isinstance(verify_keys, dict) or not isinstance(signatures, dict) or not isinstance(signer, str):
        return None
    ours = {**document, "verify_keys": {**verify_keys, key_id(KEY): {"key": encode_public_key(KEY)}}}
    try:
        signature = KEY.sign(
            encode_canonical_json({key: ours[key] for key in ours if key not in ("signatures", "unsigned")})
        )
    except (ValueError, RecursionError):
        return None
    theirs = signatures.get(signer)
    by_signer = {**(theirs if isinstance(theirs, dict) else {}), key_id(KEY): encode_base64(signature)}
    return {**ours, "signatures": {**signatures, signer: by_signer}}


def notary(written: bytes) -> None:
    """What a notary says is judged, or is told of as its own affair."""
    published = PublishedKeys(NAME, {key_id(KEY): encode_public_key(KEY)}, NOW)
    outcome = attempted(
        Step.HTTP, brought(answer_of(written)), lambda answer: notary_stage.parse_documents(answer, NOTARY, published)
    )
    if documents := found(outcome):
        judgement = notary_stage.evaluate(documents, NOTARY, published, 0.1)
        in_order(judgement.problems if isinstance(judgement, Failed) else ())
