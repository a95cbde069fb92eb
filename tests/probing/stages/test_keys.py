"""The signing keys of a server, and whether they have signed themselves."""

import base64
import json
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from canonicaljson import encode_canonical_json
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exporter.model.enums import Oddity
from exporter.model.findings import SigningKeys
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.model.signing_keys import decode_base64
from exporter.probing.attempt import Failure
from exporter.probing.evidence import HttpResponse
from exporter.probing.stages import keys
from exporter.probing.stages.keys import MAX_KEYS, check_signature

# The key of the specification's test vectors (appendices, "Cryptographic Test Vectors")
SEED = "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"
PUBLIC = "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"
SIGNER = Ed25519PrivateKey.from_private_bytes(base64.b64decode(SEED + "="))

VALID_UNTIL = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
NOW = VALID_UNTIL - timedelta(hours=1)
PUBLISHED = SigningKeys({"ed25519:1": PUBLIC}, VALID_UNTIL, "application/json")
JSON = (("content-type", "application/json"),)

Document = dict[str, Any]


def document(**changes: object) -> Document:
    """Return an unsigned document. Changing a field to None removes it."""
    fields: Document = {
        "server_name": "domain",
        "valid_until_ts": 1700000000000,
        "verify_keys": {"ed25519:1": {"key": PUBLIC}},
        "old_verify_keys": {},
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def unpadded(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")


def signature(content: Document) -> str:
    return unpadded(SIGNER.sign(encode_canonical_json(content)))


def signed(content: Document, signer: str = "domain", key_id: str = "ed25519:1") -> Document:
    return content | {"signatures": {signer: {key_id: signature(content)}}}


def evaluate(content: Document, now: datetime = NOW, server_name: str = "domain") -> SigningKeys | Failure[SigningKeys]:
    return keys.evaluate(HttpResponse(200, JSON, json.dumps(content, ensure_ascii=False).encode()), server_name, now)


def complaints(content: Document) -> list[tuple[Reason, str]]:
    found = evaluate(content)
    return [(problem.reason, problem.detail) for problem in found.problems] if isinstance(found, Failure) else []


def reasons(found: SigningKeys | Failure[SigningKeys]) -> list[Reason]:
    return [problem.reason for problem in found.problems] if isinstance(found, Failure) else []


def oddities(found: SigningKeys | Failure[SigningKeys]) -> Collection[Oddity]:
    published = found.found if isinstance(found, Failure) else found
    assert published is not None
    return published.oddities


# ---------------------------------------------------------------- known documents


KNOWN = document() | {
    "signatures": {
        "domain": {
            "ed25519:1": "ewq/uPhfAzmWSa/3PRlr5Q0W59jG75Wtb6mzxIELuVRAxYMHOeMFue6fNXijZkIwLLembQ0+gl7DIkiUGcoUBg"
        }
    }
}


def test_accepts_a_known_document() -> None:
    """It was signed by another implementation, with the key of the specification."""
    assert evaluate(KNOWN) == PUBLISHED


@pytest.mark.parametrize(
    ("message", "signed_by_specification"),
    [
        (b"{}", "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"),
        (
            b'{"one":1,"two":"Two"}',
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ],
)
def test_accepts_the_signatures_of_the_appendix(message: bytes, signed_by_specification: str) -> None:
    """A changed message does not verify."""
    assert check_signature(PUBLIC, signed_by_specification, message) is None
    changed = check_signature(PUBLIC, signed_by_specification, message + b" ")
    assert changed == "the signature does not match the document"


@pytest.mark.parametrize("sign", [0, 1 << 255])
@pytest.mark.parametrize("y", sorted(keys.SMALL_ORDER))
def test_rejects_keys_for_which_anyone_can_forge_signatures(y: int, sign: int) -> None:
    """The forged signature matches one message in eight, or all of them."""
    point, forged = (y | sign).to_bytes(32, "little"), bytes([1]) + bytes(63)
    found = {check_signature(unpadded(point), unpadded(forged), b"%d" % number) for number in range(100)}
    assert found - {"the signature does not match the document"} == {
        "the key is a point of small order, for which anyone can forge signatures"
    }


# ---------------------------------------------------------------- what is signed


@pytest.mark.parametrize(
    "extra",
    [
        {"org.example.unknown": [1, {"b": None, "a": "ü\u2028/"}]},
        {"old_verify_keys": {"ed25519:0": {"key": PUBLIC, "expired_ts": 1}}},
        {"old_verify_keys": None},
    ],
)
def test_the_object_is_signed_as_received(extra: Document) -> None:
    """The signature covers unknown fields too."""
    assert evaluate(signed(document(**extra))) == PUBLISHED
    assert complaints(signed(document(**extra)) | {"later": 1}) == [
        (Reason.SIGNATURE_INVALID, "ed25519:1: the signature does not match the document")
    ]


def test_the_field_unsigned_is_not_signed() -> None:
    """It may be added later."""
    assert evaluate(KNOWN | {"unsigned": {"age": 1}}) == evaluate(KNOWN)


def test_signatures_of_other_servers_do_not_matter() -> None:
    """A notary signs the document too."""
    content = signed(document())
    content["signatures"] |= {"notary.test": {"ed25519:n": "nonsense"}, "odd.test": None}
    assert evaluate(content) == PUBLISHED


def test_every_key_must_have_signed() -> None:
    """The keys that have signed are kept."""
    two = document(verify_keys={"ed25519:1": {"key": PUBLIC}, "ed25519:2": {"key": PUBLIC}})
    problem = Problem(Reason.SIGNATURE_INVALID, "ed25519:2: the document is not signed with this key")
    published = replace(PUBLISHED, oddities=frozenset({Oddity.KEY_DID_NOT_SIGN}))
    assert evaluate(signed(two)) == Failure((problem,), published)


@pytest.mark.parametrize(
    ("entry", "detail"),
    [
        ({}, "the key is missing or not a string"),
        (PUBLIC, "the key is missing or not a string"),
        ({"key": 1}, "the key is missing or not a string"),
        ({"key": PUBLIC[:-3]}, "An Ed25519 public key is 32 bytes long"),
        ({"key": "*" * 43}, "not base64: Only base64 data is allowed"),
    ],
)
def test_rejects_a_key_that_cannot_be_used(entry: object, detail: str) -> None:
    """The detail says what is wrong with the key."""
    problem = Problem(Reason.SIGNATURE_INVALID, f"ed25519:1: {detail}")
    minded = {Oddity.KEY_DID_NOT_SIGN, Oddity.KEY_MALFORMED, Oddity.FIRST_SIGNATURE_WRONG}
    published = replace(PUBLISHED, keys={}, oddities=frozenset(minded))
    assert evaluate(signed(document(verify_keys={"ed25519:1": entry}))) == Failure((problem,), published)


@pytest.mark.parametrize("order", [1, -1])
def test_finds_a_wrong_signature_beside_a_good_one(order: int) -> None:
    """Synapse checks the first one only."""
    two = signed(document(verify_keys={"ed25519:1": {"key": PUBLIC}, "ed25519:2": {"key": PUBLIC}}))
    signatures = {"ed25519:1": two["signatures"]["domain"]["ed25519:1"], "ed25519:2": "A" * 86}
    content = two | {"signatures": {"domain": dict(list(signatures.items())[::order])}}
    expected = {Oddity.KEY_DID_NOT_SIGN} | ({Oddity.FIRST_SIGNATURE_WRONG} if order < 0 else set())
    assert set(oddities(evaluate(content))) == expected


@pytest.mark.parametrize(
    "signatures", [{}, {"domain": {}}, {"domain": []}, {"domain": {"ed25519:1": 5}}, {"Domain": {"ed25519:1": "x"}}]
)
def test_rejects_a_missing_signature(signatures: object) -> None:
    """It must be there under the server's own name and the ID of the key."""
    assert complaints(document() | {"signatures": signatures}) == [
        (Reason.SIGNATURE_INVALID, "ed25519:1: the document is not signed with this key")
    ]


@pytest.mark.parametrize("padding", ["=", "=="])
def test_padding_is_tolerated(padding: str) -> None:
    """Real servers send it, although the specification does not have it."""
    content = document(verify_keys={"ed25519:1": {"key": PUBLIC + padding}})
    assert complaints(signed(content)) == []


def test_a_signature_that_has_verified_counts_for_its_document_and_key_alone() -> None:
    """It is not checked again for the same bytes, wherever one of them ends and the next one begins."""
    message, sound = encode_canonical_json(document()), signature(document())
    point, raw = decode_base64(PUBLIC), decode_base64(sound)
    for _ in range(2):
        assert check_signature(PUBLIC, sound, message) is None
        assert check_signature(PUBLIC, sound, message + b" ") == "the signature does not match the document"
        assert check_signature(unpadded(point + raw[:1]), unpadded(raw[1:]), message) is not None
        assert check_signature(PUBLIC, unpadded(raw + message[:1]), message[1:]) is not None


def test_url_safe_base64_is_tolerated() -> None:
    """Homeservers decode both alphabets."""
    content = signed(document())
    content["signatures"]["domain"]["ed25519:1"] = signature(document()).translate(str.maketrans("+/", "-_"))
    assert evaluate(content) == PUBLISHED


@pytest.mark.parametrize("key_id", ["ed25519:a-b", "ed25519:a.b"])
def test_key_ids_are_as_homeservers_accept_them(key_id: str) -> None:
    """The specification allows letters, digits and underscores."""
    content = signed(document(verify_keys={key_id: {"key": PUBLIC}}), key_id=key_id)
    assert evaluate(content) == replace(PUBLISHED, keys={key_id: PUBLIC})


@pytest.mark.parametrize("key_id", ["curve25519:1", "ed25519:", "ed25519:é", "ED25519:1", f"ed25519:{'a' * 65}"])
def test_only_ed25519_keys_count(key_id: str) -> None:
    """The ID of a key says what it is."""
    assert complaints(signed(document(verify_keys={key_id: {"key": PUBLIC}}))) == [
        (Reason.NO_SIGNING_KEY, "verify_keys contains no ed25519 key")
    ]


# ---------------------------------------------------------------- what is wrong without being a problem


@pytest.mark.parametrize(
    ("headers", "content_type"),
    [
        ((), None),
        ((("content-type", ""),), None),
        ((("content-type", "application/json"),), "application/json"),
        ((("content-type", "application/json; charset=utf-8"),), "application/json"),
        ((("content-type", "Application/JSON"),), "Application/JSON"),
        ((("content-type", "application/json"), ("content-type", "text/html")), "application/json"),
        ((("content-type", "text/\x1b[31mhtml"),), "text/\N{REPLACEMENT CHARACTER}[31mhtml"),
    ],
)
def test_the_content_type_is_kept(headers: tuple[tuple[str, str], ...], content_type: str | None) -> None:
    """It is kept without parameters, and printable. Synapse refuses every other type, and minds the case."""
    response = HttpResponse(200, headers, json.dumps(KNOWN).encode())
    found = keys.evaluate(response, "domain", NOW)
    assert isinstance(found, SigningKeys)
    assert found.content_type == content_type
    assert (Oddity.CONTENT_TYPE in found.oddities) == (content_type != "application/json")


INCOMPLETE = "the old key ed25519:0 has no key or no expired_ts"
IN_A_MINUTE, IN_AN_HOUR = (int((NOW + timedelta(minutes=minutes)).timestamp() * 1000) for minutes in (1, 60))


@pytest.mark.parametrize(
    ("old_keys", "faults"),
    [
        (None, ()),
        ({}, ()),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": 1}}, ()),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": IN_A_MINUTE}}, ()),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": IN_AN_HOUR}}, ("the old key ed25519:0 expires in the future",)),
        ({"ed25519:0": {"key": PUBLIC}}, (INCOMPLETE,)),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": "1"}}, (INCOMPLETE,)),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": True}}, (INCOMPLETE,)),
        ({"ed25519:0": {"key": 1, "expired_ts": 1}}, (INCOMPLETE,)),
        ({"ed25519:0": PUBLIC}, (INCOMPLETE,)),
        ({"ed25519:1": {"key": PUBLIC, "expired_ts": 1}}, ("the key ed25519:1 is both in use and old",)),
        (
            {"ed25519:0": {}, "ed25519:1": {"key": PUBLIC, "expired_ts": 1}},
            (INCOMPLETE, "the key ed25519:1 is both in use and old"),
        ),
        ([], ("old_verify_keys should be an object",)),
    ],
)
def test_faults_of_old_keys_are_not_problems(old_keys: object, faults: tuple[str, ...]) -> None:
    """A clock that is slightly ahead is not a fault."""
    found = evaluate(signed(document(old_verify_keys=old_keys)))
    assert isinstance(found, SigningKeys)
    assert (found.keys, found.old_key_faults) == (PUBLISHED.keys, faults)


