import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from canonicaljson import encode_canonical_json
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exporter.model.findings import SigningKeys
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
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

Document = dict[str, Any]


def document(**changes: object) -> Document:
    """Unsigned. A change to None takes the field away."""
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


def read(content: Document, now: datetime = NOW, server_name: str = "domain") -> SigningKeys | Failure[SigningKeys]:
    return keys.evaluate(HttpResponse(200, (), json.dumps(content, ensure_ascii=False).encode()), server_name, now)


def complaints(content: Document) -> list[tuple[Reason, str]]:
    reading = read(content)
    return [(problem.reason, problem.detail) for problem in reading.problems] if isinstance(reading, Failure) else []


# ---------------------------------------------------------------- known answers


KNOWN = document() | {
    "signatures": {
        "domain": {
            "ed25519:1": "ewq/uPhfAzmWSa/3PRlr5Q0W59jG75Wtb6mzxIELuVRAxYMHOeMFue6fNXijZkIwLLembQ0+gl7DIkiUGcoUBg"
        }
    }
}


def test_accepts_a_known_answer() -> None:
    """Signed by another implementation, with the key of the specification."""
    assert read(KNOWN) == SigningKeys({"ed25519:1": PUBLIC}, VALID_UNTIL)


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
    assert check_signature(PUBLIC, signed_by_specification, message) is None
    assert check_signature(PUBLIC, signed_by_specification, message + b" ") == "the signature does not match the answer"


