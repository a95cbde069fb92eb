import time

import pytest
from canonicaljson import encode_canonical_json

from exporter.demo.homeserver import encode_public_key, publishing
from tests.demo.keys_client import decode_base64, fetch_keys, verify
from tests.lab.key_documents import (
    publish_no_ed25519_key,
    publish_old_key_of_tomorrow,
    publish_padded_keys,
    publish_short_lived_keys,
)

NAME = "x.lab.test"


async def test_no_ed25519_key() -> None:
    """The only key is for another algorithm."""
    document = await fetch_keys(publishing(publish_no_ed25519_key)(NAME))
    assert [key_id.partition(":")[0] for key_id in document["verify_keys"]] == ["curve25519"]


async def test_short_lived_keys() -> None:
    """They are correctly signed, and valid for ten minutes."""
    document = await fetch_keys(publishing(publish_short_lived_keys)(NAME))
    verify(document)
    assert document["valid_until_ts"] == pytest.approx((time.time() + 600) * 1000, abs=10_000)


async def test_old_key_of_tomorrow() -> None:
    """The document is correctly signed, and its old key expires tomorrow."""
    document = await fetch_keys(publishing(publish_old_key_of_tomorrow)(NAME))
    verify(document)
    (old_key,) = document["old_verify_keys"].values()
    assert len(decode_base64(old_key["key"])) == 32
    assert old_key["expired_ts"] == pytest.approx((time.time() + 86400) * 1000, abs=10_000)


async def test_padded_keys() -> None:
    """The key is the usual one with padding, and has signed the document as it is."""
    homeserver = publishing(publish_padded_keys)(NAME)
    document = await fetch_keys(homeserver)
    ((key_id, entry),) = document["verify_keys"].items()
    assert entry == {"key": encode_public_key(homeserver.key) + "="}
    signature = decode_base64(document.pop("signatures")[NAME][key_id])
    homeserver.key.public_key().verify(signature, encode_canonical_json(document))
