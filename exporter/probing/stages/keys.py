"""Stage `keys`: the server's signing keys, and whether they have signed themselves
(server-server API, 2.3.1, "GET /_matrix/key/v2/server"; appendices, "Canonical JSON", "Signing JSON"). Pure.
"""

import base64
import binascii
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from canonicaljson import encode_canonical_json
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exporter.model.findings import SigningKeys
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable
from exporter.probing.attempt import Failure
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing.json_body import JsonObject, parse_object

PATH = "/_matrix/key/v2/server"
MAX_BYTES = 32 * 1024  # several keys with room to spare; made of small objects they take 2 MB of memory
MAX_KEPT = 8 * 1024  # characters of a document that we keep, for each of 20,000 servers; one key takes some 500
MAX_BRACKETS = 500  # in it: more than the keys that we check need, and a bound of its depth
_CLOCK_SKEW = timedelta(minutes=5)  # that a server's clock may be ahead of ours
MAX_KEYS = 32  # each costs a signature check, and its faults are kept for each of 32 endpoints

KEY_ID = re.compile(r"ed25519:[A-Za-z0-9_]{1,64}", re.ASCII)
# The y of all points of order 1, 2, 4 and 8, in each encoding: signatures of such keys can be made up by anybody.
# libsodium, which Synapse uses, refuses them (ge25519_has_small_order), OpenSSL does not.
_P = 2**255 - 19
_Y_OF_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER = {0, 1, _P - 1, _P, _P + 1, _Y_OF_ORDER_8, _P - _Y_OF_ORDER_8}
EPOCH = datetime.fromtimestamp(0, UTC)
_LARGEST_INTEGER = 2**53 - 1  # of canonical JSON
_LAST_MILLISECOND = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


def evaluate(answer: HttpResponse, server_name: str, now: datetime) -> SigningKeys | Failure[SigningKeys]:
    """Every complaint, and the keys that stand up to all checks of their own."""
    content = parse_object(answer)
    if isinstance(content, Problem):
        return Failure((content,))
    if complaint := find_malformation(content):
        return Failure((Problem(Reason.INVALID_CONTENT, complaint),))
    keys, faults = verify_signatures(content, content["server_name"])
    until = valid_until(content)
    problems = (*_check_name(content["server_name"], server_name), *faults, *_check_validity(until, now))
    content_type = (answer.header("content-type") or "").partition(";")[0].strip().lower()
    old_faults = tuple(_check_old_keys(content, now))
    published = SigningKeys(keys, until, printable(content_type, 100) or None, old_faults, _compact_document(content))
    return Failure(problems, published) if problems else published


def _compact_document(content: JsonObject) -> str | None:
    """The document as compact JSON in ASCII, every field in its order. Endpoints of a server share one text."""
    try:
        text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
    fits = len(text) <= MAX_KEPT and text.count("{") + text.count("[") <= MAX_BRACKETS
    return sys.intern(text) if fits else None


def find_malformation(content: JsonObject) -> str | None:
    """What keeps the document from being read at all."""
    for field, kind, expected in (
        ("server_name", str, "a string"),
        ("verify_keys", dict, "an object"),
        ("signatures", dict, "an object"),
        ("valid_until_ts", int, "an integer"),
    ):
        if not isinstance(content.get(field), kind) or isinstance(content[field], bool):
            return f"{field} should be {expected}" if field in content else f"{field} is missing"
    if not 0 <= content["valid_until_ts"] <= _LARGEST_INTEGER:
        return "valid_until_ts is no time in milliseconds since 1970"
    if len(content["verify_keys"]) > MAX_KEYS:
        return f"{len(content['verify_keys'])} verify keys, at most {MAX_KEYS} were expected"
    return None


def valid_until(content: JsonObject) -> datetime:
    """Of a document that is not malformed; the end of our calendar for "never"."""
    return EPOCH + timedelta(milliseconds=min(content["valid_until_ts"], _LAST_MILLISECOND))


def _check_name(found: str, expected: str) -> Iterator[Problem]:
    """Server names are compared exactly, case included."""
    if found != expected:
        yield Problem(
            Reason.SERVER_NAME_MISMATCH, f"the keys are those of {printable(found, 100)!r}, expected {expected!r}"
        )


