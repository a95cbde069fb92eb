"""Responses of a homeserver: its version, its keys, the keys of others that it has as a notary, and its contacts."""

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
from exporter.model.signing_keys import decode_base64
from exporter.probing.problems import Step
from exporter.probing.stages import keys as keys_stage
from exporter.probing.stages import notary as notary_stage
from exporter.probing.stages import support as support_stage
from exporter.probing.stages import version as version_stage
from exporter.probing.stages.notary import PublishedKeys
from tests.fuzz.targets.checks import check_problems, check_sentence, parse_response, returning, run_attempt

NAME = "example.test"
NOTARY = names.parse("notary.test")
NOW = datetime(2026, 11, 22, 18, 0, 0, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

Document = dict[str, Any]


def version(data: bytes) -> None:
    outcome = run_attempt(Step.HTTP, returning(parse_response(data)), version_stage.evaluate)
    software = found(outcome)
    for text in (software.name, software.version) if software else ():
        assert text is None or (text.isprintable() and len(text) <= version_stage.MAX_CHARACTERS)


def support(data: bytes) -> None:
    """Every text is printable and bounded, and what a page links to is no script."""
    seen = support_stage.evaluate(parse_response(data))
    for contact in seen.contacts if seen else ():
        assert contact.matrix_id or contact.email_address
        for text in (contact.role, contact.matrix_id, contact.email_address):
            assert text is None or (text.isprintable() and len(text) <= support_stage.MAX_CHARACTERS)
    if seen and seen.page:
        assert seen.page.isprintable()
        assert seen.page.startswith(("https://", "http://"))


def keys(data: bytes) -> None:
    """A key is valid if and only if it has signed the document, whatever else the document contains."""
    response = parse_response(data)
    published = evaluate_keys(response.body, response.status)
    document = parse_document(response.body)
    if published and published.keys:
        assert document
        check_signatures(document, published)
    if document and (signed := with_own_signature(document)):
        again = evaluate_keys(json.dumps(signed).encode())
        assert again is None or key_id(KEY) in again.keys


def evaluate_keys(body: bytes, status: int = 200) -> SigningKeys | None:
    """Return the valid keys; None if the document is malformed."""
    response = parse_response(b"%d\nContent-Type: application/json\n\n" % status + body)
    outcome = run_attempt(Step.HTTP, returning(response), lambda response: keys_stage.evaluate(response, NAME, NOW))
    published = found(outcome)
    if published is None:
        assert isinstance(outcome, Failed)
        return None
    for fault in published.old_key_faults:
        check_sentence(fault)
    refused = isinstance(outcome, Failed) and any(each.reason is Reason.INVALID_CONTENT for each in outcome.problems)
    return None if refused else published


def check_signatures(document: Document, published: SigningKeys) -> None:
    message = encode_canonical_json({key: document[key] for key in document if key not in ("signatures", "unsigned")})
    for name, key in published.keys.items():
        assert document["verify_keys"][name]["key"] == key
        signature = document["signatures"][document["server_name"]][name]
        raw_key, raw_signature = map(decode_base64, (key, signature))
        Ed25519PublicKey.from_public_bytes(raw_key).verify(raw_signature, message)


def parse_document(body: bytes) -> Document | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def with_own_signature(document: Document) -> Document | None:
    """Return the document with another key and its signature; None if it cannot have them."""
    verify_keys, signatures, signer = (document.get(name) for name in ("verify_keys", "signatures", "server_name"))
    if not isinstance(verify_keys, dict) or not isinstance(signatures, dict) or not isinstance(signer, str):
        return None
    extended = {**document, "verify_keys": {**verify_keys, key_id(KEY): {"key": encode_public_key(KEY)}}}
    try:
        signature = KEY.sign(
            encode_canonical_json({key: extended[key] for key in extended if key not in ("signatures", "unsigned")})
        )
    except (ValueError, RecursionError):
        return None
    existing = signatures.get(signer)
    by_signer = {**(existing if isinstance(existing, dict) else {}), key_id(KEY): encode_base64(signature)}
    return {**extended, "signatures": {**signatures, signer: by_signer}}


def notary(data: bytes) -> None:
    """The response of a notary is evaluated, or is a failure of the notary."""
    published = PublishedKeys(NAME, {key_id(KEY): encode_public_key(KEY)}, NOW)
    outcome = run_attempt(
        Step.HTTP,
        returning(parse_response(data)),
        lambda response: notary_stage.parse_documents(response, NOTARY, published),
    )
    if documents := found(outcome):
        evaluation = notary_stage.evaluate(documents, NOTARY, published, 0.1)
        check_problems(evaluation.problems if isinstance(evaluation, Failed) else ())