def test_the_number_of_old_keys_is_bounded() -> None:
    """Keys beyond the bound are ignored."""
    found = evaluate(signed(document(old_verify_keys={f"ed25519:o{number}": {} for number in range(MAX_KEYS + 1)})))
    assert isinstance(found, SigningKeys)
    assert len(found.old_key_faults) == MAX_KEYS


# ---------------------------------------------------------------- server name and validity


def test_the_server_name_is_compared_exactly() -> None:
    """Case matters. The keys are kept, because they have signed the document."""
    problem = Problem(Reason.SERVER_NAME_MISMATCH, "the keys belong to 'domain', expected 'Domain'")
    assert evaluate(KNOWN, server_name="Domain") == Failure((problem,), PUBLISHED)


def test_a_hostile_server_name_is_made_printable() -> None:
    """Details reach logs and terminals."""
    name = "\x1b[31m" + "x" * 200
    found = evaluate(signed(document(server_name=name), signer=name))
    assert isinstance(found, Failure)
    assert [problem.reason for problem in found.problems] == [Reason.SERVER_NAME_MISMATCH]
    assert found.problems[0].detail.isprintable()
    assert len(found.problems[0].detail) < 200


@pytest.mark.parametrize(
    ("late", "expired"), [(timedelta(seconds=-1), False), (timedelta(), True), (timedelta(days=1), True)]
)
def test_keys_expire(late: timedelta, *, expired: bool) -> None:
    """They are valid until just before valid_until_ts."""
    problem = Problem(Reason.KEY_EXPIRED, "valid_until_ts was 2023-11-14 22:13:20 UTC")
    assert evaluate(KNOWN, VALID_UNTIL + late) == (Failure((problem,), PUBLISHED) if expired else PUBLISHED)


