"""The details of a connection: what they tell, and that hostile documents do not break them."""

import json
from typing import Any

import pytest

from exporter.model.findings import ChainCertificate, SigningKeys, TlsSession
from exporter.reports.details import describe_details
from tests.sample_reports import ENDED_AT, certificate, tls_session

EXPIRED_TS = 1_600_000_000_000


def published(document: Any) -> SigningKeys:
    text = None if document is None else json.dumps(document)
    return SigningKeys({"ed25519:a_1": "a2V5"}, ENDED_AT, document=text)


def document(**changed: Any) -> Any:
    return {"server_name": "example.org", "verify_keys": {"ed25519:a_1": {"key": "a2V5"}}, **changed}


def test_the_chain_has_fingerprints() -> None:
    """In groups, so that they can be wrapped and compared. Only the first issuers of a long chain are listed."""
    issuers = tuple(ChainCertificate("Root", f"Intermediate {number}", "ab" * 32) for number in range(6))
    seen = TlsSession(certificate("a"), "TLSv1.3", issuers=issuers)
    leaf, first, fingerprint, *_, last = describe_details(seen)
    assert leaf == "SHA-256 6100000000000000 0000000000000000 0000000000000000 0000000000000000"
    assert first == "sent with it: Intermediate 0, issued by Root"
    assert fingerprint == "SHA-256 abababababababab abababababababab abababababababab abababababababab"
    assert last == "and 2 more certificates"
    assert len(list(describe_details(tls_session("a")))) == 1


def test_all_keys_of_the_document_are_listed() -> None:
    """Whether or not they are valid: whoever repairs the server looks for them in its configuration."""
    old = {"ed25519:a_0": {"key": "b2xk", "expired_ts": EXPIRED_TS}}
    keys = {f"ed25519:a_{number}": {"key": "a2V5"} for number in range(1, 7)}
    assert list(describe_details(published(document(verify_keys=keys, old_verify_keys=old)))) == [
        "the keys belong to example.org",
        *(f"ed25519:a_{number}: a2V5" for number in range(1, 5)),
        "and 2 more keys",
        "old key ed25519:a_0, used until 2020-09-13",
    ]


def test_a_document_that_is_too_large_to_keep_has_only_its_valid_keys() -> None:
    """They are part of the finding."""
    assert list(describe_details(published(None))) == ["ed25519:a_1: a2V5"]


@pytest.mark.parametrize("entry", [None, [], "text", {}, {"expired_ts": "soon"}, {"expired_ts": 10**30}])
def test_malformed_old_keys_are_listed_too(entry: object) -> None:
    """Their faults are reported elsewhere."""
    (*_, last) = describe_details(published(document(old_verify_keys={"ed25519:a_0": entry})))
    assert last.startswith("old key ed25519:a_0, used until ")


@pytest.mark.parametrize("old", [None, [], "text", 5])
def test_old_keys_that_are_not_an_object_are_not_listed(old: object) -> None:
    """Neither do they hide the other keys."""
    assert list(describe_details(published(document(old_verify_keys=old)))) == [
        "the keys belong to example.org",
        "ed25519:a_1: a2V5",
    ]


@pytest.mark.parametrize("other", [None, "text", 5])
def test_other_findings_have_no_details(other: object) -> None:
    """The phrases about them are complete."""
    assert list(describe_details(other)) == []
