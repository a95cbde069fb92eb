"""What documents of keys say."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.agreement.fuzz.draw import USUAL
from tests.agreement.served import engine

_OTHER_KEY: Final = ed25519.Ed25519PrivateKey.generate()

KEY_IDS: Final[Mapping[str, str]] = {
    USUAL: "ed25519:a_1",
    **{key_id: key_id for key_id in ("ed25519:auto", "ed25519:a-b.c", "ed25519:0", "ed25519:a:b", "ed25519:+/=")},
}


def _fields(**fields: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda _: fields


def _valid_for(hours: float) -> Callable[[Any], dict[str, Any]]:
    return lambda _: {"valid_until_ts": engine.timestamp(hours)}


def _keys(f: Any, others: Mapping[str, Any]) -> dict[str, Any]:
    """Return its key beside others, by their IDs."""
    return {"verify_keys": {f.key_id: {"key": engine.public(f.key)}, **others}}


def _both_sign(f: Any) -> Callable[[Any], Any]:
    return lambda document: {
        f.name: {f.key_id: engine.signature(f.key, document), "ed25519:b_2": engine.signature(_OTHER_KEY, document)}
    }


def _wrongly_signed(f: Any, *, first: bool) -> Callable[[Any], Any]:
    def sign(document: Any) -> Any:
        good, wrong = {f.key_id: engine.signature(f.key, document)}, {"ed25519:b_2": "A" * 86}
        return {f.name: wrong | good if first else good | wrong}

    return sign


def _with_old_keys(value: Any) -> Callable[[Any], dict[str, Any]]:
    return _fields(old_verify_keys=value)


_SECOND: Final = {"ed25519:b_2": {"key": engine.public(_OTHER_KEY)}}
_OLD: Final = {"key": engine.public(_OTHER_KEY), "expired_ts": 1}

_TIMES: Final[Sequence[Any]] = (
    0,
    -1,
    2**53 + 1,
    2**63 - 1,
    2**63,
    10**19,
    None,
    True,
    "1",
    "x",
    [],
    {},
    1e15,
    1.5e15 + 0.5,
)
_NOT_OLD_KEYS: Final[Sequence[Any]] = (None, [], "x", 7)
_OLD_KEYS: Final[Mapping[str, Any]] = {
    "null": None,
    "a text": "x",
    "a list": [],
    "empty": {},
    "no base64": {**_OLD, "key": "???"},
    "a number": {**_OLD, "key": 7},
    "too short": {**_OLD, "key": "AAAA"},
    "never expired": {"key": engine.public(_OTHER_KEY)},
    "expired null": {**_OLD, "expired_ts": None},
    "expired in fractions": {**_OLD, "expired_ts": 1.5},
    "padded": {**_OLD, "key": engine.public(_OTHER_KEY) + "="},
}

DOCUMENTS: Final[Mapping[str, Callable[[Any], dict[str, Any]]]] = {
    # A federation -> fields of its document that are special; `...` leaves one out.
    USUAL: lambda _: {},
    "of another server": lambda _: {"server_name": "other.test"},
    "in capitals": lambda f: {"server_name": f.name.upper()},
    "no server_name": lambda _: {"server_name": ..., "sign": lambda _: {}},
    **{f"valid for {hours} hours": _valid_for(hours) for hours in (-1, 1 / 6, 1, 24 * 7, 24 * 3650)},
    **{f"valid until {value!r}": _fields(valid_until_ts=value) for value in _TIMES},
    "no valid_until_ts": lambda _: {"valid_until_ts": ...},
    "no keys": lambda _: {"verify_keys": {}},
    "verify_keys left out": lambda _: {"verify_keys": ...},
    "verify_keys is null": lambda _: {"verify_keys": None},
    "verify_keys is a list": lambda _: {"verify_keys": []},
    "a second key does not sign": lambda f: _keys(f, _SECOND),
    "a second key signs": lambda f: {**_keys(f, _SECOND), "sign": _both_sign(f)},
    "the first signature is wrong": lambda f: _keys(f, _SECOND) | {"sign": _wrongly_signed(f, first=True)},
    "the second signature is wrong": lambda f: _keys(f, _SECOND) | {"sign": _wrongly_signed(f, first=False)},
    "signed by one unknown too": lambda f: {"sign": _both_sign(f)},
    "a key of another algorithm": lambda f: _keys(f, {"rsa:1": {"key": "AAAA"}}),
    "a key without an algorithm": lambda f: _keys(f, {"b_2": {"key": engine.public(_OTHER_KEY)}}),
    "a second key of 5 bytes": lambda f: _keys(f, {"ed25519:b_2": {"key": "AAAAAAA"}}),
    "a second key is no base64": lambda f: _keys(f, {"ed25519:b_2": {"key": "???"}}),
    "a second key is null": lambda f: _keys(f, {"ed25519:b_2": None}),
    "a second key is a text": lambda f: _keys(f, {"ed25519:b_2": engine.public(_OTHER_KEY)}),
    "a second key is a number": lambda f: _keys(f, {"ed25519:b_2": {"key": 7}}),
    "a second key without its text": lambda f: _keys(f, {"ed25519:b_2": {}}),
    "no old keys": lambda _: {"old_verify_keys": ...},
    "an old key": _with_old_keys({"ed25519:old": _OLD}),
    **{f"old keys are {value!r}": _with_old_keys(value) for value in _NOT_OLD_KEYS},
    **{f"an old key is {name}": _with_old_keys({"ed25519:old": value}) for name, value in _OLD_KEYS.items()},
    "an old key of another algorithm": _with_old_keys({"rsa:old": {"key": "AAAA", "expired_ts": 1}}),
    "other fields": lambda _: {"org.example": {"x": [1, {"é": "ü"}]}},
    "a fraction in another field": lambda _: {"org.example": 1.5},
    "a large number in another field": lambda _: {"org.example": 2**60},
    "true and null in other fields": lambda _: {"a": True, "b": None, "c": False},
    "an emoji in a field": lambda _: {"😀": "\U0001f600\u2028\x7f"},
    "a control character in a field": lambda _: {"a\x01": "\x00\b\f"},
    "a lone surrogate in a field": lambda _: {"a": "\ud800", "sign": lambda _: {}},
    **{f"{size} bytes": _fields(x="y" * size) for size in (9_000, 70_000, 300_000)},
    "50 levels deep": lambda _: {"x": json.loads("[" * 50 + "]" * 50)},
    "padded base64": lambda f: {
        "verify_keys": {f.key_id: {"key": engine.public(f.key) + "="}},
        "sign": lambda document: {f.name: {f.key_id: engine.signature(f.key, document) + "=="}},
    },
    "a blank after the key": lambda f: {"verify_keys": {f.key_id: {"key": engine.public(f.key) + " "}}},
    "a line break in the key": lambda f: {"verify_keys": {f.key_id: {"key": "\n" + engine.public(f.key)}}},
}
