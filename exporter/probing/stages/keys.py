"""Stage `keys`: the server's signing keys, and whether each of them has signed the document. Pure.

The sources are the server-server API, 2.3.1, "GET /_matrix/key/v2/server", and the appendices, "Canonical JSON" and
"Signing JSON".
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from canonicaljson import encode_canonical_json
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exporter.model.enums import Oddity
from exporter.model.findings import SigningKeys
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable
from exporter.model.signing_keys import ED25519_KEY_ID, decode_base64
from exporter.probing.attempt import Failure
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing import lenient_json
from exporter.probing.parsing.json_body import JsonObject
from exporter.probing.parsing.json_response import parse_object
from exporter.runtime.lru import LruCache

PATH = "/_matrix/key/v2/server"
MAX_BYTES = 384 * 1024  # homeservers read documents of hundreds of kilobytes, most of which are other fields
MAX_KEPT = 8 * 1024  # characters of a document that is kept, for each of 20,000 servers; one key takes some 500
MAX_BRACKETS = 500  # in it: more than the keys that are checked need, and a bound of its depth
_CLOCK_SKEW = timedelta(minutes=5)  # by which a server's clock may be ahead of ours
MAX_KEYS = 32  # each costs a signature check, and its faults are kept for each of 24 endpoints

# The y of all points of order 1, 2, 4 and 8, in each encoding: anyone can make up signatures of such keys.
# libsodium, which Synapse uses, rejects them (ge25519_has_small_order), OpenSSL does not.
_P = 2**255 - 19
_Y_OF_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER = {0, 1, _P - 1, _P, _P + 1, _Y_OF_ORDER_8, _P - _Y_OF_ORDER_8}
EPOCH = datetime.fromtimestamp(0, UTC)
_LARGEST_INTEGER = 2**53 - 1  # of canonical JSON
_BEYOND_ALL_CLOCKS = 2**63  # milliseconds: no homeserver can hold such a time
_PUBLIC_KEY_BYTES = 32
_verified_before: Final[LruCache[bytes, bytes]] = LruCache(2**16)  # 20,000 servers with three keys; 200 bytes each
_LAST_MILLISECOND = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


def evaluate(
    response: HttpResponse, server_name: str, now: datetime, *, redirected: bool = False
) -> SigningKeys | Failure[SigningKeys]:
    """Return the keys that pass all checks of their own, with every problem. There are four cases:

    - the response is not a key document for any homeserver: one problem, and no keys;
    - it is one for some of them, but not by the specification: that problem, and the keys that are good;
    - something is wrong with the name, a signature or the validity: those problems, and the keys that are good;
    - nothing is wrong.

    Faults of old keys are not problems: they are part of the finding, as are the oddities that some homeservers refuse.
    """
    strict = _check_strictly(response)
    lenient = lenient_json.parse(response, MAX_BYTES)
    if isinstance(lenient, str) or not 200 <= response.status < 300:
        return Failure(strict or (Problem(Reason.NOT_JSON, str(lenient)),))
    content = lenient.content
    if complaint := find_malformation(content):
        return Failure((Problem(Reason.INVALID_CONTENT, complaint),))
    keys, signature_problems = verify_signatures(content, content["server_name"])
    until = valid_until(content)
    problems = (
        *strict,
        *_check_name(content["server_name"], server_name),
        *signature_problems,
        *_check_numbers(content),
        *_check_validity(until, now),
    )
    content_type = (response.first_header("content-type") or "").partition(";")[0].strip()
    published = SigningKeys(
        keys,
        until,
        printable(content_type, 100) or None,
        tuple(_check_old_keys(content, now)),
        _compact_document(content),
        lenient.oddities | frozenset(_find_oddities(content, content_type, keys)) | _REDIRECTED[redirected],
    )
    return Failure(problems, published) if problems else published


def _check_strictly(response: HttpResponse) -> tuple[Problem, ...]:
    """Return why the response is not what the specification demands. What is parsed here is freed again."""
    parsed = parse_object(response)
    return (parsed,) if isinstance(parsed, Problem) else ()


_REDIRECTED: Final = {True: frozenset({Oddity.REDIRECTED}), False: frozenset[Oddity]()}


def _find_oddities(content: JsonObject, content_type: str, keys: Mapping[str, str]) -> Iterator[Oddity]:
    """Yield what some homeservers refuse in a document that others accept."""
    if content_type != "application/json":
        yield Oddity.CONTENT_TYPE
    if any(isinstance(number, float) for number in _numbers(_signed_part(content))):
        yield Oddity.NOT_AN_INTEGER
    texts = {
        key_id: _key_text(entry) for key_id, entry in content["verify_keys"].items() if ED25519_KEY_ID.fullmatch(key_id)
    }
    if len(keys) < len(texts):
        yield Oddity.KEY_DID_NOT_SIGN
    if not all(_is_public_key(text) for text in texts.values()):
        yield Oddity.KEY_MALFORMED
    signatures = _signatures_of(content, content["server_name"])
    if next((key_id not in keys for key_id in signatures if key_id in texts), False):
        yield Oddity.FIRST_SIGNATURE_WRONG
    if any(isinstance(text, str) and text.endswith("=") for text in [*texts.values(), *signatures.values()]):
        yield Oddity.PADDED_BASE64
    yield from _find_old_key_oddities(content.get("old_verify_keys", {}))


def _find_old_key_oddities(old_keys: object) -> Iterator[Oddity]:
    if old_keys is None:
        yield Oddity.OLD_KEYS_NULL
    elif not isinstance(old_keys, dict):
        yield Oddity.OLD_KEYS_NOT_AN_OBJECT
    else:
        for key_id, entry in list(old_keys.items())[:MAX_KEYS]:
            if not key_id.startswith("ed25519:"):
                continue
            if not _is_public_key(_key_text(entry)):
                yield Oddity.OLD_KEY_NOT_BASE64
            elif not _can_be_a_time(entry.get("expired_ts")):
                yield Oddity.OLD_KEY_WITHOUT_EXPIRY


def _can_be_a_time(expired: object) -> bool:
    """Whether Synapse can store it: no other database than SQLite takes a text."""
    return isinstance(expired, int | float) and not isinstance(expired, bool)


def _is_public_key(text: str | None) -> bool:
    try:
        return text is not None and len(decode_base64(text)) == _PUBLIC_KEY_BYTES
    except ValueError:
        return False


def _compact_document(content: JsonObject) -> str | None:
    """Return the document as compact JSON in ASCII, with every field in its order."""
    try:
        text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
    fits = len(text) <= MAX_KEPT and text.count("{") + text.count("[") <= MAX_BRACKETS
    return text if fits else None


def find_malformation(content: JsonObject) -> str | None:
    """Return what makes the document unusable, or None."""
    for field, kind, expected in (
        ("server_name", str, "a string"),
        ("verify_keys", dict, "an object"),
        ("signatures", dict, "an object"),
        ("valid_until_ts", int | float, "a number"),
    ):
        if not isinstance(content.get(field), kind) or isinstance(content[field], bool):
            return f"{field} should be {expected}" if field in content else f"{field} is missing"
    if not 0 <= content["valid_until_ts"] < _BEYOND_ALL_CLOCKS:
        return "valid_until_ts is not a time in milliseconds since 1970"
    if len(content["verify_keys"]) > MAX_KEYS:
        return f"{len(content['verify_keys'])} verify keys, expected at most {MAX_KEYS}"
    return None


def valid_until(content: JsonObject) -> datetime:
    """Return the time until which a well-formed document is valid; a time after the year 9999 becomes its end."""
    return EPOCH + timedelta(milliseconds=min(content["valid_until_ts"], _LAST_MILLISECOND))


def _check_numbers(content: JsonObject) -> Iterator[Problem]:
    """All signed numbers must be integers that every peer reads alike (appendices, "Canonical JSON")."""
    if any(isinstance(number, float) or abs(number) > _LARGEST_INTEGER for number in _numbers(_signed_part(content))):
        yield Problem(Reason.INVALID_CONTENT, "not canonical JSON: a number is not an integer of at most 53 bits")


def _check_name(name: str, expected: str) -> Iterator[Problem]:
    """Compare server names exactly, including case."""
    if name != expected:
        yield Problem(
            Reason.SERVER_NAME_MISMATCH, f"the keys belong to {printable(name, 100)!r}, expected {expected!r}"
        )


def _check_validity(valid_until: datetime, now: datetime) -> Iterator[Problem]:
    if valid_until <= now:
        yield Problem(Reason.KEY_EXPIRED, f"valid_until_ts was {valid_until:%Y-%m-%d %H:%M:%S} UTC")


def _check_old_keys(content: JsonObject, now: datetime) -> Iterator[str]:
    """Yield the faults of the old keys, which are optional and need not sign the document.

    Many servers say that a key expired just now, so a clock that is slightly ahead is not a fault.
    """
    old_keys = content.get("old_verify_keys", {})
    if not isinstance(old_keys, dict):
        yield "old_verify_keys should be an object"
        return
    latest = (now + _CLOCK_SKEW - EPOCH) / timedelta(milliseconds=1)
    for key_id, entry in list(old_keys.items())[:MAX_KEYS]:
        expired = entry.get("expired_ts") if isinstance(entry, dict) else None
        if not isinstance(expired, int) or isinstance(expired, bool) or _key_text(entry) is None:
            yield f"the old key {printable(key_id, 64)} has no key or no expired_ts"
        elif expired > latest:
            yield f"the old key {printable(key_id, 64)} expires in the future"
        if key_id in content["verify_keys"]:
            yield f"the key {printable(key_id, 64)} is both in use and old"


def verify_signatures(content: JsonObject, signer: str) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Check that every ed25519 verify key has signed the object as received.

    Return the keys that have, by key ID, and the problems with the others.
    """
    public_keys = {
        key_id: _key_text(entry) for key_id, entry in content["verify_keys"].items() if ED25519_KEY_ID.fullmatch(key_id)
    }
    if not public_keys:
        return {}, (Problem(Reason.NO_SIGNING_KEY, "verify_keys contains no ed25519 key"),)
    try:
        message = encode_canonical_json(_signed_part(content))
    except (ValueError, RecursionError) as error:
        return {}, (Problem(Reason.INVALID_CONTENT, f"not canonical JSON: {printable(str(error), 100)}"),)
    signatures = _signatures_of(content, signer)
    complaints = {key_id: check_signature(key, signatures.get(key_id), message) for key_id, key in public_keys.items()}
    good = {key_id: key for key_id, key in public_keys.items() if key and not complaints[key_id]}
    return good, tuple(
        Problem(Reason.SIGNATURE_INVALID, f"{key_id}: {complaint}")
        for key_id, complaint in complaints.items()
        if complaint
    )