def test_every_problem_is_reported() -> None:
    """One problem does not hide another."""
    found = evaluate(KNOWN | {"later": 1}, VALID_UNTIL, "example.test")
    assert isinstance(found, Failure)
    assert [problem.reason for problem in found.problems] == [
        Reason.SERVER_NAME_MISMATCH,
        Reason.SIGNATURE_INVALID,
        Reason.KEY_EXPIRED,
    ]


# ---------------------------------------------------------------- documents that cannot be used at all


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"server_name": None}, "server_name is missing"),
        ({"server_name": 1}, "server_name should be a string"),
        ({"verify_keys": None}, "verify_keys is missing"),
        ({"verify_keys": []}, "verify_keys should be an object"),
        ({"signatures": "x"}, "signatures should be an object"),
        ({"valid_until_ts": None}, "valid_until_ts is missing"),
        ({"valid_until_ts": "1700000000000"}, "valid_until_ts should be a number"),
        ({"valid_until_ts": True}, "valid_until_ts should be a number"),
        ({"valid_until_ts": -1}, "valid_until_ts is not a time in milliseconds since 1970"),
        ({"valid_until_ts": 2**63}, "valid_until_ts is not a time in milliseconds since 1970"),
        (
            {"verify_keys": {f"ed25519:{number}": {} for number in range(MAX_KEYS + 1)}},
            "33 verify keys, expected at most 32",
        ),
    ],
)
def test_names_the_field_that_is_wrong(changes: Document, complaint: str) -> None:
    """The detail says what was expected."""
    content = {**document(), "signatures": {}, **changes}
    content = {name: value for name, value in content.items() if value is not None}
    assert evaluate(content) == Failure((Problem(Reason.INVALID_CONTENT, complaint),))