def _check_validity(valid_until: datetime, now: datetime) -> Iterator[Problem]:
    if valid_until <= now:
        yield Problem(Reason.KEY_EXPIRED, f"valid_until_ts was {valid_until:%Y-%m-%d %H:%M:%S} UTC")


def _check_old_keys(content: JsonObject, now: datetime) -> Iterator[str]:
    """They are optional, need not sign, and are of no use while they are wrong; many servers say "expired just now"."""
    old_keys = content.get("old_verify_keys", {})
    if not isinstance(old_keys, dict):
        yield "old_verify_keys should be an object"
        return
    latest = (now + _CLOCK_SKEW - EPOCH) / timedelta(milliseconds=1)
    for key_id, entry in list(old_keys.items())[:MAX_KEYS]:
        expired = entry.get("expired_ts") if isinstance(entry, dict) else None
        if not isinstance(expired, int) or isinstance(expired, bool) or _key_text(entry) is None:
            yield f"the old key {printable(key_id, 64)} lacks its key or expired_ts"
        elif expired > latest:
            yield f"the old key {printable(key_id, 64)} expires in the future"
        if key_id in content["verify_keys"]:
            yield f"the key {printable(key_id, 64)} is both in use and old"


def verify_signatures(content: JsonObject, signer: str) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Every ed25519 verify key must have signed the object as received."""
    public_keys = {
        key_id: _key_text(entry) for key_id, entry in content["verify_keys"].items() if KEY_ID.fullmatch(key_id)
    }
    if not public_keys:
        return {}, (Problem(Reason.NO_SIGNING_KEY, "verify_keys holds no ed25519 key"),)
    try:
        message = _encode_canonical({key: content[key] for key in content if key not in ("signatures", "unsigned")})
    except (ValueError, RecursionError) as error:
        return {}, (Problem(Reason.INVALID_CONTENT, f"no canonical JSON: {printable(str(error), 100)}"),)
    signatures = content["signatures"].get(signer)
    signatures = signatures if isinstance(signatures, dict) else {}
    complaints = {key_id: check_signature(key, signatures.get(key_id), message) for key_id, key in public_keys.items()}
    good = {key_id: key for key_id, key in public_keys.items() if key and not complaints[key_id]}
    return good, tuple(
        Problem(Reason.SIGNATURE_INVALID, f"{key_id}: {why}") for key_id, why in complaints.items() if why
    )


def _encode_canonical(content: JsonObject) -> bytes:
    """Raises ValueError or RecursionError. Numbers are integers that every peer reads alike (appendices, "Canonical
    JSON"), which the library does not insist on.
    """
    for number in _numbers(content):
        if isinstance(number, float) or abs(number) > _LARGEST_INTEGER:
            raise ValueError("a number is no integer of at most 53 bits")
    return encode_canonical_json(content)


def _numbers(content: object) -> Iterator[int | float]:
    """At any depth, booleans among them."""
    waiting = [content]
    while waiting:
        match waiting.pop():
            case dict() as entries:
                waiting.extend(entries.values())
            case list() as items:
                waiting.extend(items)
            case int() | float() as number:
                yield number


def _key_text(entry: object) -> str | None:
    key = entry.get("key") if isinstance(entry, dict) else None
    return key if isinstance(key, str) else None


def check_signature(key: str | None, signature: object, message: bytes) -> str | None:
    """What is wrong with one key and its signature; none if it verifies."""
    if key is None:
        return "the key is missing or no string"
    if not isinstance(signature, str):
        return "the key has not signed the answer"
    try:
        point = decode_base64(key)
        Ed25519PublicKey.from_public_bytes(point).verify(decode_base64(signature), message)
    except InvalidSignature:
        return "the signature does not match the answer"
    except ValueError as error:
        return printable(str(error), 100)
    if int.from_bytes(point, "little") % 2**255 in SMALL_ORDER:
        return "the key is a point of small order, for which anybody can sign"
    return None


def decode_base64(text: str) -> bytes:
    """Unpadded base64 (appendices, "Unpadded Base64"); padding is tolerated, as real servers do."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error
