"""Signing, and verifying what others signed. The known answers were computed with other implementations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.signing_keys import parse_seed
from exporter.outbound.signing import Credentials, SigningKey, generate_seed, parse_authorization

# The key of the specification's appendices.
SPEC_SEED = "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"
SPEC_PUBLIC = "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"
VERSION_URI = "/_matrix/federation/v1/version"


def key_of(server_name: str, version: str, seed: str) -> SigningKey:
    return SigningKey.from_seed(server_name, parse_seed(f"ed25519 {version} {seed}"))


SPEC_KEY = key_of("domain", "1", SPEC_SEED)
# One of gomatrixserverlib's own tests.
GO_KEY = key_of("localhost:8800", "a_Obwu", "QJvXAPj0D9MUb1exkD8pIWmCvT1xajlsB8jRYz/G5HE")


@pytest.mark.parametrize(
    ("key", "uri", "destination", "signature"),
    [
        (
            SPEC_KEY,
            VERSION_URI,
            "remote.example",
            "wR1E4UZ3G3F2knf0x+RNgxQ2N/hCiZ/ZdOktAey0wSvTWc/nHH8YPJaOvRhipwX46AZPntLZhHd0DFjZ7H7iDQ",
        ),
        (
            GO_KEY,
            "/_matrix/federation/v1/query/directory?room_alias=%23test%3Alocalhost%3A44033",
            "localhost:44033",
            "7vt4vP/w8zYB3Zg77nuTPwie3TxEy2OHZQMsSa4nsXZzL4/qw+DguXbyMy3BF77XvSJmBt+Gw+fU6T4HId7fBg",
        ),
    ],
)
def test_a_request_is_signed_as_other_implementations_sign_it(
    key: SigningKey, uri: str, destination: str, signature: str
) -> None:
    header = key.authorization(uri, destination)
    assert header == (
        f'X-Matrix origin="{key.server_name}",destination="{destination}",key="{key.key_id}",sig="{signature}"'
    )


def test_a_key_document_is_signed_as_other_implementations_sign_it() -> None:
    document = {
        "server_name": "domain",
        "valid_until_ts": 1700000000000,
        "verify_keys": {"ed25519:1": {"key": SPEC_KEY.public}},
        "old_verify_keys": {},
    }
    assert SPEC_KEY.public == SPEC_PUBLIC
    assert SPEC_KEY.sign(document)["signatures"] == {
        "domain": {
            "ed25519:1": "ewq/uPhfAzmWSa/3PRlr5Q0W59jG75Wtb6mzxIELuVRAxYMHOeMFue6fNXijZkIwLLembQ0+gl7DIkiUGcoUBg"
        }
    }


def credentials(header: str) -> Credentials:
    parsed = parse_authorization(header)
    assert parsed is not None
    return parsed


def test_what_this_key_signed_verifies() -> None:
    signed = credentials(SPEC_KEY.authorization(VERSION_URI, "us.example"))
    keys = {SPEC_KEY.key_id: SPEC_KEY.public}
    assert signed.origin == "domain"
    assert signed.complaint("GET", VERSION_URI, "us.example", keys) is None


@pytest.mark.parametrize(
    ("method", "uri", "destination", "keys", "expected"),
    [
        ("PUT", VERSION_URI, "us.example", {"ed25519:1": SPEC_PUBLIC}, "its signature does not match"),
        ("GET", f"{VERSION_URI}?", "us.example", {"ed25519:1": SPEC_PUBLIC}, "its signature does not match"),
        ("GET", VERSION_URI, "them.example", {"ed25519:1": SPEC_PUBLIC}, "it is signed for another server"),
        ("GET", VERSION_URI, "us.example", {"ed25519:1": GO_KEY.public}, "its signature does not match"),
        ("GET", VERSION_URI, "us.example", {"ed25519:1": "?"}, "its signature does not match"),
        ("GET", VERSION_URI, "us.example", {}, "it is signed with a key that the server does not publish"),
    ],
)
def test_whatever_was_changed_on_the_way_is_noticed(
    method: str, uri: str, destination: str, keys: dict[str, str], expected: str
) -> None:
    signed = credentials(SPEC_KEY.authorization(VERSION_URI, "us.example"))
    assert signed.complaint(method, uri, destination, keys) == expected


@pytest.mark.parametrize(
    "header",
    [
        'X-Matrix origin="a",destination="b",key="ed25519:1",sig="c"',
        "X-Matrix origin=a,destination=b,key=ed25519:1,sig=c",
        'x-matrix  sig="c" , key="ed25519:1",\tdestination="b", origin="a"',
        'X-Matrix origin="a",destination="b",key="ed25519:1",sig="c",unknown="d"',
    ],
)
def test_every_spelling_of_the_header_is_understood(header: str) -> None:
    """As in RFC 9110: quoted or not, in any order, with blanks, and with parameters that are not known."""
    assert credentials(header) == Credentials("a", "b", "ed25519:1", "c")


def test_a_destination_may_be_missing() -> None:
    """Servers that are older than version 1.3 of the specification do not send it."""
    assert credentials('X-Matrix origin="a",key="ed25519:1",sig="c"').destination is None


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "X-Matrix",
        "Bearer abc",
        'X-Matrix origin="a"',
        'X-Matrix origin="a",key="b" sig="c"',
        'X-Matrix origin="a,key="b",sig="c"',
        'X-Matrix origin="' + "a" * 2048 + '",key="b",sig="c"',
    ],
)
def test_a_malformed_header_claims_nothing(header: str | None) -> None:
    assert parse_authorization(header) is None


@given(st.text(max_size=200))
def test_any_header_claims_something_or_nothing(text: str) -> None:
    parsed = parse_authorization(f"X-Matrix {text}")
    assert parsed is None or parsed.origin in text


def test_a_new_key_is_written_as_synapse_reads_it_and_its_id_follows_from_it() -> None:
    seed = generate_seed()
    assert parse_seed(str(seed)) == seed
    assert str(seed).split()[0] == "ed25519"
    assert len(seed.seed) == 32
    assert generate_seed().key_id != seed.key_id


def test_a_key_is_never_shown() -> None:
    seed = generate_seed()
    shown = repr(seed) + repr(SigningKey.from_seed("us.example", seed))
    assert repr(seed.seed)[2:-1] not in shown
    assert str(seed).split()[2] not in shown


@pytest.mark.parametrize(
    "text", ["", "ed25519 1", f"ed25519 1 {SPEC_SEED}=\nmore", f"rsa 1 {SPEC_SEED}", f"ed25519 a-b {SPEC_SEED}"]
)
def test_what_is_not_a_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="expected one line with ed25519") as caught:
        parse_seed(text)
    assert SPEC_SEED not in str(caught.value)