@pytest.mark.parametrize("valid_until_ts", [253402300799999, 2**53 - 1])
def test_a_time_at_or_after_the_end_of_the_calendar_is_accepted(valid_until_ts: int) -> None:
    """Peers cache keys for seven days at most, no matter what the document says."""
    found = evaluate(signed(document(valid_until_ts=valid_until_ts)))
    assert isinstance(found, SigningKeys)
    assert found.valid_until == datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("valid_until_ts", "expected"), [(1.7e12, {Oddity.NOT_AN_INTEGER}), (2**53, set()), (2**63 - 1, set())]
)
def test_a_time_that_some_homeservers_accept_is_a_problem_with_good_keys(
    valid_until_ts: float, expected: Collection[Oddity]
) -> None:
    """No number of canonical JSON has a fraction or an exponent, or more than 53 bits."""
    body = json.dumps(document(valid_until_ts=valid_until_ts) | {"signatures": {}}).encode()
    found = keys.evaluate(HttpResponse(200, JSON, body), "domain", NOW)
    assert isinstance(found, Failure)
    assert found.problems[-1].detail == "not canonical JSON: a number is not an integer of at most 53 bits"
    assert set(oddities(found)) - {Oddity.KEY_DID_NOT_SIGN} == expected


@pytest.mark.parametrize("value", ["1e400", r'"\ud800"', "1.0", "[{}, [1e3]]", str(2**53), str(-(2**53))])
def test_rejects_what_has_no_canonical_form(value: str) -> None:
    """A signature is over the canonical form."""
    body = json.dumps(KNOWN)[:-1] + f', "odd": {value}}}'
    found = keys.evaluate(HttpResponse(200, JSON, body.encode()), "domain", NOW)
    assert isinstance(found, Failure)
    assert found.problems[-1].reason is Reason.INVALID_CONTENT
    assert found.problems[-1].detail.startswith("not canonical JSON: ")


