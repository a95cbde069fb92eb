"""Signing keys: documents that are not canonical JSON, keys that are not keys, and signatures by others."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from canonicaljson import encode_canonical_json
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exporter.demo.homeserver import (
    KEYS,
    Homeserver,
    JsonObject,
    encode_base64,
    encode_public_key,
    key_id,
    publish_signed_keys,
    sign,
    sign_as,
)
from exporter.demo.servers import LabServer
from exporter.model.reasons import Reason
from tests.lab.hostile.raw_responses import BadResponse, RawResponse, http_response
from tests.lab.hostile.rows import numbered

IDENTITY, ZERO = bytes([1]) + bytes(31), bytes(32)  # points of order 1 and 4
WIDE = "\N{GRINNING FACE}" + "x" * 390_000
UNIVERSAL_SIGNATURE = encode_base64(IDENTITY + bytes(32))  # valid for both: R is a point of small order, S is 0
JSON = b"Content-Type: application/json"
MAX_KEYS = 32  # that the exporter verifies
MAX_BYTES = 384 * 1024  # that the exporter reads
INVALID, UNSIGNED, NO_KEY = Reason.INVALID_CONTENT, Reason.SIGNATURE_INVALID, Reason.NO_SIGNING_KEY


@dataclass(frozen=True, slots=True)
class KeysRow:
    """A row: what the homeserver publishes as its keys."""

    label: str
    shows: str
    publish: Callable[[Homeserver], JsonObject | bytes]
    reason: Reason | None

    def at(self, ip: str) -> LabServer:
        return BadResponse(f"keys-{self.label}", self.shows, KEYS, self._response, self.reason).at(ip)

    def _response(self, homeserver: Homeserver, _: bytes) -> RawResponse:
        document = self.publish(homeserver)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return RawResponse(http_response(body, b"200 OK", JSON))


# ---------------------------------------------------------------- documents


def changed(label: str, shows: str, reason: Reason | None, **changes: Any) -> KeysRow:
    """A document that was changed before it was signed."""
    return KeysRow(label, shows, lambda homeserver: sign_as(homeserver, homeserver.unsigned_keys() | changes), reason)


def valid_until(label: str, timestamp: object, reason: Reason | None = INVALID) -> KeysRow:
    return changed(f"until-{label}", f"valid until {timestamp!r}", reason, valid_until_ts=timestamp)


def single(label: str, shows: str, name: str, key: str, reason: Reason) -> KeysRow:
    """A document with one key, and a signature that needs no private key."""
    return KeysRow(
        label, shows, lambda homeserver: forge(homeserver, {name: {"key": key}}, {name: UNIVERSAL_SIGNATURE}), reason
    )


def forge(homeserver: Homeserver, keys: JsonObject, signatures: JsonObject) -> JsonObject:
    unsigned = homeserver.unsigned_keys() | {"verify_keys": keys}
    return unsigned | {"signatures": {homeserver.server_name: signatures}}


def beside(label: str, shows: str, others: Callable[[], JsonObject], reason: Reason | None) -> KeysRow:
    """A document with more verify keys beside the right one, whose signature is the only one."""

    def publish(homeserver: Homeserver) -> JsonObject:
        unsigned = homeserver.unsigned_keys()
        return sign_as(homeserver, unsigned | {"verify_keys": unsigned["verify_keys"] | others()})

    return KeysRow(label, shows, publish, reason)


def tampered(label: str, shows: str, reason: Reason | None, change: Callable[[JsonObject], JsonObject]) -> KeysRow:
    """A document that was changed after it was signed."""
    return KeysRow(label, shows, lambda homeserver: change(publish_signed_keys(homeserver)), reason)


def as_text(label: str, shows: str, reason: Reason | None, change: Callable[[bytes], bytes]) -> KeysRow:
    """A document as no JSON library writes it."""
    return KeysRow(label, shows, lambda homeserver: change(homeserver.keys().body), reason)


# ---------------------------------------------------------------- documents that need more than a line


def all_sign(homeserver: Homeserver) -> JsonObject:
    """Publish as many keys as the exporter verifies, in about as large a document as it reads."""
    signers = {f"ed25519:{number}": Ed25519PrivateKey.generate() for number in range(MAX_KEYS)}
    verify_keys = {name: {"key": encode_public_key(signer)} for name, signer in signers.items()}
    unsigned = homeserver.unsigned_keys() | {"verify_keys": verify_keys, "padding": "x" * 10_000}
    message = encode_canonical_json(unsigned)
    signatures = {name: encode_base64(signer.sign(message)) for name, signer in signers.items()}
    return unsigned | {"signatures": {homeserver.server_name: signatures}}


def by_another(homeserver: Homeserver) -> JsonObject:
    other = Homeserver("hs.test")
    return sign(homeserver.unsigned_keys(), homeserver.server_name, other.key, key_id(homeserver.key))


def under_another_name(homeserver: Homeserver) -> JsonObject:
    return sign(homeserver.unsigned_keys(), "hs.test", homeserver.key)


def among_signatures(document: JsonObject) -> JsonObject:
    ((name, right),) = document["signatures"].items()
    others = {f"ed25519:{number}": UNIVERSAL_SIGNATURE for number in range(100)}
    strangers = {f"{number}.test": {"ed25519:1": "x"} for number in range(400)}
    return document | {"signatures": strangers | {name: others | right}}


def with_signature(signature: object) -> Callable[[JsonObject], JsonObject]:
    """Replace every signature."""
    return lambda document: (
        document
        | {"signatures": {name: dict.fromkeys(right, signature) for name, right in document["signatures"].items()}}
    )


def not_canonical(homeserver: Homeserver) -> JsonObject:
    """Sign the document as it is sent, with its members in another order."""
    unsigned = dict(reversed(homeserver.unsigned_keys().items()))
    signature = encode_base64(homeserver.key.sign(json.dumps(unsigned).encode()))
    return unsigned | {"signatures": {homeserver.server_name: {key_id(homeserver.key): signature}}}


def without_nested(homeserver: Homeserver) -> JsonObject:
    """Sign as if nested signatures were removed too."""
    unsigned = homeserver.unsigned_keys()
    whole = unsigned | {"nested": {"signatures": {"a": 1}, "unsigned": 1}}
    return whole | {"signatures": sign_as(homeserver, unsigned | {"nested": {}})["signatures"]}


def in_capitals(homeserver: Homeserver) -> JsonObject:
    name = homeserver.server_name.upper()
    return sign(homeserver.unsigned_keys() | {"server_name": name}, name, homeserver.key)


# ---------------------------------------------------------------- the table

ROWS = (
    single("curve25519", "a key of another curve", "curve25519:1", encode_base64(ZERO), NO_KEY),
    single("ed448", "a key of Ed448 by its own name", "ed448:1", encode_base64(bytes(57)), NO_KEY),
    single("ed448-length", "a key of 57 bytes", "ed25519:1", encode_base64(bytes(57)), UNSIGNED),
    single("short", "a key of 31 bytes", "ed25519:1", encode_base64(bytes(31)), UNSIGNED),
    single("empty", "a key of no bytes", "ed25519:1", "", UNSIGNED),
    single("long", "a key of 15,000 bytes", "ed25519:1", encode_base64(bytes(15_000)), UNSIGNED),
    single("no-base64", "a key that is not base64", "ed25519:1", "%\n\x1b[0m", UNSIGNED),
    single("not-ascii", "a key that is not ASCII", "ed25519:1", "ü", UNSIGNED),
    single("zero", "a key of zeros, a point of order 4", "ed25519:1", encode_base64(ZERO), UNSIGNED),
    single("identity", "a key for which forged signatures are valid", "ed25519:1", encode_base64(IDENTITY), UNSIGNED),
    single("id-empty", "a key ID without a version", "ed25519:", encode_base64(ZERO), NO_KEY),
    single("id-no-colon", "a key ID without a colon", "ed25519", encode_base64(ZERO), NO_KEY),
    single("id-not-ascii", "a key ID that is not ASCII", "ed25519:ü", encode_base64(ZERO), NO_KEY),
    single("id-long", "a key ID of 10,000 characters", "ed25519:" + "x" * 10_000, encode_base64(ZERO), NO_KEY),
    single("id-quote", "a key ID with a quote and a line break", 'ed25519:a"} 1\n', encode_base64(ZERO), NO_KEY),
    beside("id-odd", "a malformed key ID beside the right one", lambda: {'ed25519:"\n': {"key": "x"}}, None),
    beside("entry", "a verify key that is a number", lambda: {"ed25519:1": 5}, UNSIGNED),
    beside(
        "unsigned",
        "a second verify key without a signature",
        lambda: {"ed25519:1": {"key": UNIVERSAL_SIGNATURE}},
        UNSIGNED,
    ),
    beside("thousand", "a thousand verify keys", lambda: {f"ed25519:{n}": {"key": "x"} for n in range(1000)}, INVALID),
    changed("array", "verify keys in an array", INVALID, verify_keys=[]),
    changed("none", "no verify key", NO_KEY, verify_keys={}),
    KeysRow("all-sign", "32 keys, each with a signature", all_sign, None),
    # ------------------------------------------------------------ signatures
    KeysRow("by-another", "a signature by another key", by_another, UNSIGNED),
    KeysRow("by-another-name", "a signature in another server's name", under_another_name, UNSIGNED),
    tampered("signatures-of-others", "five hundred signatures beside the right one", None, among_signatures),
    tampered("signature-number", "a signature that is a number", UNSIGNED, with_signature(1)),
    tampered("signature-long", "a signature of 30,000 characters", UNSIGNED, with_signature("x" * 30_000)),
    tampered("signature-lines", "a signature with line breaks", UNSIGNED, with_signature("\n\n\n\n")),
    tampered("signature-empty", "an empty signature", UNSIGNED, with_signature("")),
    tampered("signatures-null", "no signatures", INVALID, lambda document: document | {"signatures": None}),
    tampered(
        "signatures-text",
        "a string in place of a server's signatures",
        UNSIGNED,
        lambda document: document | {"signatures": dict.fromkeys(document["signatures"], "x")},
    ),
    tampered("added", "a member that was added after signing", UNSIGNED, lambda document: document | {"added": 1}),
    tampered(
        "unsigned-field",
        "an `unsigned` member, which may be added after signing",
        None,
        lambda document: document | {"unsigned": {"a": 1.5}},
    ),
    # ------------------------------------------------------------ canonical JSON
    KeysRow("not-canonical", "a signature over the text as it was sent", not_canonical, UNSIGNED),
    KeysRow("nested", "a signature that leaves out nested signatures", without_nested, UNSIGNED),
    changed("nested-signed", "a nested member with signatures", None, nested={"signatures": {"a": 1}, "unsigned": 1}),
    changed("float", "a float, which canonical JSON forbids", INVALID, odd=1.5),
    changed("whole-float", "1.0, which some libraries write as 1", INVALID, odd=[{"a": 1.0}]),
    changed("largest-integer", "2^53 - 1", None, odd=2**53 - 1),
    changed("larger-integer", "2^53 + 1, which some libraries read as 2^53", INVALID, odd=2**53 + 1),
    changed("wide", "seven thousand empty objects", Reason.TOO_LARGE, odd=[{}] * 7000),
    changed("deep", "arrays in arrays, 300 deep", None, odd=json.loads("[" * 300 + "]" * 300)),
    as_text(
        "small",
        "four thousand small objects",
        UNSIGNED,
        lambda body: b'{"a": [' + b'{"":0},' * 4000 + b"0], " + body[1:],
    ),
    as_text("nan", "NaN", Reason.NOT_JSON, lambda body: b'{"odd": NaN, ' + body[1:]),
    as_text("utf-16", "UTF-16", Reason.NOT_JSON, lambda body: body.decode().encode("utf-16")),
    as_text("depth", "arrays in arrays, 30,000 deep", Reason.NOT_JSON, lambda _: b"[" * 30_000),
    as_text("surrogate", "a lone surrogate", INVALID, lambda body: rb'{"odd": "\ud800", ' + body[1:]),
    as_text(
        "twice",
        "two server_name members, the last of which counts",
        None,
        lambda body: b'{"server_name": "a", ' + body[1:],
    ),
    as_text("exponent", "a number that no float can represent", INVALID, lambda body: b'{"odd": 1e99999, ' + body[1:]),
    changed("digits", "4000 digits", INVALID, odd=10**4000 - 1),
    changed("text", "a text of 390,000 characters", None, odd="x" * 390_000),
    changed("wide-text", "a text of 390,000 characters, one of which is an emoji", Reason.TOO_LARGE, odd=WIDE),
    changed("texts", "five thousand texts", None, odd=[f"a{number % 100}" for number in range(4900)]),
    changed("names", "five thousand names", None, odd={f"{number:x}": 0 for number in range(4900)}),
    changed("more-names", "fifty thousand names", Reason.TOO_LARGE, odd={f"{number:x}": 0 for number in range(50_000)}),
    as_text("as-large-as-is-read", "384 KiB", None, lambda body: body.ljust(MAX_BYTES)),
    as_text("too-large", "a byte more than 384 KiB", Reason.TOO_LARGE, lambda body: body.ljust(MAX_BYTES + 1)),
    as_text("large", "8 MiB", Reason.TOO_LARGE, lambda body: body.ljust(8 << 20)),
    # ------------------------------------------------------------ names and times
    KeysRow("in-capitals", "the server's name in capitals", in_capitals, Reason.SERVER_NAME_MISMATCH),
    changed("name-number", "a server name that is a number", INVALID, server_name=1),
    valid_until("negative", -1),
    valid_until("zero", 0, Reason.KEY_EXPIRED),
    valid_until("largest", 2**53 - 1, None),
    valid_until("calendar", 253402300800000, None),
    valid_until("larger", 2**63),
    valid_until("float", 1.9e12),
    valid_until("text", "1900000000000"),
    valid_until("true", timestamp=True),
    valid_until("null", None),
    changed("old-array", "old keys in an array: a warning, not a problem", None, old_verify_keys=[]),
    changed(
        "old-odd",
        "malformed old keys: a warning, not a problem",
        None,
        old_verify_keys={
            "": 1,
            'a"\n': {"expired_ts": -(2**53) + 1, "key": []},
            "ed25519:1": {"key": "", "expired_ts": 2**53 - 1},
        },
    ),
    changed("old-thousand", "a thousand old keys", None, old_verify_keys={f"ed25519:{n}": {} for n in range(1000)}),
)
KEYS_SERVERS = numbered("198.18.5.", ROWS)