@pytest.mark.parametrize("sign", [0, 1 << 255])
@pytest.mark.parametrize("y", sorted(keys.SMALL_ORDER))
def test_a_key_with_which_anybody_can_sign_is_none(y: int, sign: int) -> None:
    """The signature fits one message in eight, or all of them."""
    point, made_up = (y | sign).to_bytes(32, "little"), bytes([1]) + bytes(63)
    answers = {check_signature(unpadded(point), unpadded(made_up), b"%d" % number) for number in range(100)}
    assert answers - {"the signature does not match the answer"} == {
        "the key is a point of small order, for which anybody can sign"
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
    """Unknown fields count, whatever their order."""
    assert read(signed(document(**extra))) == SigningKeys({"ed25519:1": PUBLIC}, VALID_UNTIL)
    assert complaints(signed(document(**extra)) | {"later": 1}) == [
        (Reason.SIGNATURE_INVALID, "ed25519:1: the signature does not match the answer")
    ]


def test_what_is_unsigned_may_be_added_later() -> None:
    assert read(KNOWN | {"unsigned": {"age": 1}}) == read(KNOWN)


def test_signatures_of_others_do_not_matter() -> None:
    """A notary signs too."""
    content = signed(document())
    content["signatures"] |= {"notary.test": {"ed25519:n": "nonsense"}, "odd.test": None}
    assert read(content) == SigningKeys({"ed25519:1": PUBLIC}, VALID_UNTIL)


def test_every_key_must_have_signed() -> None:
    """Those that have are kept."""
    two = document(verify_keys={"ed25519:1": {"key": PUBLIC}, "ed25519:2": {"key": PUBLIC}})
    problem = Problem(Reason.SIGNATURE_INVALID, "ed25519:2: the key has not signed the answer")
    assert read(signed(two)) == Failure((problem,), SigningKeys({"ed25519:1": PUBLIC}, VALID_UNTIL))


@pytest.mark.parametrize(
    ("entry", "detail"),
    [
        ({}, "the key is missing or no string"),
        (PUBLIC, "the key is missing or no string"),
        ({"key": 1}, "the key is missing or no string"),
        ({"key": PUBLIC[:-3]}, "An Ed25519 public key is 32 bytes long"),
        ({"key": "*" * 43}, "no base64: Only base64 data is allowed"),
        ({"key": PUBLIC.replace("X", "-", 1)}, "no base64: Only base64 data is allowed"),
    ],
)
def test_a_key_that_cannot_be_used(entry: object, detail: str) -> None:
    reading = read(signed(document(verify_keys={"ed25519:1": entry})))
    problem = Problem(Reason.SIGNATURE_INVALID, f"ed25519:1: {detail}")
    assert reading == Failure((problem,), SigningKeys({}, VALID_UNTIL))


@pytest.mark.parametrize(
    "signatures", [{}, {"domain": {}}, {"domain": []}, {"domain": {"ed25519:1": 5}}, {"Domain": {"ed25519:1": "x"}}]
)
def test_a_signature_that_is_not_there(signatures: object) -> None:
    assert complaints(document() | {"signatures": signatures}) == [
        (Reason.SIGNATURE_INVALID, "ed25519:1: the key has not signed the answer")
    ]


@pytest.mark.parametrize("padding", ["=", "=="])
def test_padding_is_tolerated(padding: str) -> None:
    """Real servers send it, although the specification has none."""
    content = document(verify_keys={"ed25519:1": {"key": PUBLIC + padding}})
    assert complaints(signed(content)) == []


@pytest.mark.parametrize(
    "key_id", ["curve25519:1", "ed25519:", "ed25519:a-b", "ed25519:é", "ED25519:1", f"ed25519:{'a' * 65}"]
)
def test_other_keys_do_not_count(key_id: str) -> None:
    assert complaints(signed(document(verify_keys={key_id: {"key": PUBLIC}}))) == [
        (Reason.NO_SIGNING_KEY, "verify_keys holds no ed25519 key")
    ]


# ---------------------------------------------------------------- what is odd, and no problem


@pytest.mark.parametrize(
    ("headers", "content_type"),
    [
        ((), None),
        ((("content-type", ""),), None),
        ((("content-type", "application/json"),), "application/json"),
        ((("content-type", "Application/JSON; charset=utf-8"),), "application/json"),
        ((("content-type", "text/\x1b[31mhtml"),), "text/\N{REPLACEMENT CHARACTER}[31mhtml"),
    ],
)
def test_the_type_of_the_content_is_kept(headers: tuple[tuple[str, str], ...], content_type: str | None) -> None:
    """In lower case, without parameters, and safe to show."""
    answer = HttpResponse(200, headers, json.dumps(KNOWN).encode())
    assert keys.evaluate(answer, "domain", NOW) == SigningKeys({"ed25519:1": PUBLIC}, VALID_UNTIL, content_type)


LACKING = "the old key ed25519:0 lacks its key or expired_ts"
IN_A_MINUTE, IN_AN_HOUR = (int((NOW + timedelta(minutes=minutes)).timestamp() * 1000) for minutes in (1, 60))


@pytest.mark.parametrize(
    ("old_keys", "faults"),
    [
        (None, ()),
        ({}, ()),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": 1}}, ()),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": IN_A_MINUTE}}, ()),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": IN_AN_HOUR}}, ("the old key ed25519:0 expires in the future",)),
        ({"ed25519:0": {"key": PUBLIC}}, (LACKING,)),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": "1"}}, (LACKING,)),
        ({"ed25519:0": {"key": PUBLIC, "expired_ts": True}}, (LACKING,)),
        ({"ed25519:0": {"key": 1, "expired_ts": 1}}, (LACKING,)),
        ({"ed25519:0": PUBLIC}, (LACKING,)),
        ({"ed25519:1": {"key": PUBLIC, "expired_ts": 1}}, ("the key ed25519:1 is both in use and old",)),
        (
            {"ed25519:0": {}, "ed25519:1": {"key": PUBLIC, "expired_ts": 1}},
            (LACKING, "the key ed25519:1 is both in use and old"),
        ),
        ([], ("old_verify_keys should be an object",)),
    ],
)
def test_old_keys_that_are_odd(old_keys: object, faults: tuple[str, ...]) -> None:
    """They fail nothing. A clock that is a little ahead is not odd."""
    found = SigningKeys({"ed25519:1": PUBLIC}, VALID_UNTIL, old_key_faults=faults)
    assert read(signed(document(old_verify_keys=old_keys))) == found


def test_no_more_old_keys_are_looked_at_than_new_ones() -> None:
    reading = read(signed(document(old_verify_keys={f"ed25519:o{number}": {} for number in range(MAX_KEYS + 1)})))
    assert isinstance(reading, SigningKeys)
    assert len(reading.old_key_faults) == MAX_KEYS


# ---------------------------------------------------------------- whose keys, and how long


def test_the_server_name_is_compared_exactly() -> None:
    """Case included; the keys are still those that the answer bears out."""
    problem = Problem(Reason.SERVER_NAME_MISMATCH, "the keys are those of 'domain', expected 'Domain'")
    assert read(KNOWN, server_name="Domain") == Failure((problem,), SigningKeys({"ed25519:1": PUBLIC}, VALID_UNTIL))


def test_a_name_that_nobody_should_see_is_made_safe() -> None:
    name = "\x1b[31m" + "x" * 200
    reading = read(signed(document(server_name=name), signer=name))
    assert isinstance(reading, Failure)
    assert [problem.reason for problem in reading.problems] == [Reason.SERVER_NAME_MISMATCH]
    assert reading.problems[0].detail.isprintable()
    assert len(reading.problems[0].detail) < 200