def test_requires_status_200() -> None:
    """An error of the server is not a key document."""
    response = HttpResponse(404, (), b'{"errcode": "M_UNRECOGNIZED"}')
    assert reasons(keys.evaluate(response, "domain", NOW)) == [Reason.HTTP_STATUS]


# ---------------------------------------------------------------- what only some homeservers refuse


@pytest.mark.parametrize(
    ("old_keys", "expected"),
    [
        ({}, set()),
        ([], {Oddity.OLD_KEYS_NOT_AN_OBJECT}),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": 1}}, set()),
        ({"ed25519:0": {"key": PUBLIC}}, {Oddity.OLD_KEY_WITHOUT_EXPIRY}),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": "1"}}, {Oddity.OLD_KEY_WITHOUT_EXPIRY}),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": True}}, {Oddity.OLD_KEY_WITHOUT_EXPIRY}),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": None}}, {Oddity.OLD_KEY_WITHOUT_EXPIRY}),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": 1.5}}, {Oddity.NOT_AN_INTEGER}),
        ({"curve25519:0": {"key": PUBLIC}}, set()),
        ({"ed25519:0": {"key": "*", "expired_ts": 1}}, {Oddity.OLD_KEY_NOT_BASE64}),
        ({"ed25519:0": {"key": PUBLIC[:-3], "expired_ts": 1}}, {Oddity.OLD_KEY_NOT_BASE64}),
        ({"curve25519:0": {"key": "*", "expired_ts": 1}}, set()),
    ],
)
def test_finds_old_keys_that_spoil_the_document(old_keys: object, expected: Collection[Oddity]) -> None:
    """Each homeserver refuses some of them."""
    assert oddities(evaluate(signed(document(old_verify_keys=old_keys)))) == expected