def _signatures_of(content: JsonObject, signer: str) -> JsonObject:
    signatures = content["signatures"].get(signer)
    return signatures if isinstance(signatures, dict) else {}


def _signed_part(content: JsonObject) -> JsonObject:
    return {key: value for key, value in content.items() if key not in ("signatures", "unsigned")}


def _numbers(content: object) -> Iterator[int | float]:
    """Yield all numbers at any depth, including booleans."""
    remaining = [content]
    while remaining:
        match remaining.pop():
            case dict() as entries:
                remaining.extend(entries.values())
            case list() as items:
                remaining.extend(items)
            case int() | float() as number:
                yield number


def _key_text(entry: object) -> str | None:
    key = entry.get("key") if isinstance(entry, dict) else None
    return key if isinstance(key, str) else None


def _verify(point: bytes, signature: bytes, message: bytes) -> None:
    """Raise InvalidSignature or ValueError if the signature does not verify.

    What has verified once always will, and most servers publish the same document for hours, so it is remembered.
    """
    verified = sha256(b"%d %d " % (len(point), len(signature)) + point + signature + message).digest()
    if _verified_before.get(verified) is None:
        Ed25519PublicKey.from_public_bytes(point).verify(signature, message)
        _verified_before.put(verified, verified)


def check_signature(key: str | None, signature: object, message: bytes) -> str | None:
    """Return what is wrong with a key or its signature, or None if the signature verifies."""
    if key is None:
        return "the key is missing or not a string"
    if not isinstance(signature, str):
        return "the document is not signed with this key"
    try:
        point = decode_base64(key)
        _verify(point, decode_base64(signature), message)
    except InvalidSignature:
        return "the signature does not match the document"
    except ValueError as error:
        return printable(str(error), 100)
    if int.from_bytes(point, "little") % 2**255 in SMALL_ORDER:
        return "the key is a point of small order, for which anyone can forge signatures"
    return None