@pytest.mark.parametrize(
    ("late", "expired"), [(timedelta(seconds=-1), False), (timedelta(), True), (timedelta(days=1), True)]
)
def test_keys_expire(late: timedelta, *, expired: bool) -> None:
    reading = read(KNOWN, VALID_UNTIL + late)
    problem = Problem(Reason.KEY_EXPIRED, "valid_until_ts was 2023-11-14 22:13:20 UTC")
    found = SigningKeys({"ed25519:1": PUBLIC}, VALID_UNTIL)
    assert reading == (Failure((problem,), found) if expired else found)


def test_tells_every_fault() -> None:
    reading = read(KNOWN | {"later": 1}, VALID_UNTIL, "example.test")
    assert isinstance(reading, Failure)
    assert [problem.reason for problem in reading.problems] == [
        Reason.SERVER_NAME_MISMATCH,
        Reason.SIGNATURE_INVALID,
        Reason.KEY_EXPIRED,
    ]


# ---------------------------------------------------------------- what cannot be read at all


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"server_name": None}, "server_name is missing"),
        ({"server_name": 1}, "server_name should be a string"),
        ({"verify_keys": None}, "verify_keys is missing"),
        ({"verify_keys": []}, "verify_keys should be an object"),
        ({"signatures": "x"}, "signatures should be an object"),
        ({"valid_until_ts": None}, "valid_until_ts is missing"),
        ({"valid_until_ts": "1700000000000"}, "valid_until_ts should be an integer"),
        ({"valid_until_ts": 1.7e12}, "valid_until_ts should be an integer"),
        ({"valid_until_ts": True}, "valid_until_ts should be an integer"),
        ({"valid_until_ts": -1}, "valid_until_ts is no time in milliseconds since 1970"),
        ({"valid_until_ts": 2**53}, "valid_until_ts is no time in milliseconds since 1970"),
        ({"valid_until_ts": 10**18}, "valid_until_ts is no time in milliseconds since 1970"),
        (
            {"verify_keys": {f"ed25519:{number}": {} for number in range(MAX_KEYS + 1)}},
            "33 verify keys, at most 32 were expected",
        ),
    ],
)
def test_names_the_field_that_is_wrong(changes: Document, complaint: str) -> None:
    content = {**document(), "signatures": {}, **changes}
    content = {name: value for name, value in content.items() if value is not None}
    assert read(content) == Failure((Problem(Reason.INVALID_CONTENT, complaint),))


def test_the_farthest_time_that_there_is() -> None:
    """Nobody's clock breaks on it."""
    reading = read(signed(document(valid_until_ts=253402300799999)))
    assert isinstance(reading, SigningKeys)
    assert reading.valid_until.year == 9999


def test_a_time_beyond_our_calendar_is_far_enough() -> None:
    """Peers keep keys for seven days at most, whatever the document says."""
    reading = read(signed(document(valid_until_ts=2**53 - 1)))
    assert isinstance(reading, SigningKeys)
    assert reading.valid_until.year == 9999


@pytest.mark.parametrize("value", ["1e400", r'"\ud800"', "1.0", "[{}, [1e3]]", str(2**53), str(-(2**53))])
def test_what_has_no_canonical_form_has_no_signature(value: str) -> None:
    body = json.dumps(KNOWN)[:-1] + f', "odd": {value}}}'
    reading = keys.evaluate(HttpResponse(200, (), body.encode()), "domain", NOW)
    assert isinstance(reading, Failure)
    assert [problem.reason for problem in reading.problems] == [Reason.INVALID_CONTENT]
    assert reading.problems[0].detail.startswith("no canonical JSON: ")


def test_an_error_of_the_server_is_named_as_such() -> None:
    answer = HttpResponse(404, (), b'{"errcode": "M_UNRECOGNIZED"}')
    assert keys.evaluate(answer, "domain", NOW) == Failure((Problem(Reason.HTTP_STATUS, "status 404, expected 200"),))


# ---------------------------------------------------------------- the document itself


def kept(content: Document) -> str | None:
    reading = read(content)
    published = reading.found if isinstance(reading, Failure) else reading
    return published.document if published else None


def test_the_document_is_kept_as_received() -> None:
    """Every field in its order, unknown ones too, in ASCII."""
    content = signed(document(unknown=["ü", {"a": 1.5}]))
    assert kept(content) == json.dumps(content, separators=(",", ":"))


@pytest.mark.parametrize(
    "unknown", ["x" * keys.MAX_KEPT, [[]] * keys.MAX_BRACKETS, 1e999], ids=["large", "brackets", "not JSON"]
)
def test_a_document_that_is_not_worth_keeping(unknown: object) -> None:
    """It is judged all the same."""
    assert kept(signed(document()) | {"unsigned": unknown}) is None


def test_endpoints_share_one_document() -> None:
    """There may be many of them, and 20,000 servers."""
    assert kept(KNOWN) is kept(KNOWN)