def test_finds_old_keys_that_are_null() -> None:
    """Synapse expects an object; Dendrite reads null as none."""
    content: Document = document() | {"old_verify_keys": None}
    assert oddities(evaluate(signed(content))) == {Oddity.OLD_KEYS_NULL}


@pytest.mark.parametrize("padded", [("verify_keys", "ed25519:1", "key"), ("signatures", "domain", "ed25519:1")])
def test_finds_padded_base64(padded: tuple[str, str, str]) -> None:
    """It may be in a key, or in a signature."""
    content = json.loads(json.dumps(signed(document())))
    content[padded[0]][padded[1]][padded[2]] += "="
    assert Oddity.PADDED_BASE64 in oddities(evaluate(content))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\xef\xbb\xbf" + json.dumps(KNOWN).encode(), Oddity.BYTE_ORDER_MARK),
        (json.dumps(KNOWN).encode() + b"<!-- -->", Oddity.TRAILING_DATA),
    ],
)
def test_a_body_that_some_homeservers_read_is_a_problem_with_good_keys(body: bytes, expected: Oddity) -> None:
    """It is not JSON."""
    found = keys.evaluate(HttpResponse(200, JSON, body), "domain", NOW)
    assert isinstance(found, Failure)
    assert reasons(found) == [Reason.NOT_JSON]
    assert found.found == replace(PUBLISHED, oddities=frozenset({expected}))


def test_keys_behind_a_redirect_or_with_another_status_are_read() -> None:
    """Some homeservers read them."""
    body = json.dumps(KNOWN).encode()
    redirected = keys.evaluate(HttpResponse(200, JSON, body), "domain", NOW, redirected=True)
    assert redirected == replace(PUBLISHED, oddities=frozenset({Oddity.REDIRECTED}))
    found = keys.evaluate(HttpResponse(201, JSON, body), "domain", NOW)
    assert isinstance(found, Failure)
    assert (reasons(found), found.found) == ([Reason.HTTP_STATUS], PUBLISHED)


# ---------------------------------------------------------------- the document itself


def kept_document(content: Document) -> str | None:
    found = evaluate(content)
    published = found.found if isinstance(found, Failure) else found
    return published.document if published else None


def test_the_document_is_kept_as_received() -> None:
    """It has every field in its order, including unknown ones, in ASCII."""
    content = signed(document(unknown=["ü", {"a": 1.5}]))
    assert kept_document(content) == json.dumps(content, separators=(",", ":"))


@pytest.mark.parametrize("unknown", ["x" * keys.MAX_KEPT, [[]] * keys.MAX_BRACKETS], ids=["large", "brackets"])
def test_a_document_that_is_too_large_is_not_kept(unknown: object) -> None:
    """Its keys are evaluated nevertheless."""
    content = signed(document()) | {"unsigned": unknown}
    assert kept_document(content) is None
    assert evaluate(content) == PUBLISHED


def test_a_document_that_cannot_be_written_as_json_is_not_kept() -> None:
    """A number may be too large for a float, which has no JSON form."""
    body = json.dumps(KNOWN)[:-1] + ', "unsigned": 1e999}'
    found = keys.evaluate(HttpResponse(200, JSON, body.encode()), "domain", NOW)
    assert isinstance(found, SigningKeys)
    assert (found.keys, found.document) == ({"ed25519:1": PUBLIC}, None)
