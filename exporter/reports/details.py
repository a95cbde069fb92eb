"""Details of a connection, for whoever repairs a server: the certificates it sends, and the keys it publishes. Pure."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from exporter.model.findings import SigningKeys, TlsSession
from exporter.reports.phrases import printable_text

_MAX_LISTED = 4  # keys or certificates; the others are only counted
_DIGITS_PER_GROUP = 16  # of a fingerprint, so that it can be wrapped and compared
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def describe_details(seen: object) -> Iterator[str]:
    """Yield phrases that complete those of `phrases.describe_finding`. They are printable."""
    match seen:
        case TlsSession():
            return map(printable_text, _describe_chain(seen))
        case SigningKeys():
            return map(printable_text, _describe_document(seen))
        case _:
            return iter(())


def _describe_chain(seen: TlsSession) -> Iterator[str]:
    """Yield the fingerprint of the leaf certificate, and what is sent with it."""
    yield f"SHA-256 {_grouped(seen.certificate.fingerprint_sha256)}"
    for issuer in seen.issuers[:_MAX_LISTED]:
        yield f"sent with it: {issuer.subject}, issued by {issuer.issuer}"
        yield f"SHA-256 {_grouped(issuer.fingerprint_sha256)}"
    yield from _and_more(seen.issuers, "certificates")


def _grouped(fingerprint: str) -> str:
    starts = range(0, len(fingerprint), _DIGITS_PER_GROUP)
    return " ".join(fingerprint[start : start + _DIGITS_PER_GROUP] for start in starts)


def _describe_document(seen: SigningKeys) -> Iterator[str]:
    """Yield whose keys they are, and all keys of the document, whether or not they are valid."""
    if seen.document is None:  # too large to keep
        yield from (f"{key_id}: {key}" for key_id, key in list(seen.keys.items())[:_MAX_LISTED])
        return
    document = json.loads(seen.document)
    yield f"the keys belong to {document['server_name']}"
    published = list(document["verify_keys"].items())
    yield from (f"{key_id}: {_field(entry, 'key')}" for key_id, entry in published[:_MAX_LISTED])
    yield from _and_more(published, "keys")
    old_keys = document.get("old_verify_keys")
    old = list(old_keys.items()) if isinstance(old_keys, dict) else []
    yield from (
        f"old key {key_id}, used until {_date(_field(entry, 'expired_ts'))}" for key_id, entry in old[:_MAX_LISTED]
    )
    yield from _and_more(old, "old keys")


def _and_more(listed: Sequence[object], noun: str) -> Iterator[str]:
    if len(listed) > _MAX_LISTED:
        yield f"and {len(listed) - _MAX_LISTED} more {noun}"


def _field(entry: Any, name: str) -> Any:
    return entry.get(name) if isinstance(entry, dict) else None


def _date(milliseconds: Any) -> str:
    """Return the day, or what else stands in place of a time."""
    try:
        return f"{_EPOCH + timedelta(milliseconds=milliseconds):%Y-%m-%d}"
    except (TypeError, OverflowError):
        return f"{milliseconds}"
