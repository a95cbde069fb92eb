"""The syntax of signing keys."""

import pytest

from exporter.model.signing_keys import ED25519_KEY_ID, decode_base64


@pytest.mark.parametrize(
    ("key_id", "valid"),
    [
        ("ed25519:a_1", True),
        ("ed25519:" + "x" * 64, True),
        ("ed25519:" + "x" * 65, False),
        ("ed25519:", False),
        ("ed25519", False),
        ("ed448:1", False),
        ("ed25519:ü", False),
        ("ed25519:a-1", True),  # real servers have such keys
        ("ed25519:a 1", False),
    ],
)
def test_key_ids_have_an_algorithm_and_a_version(key_id: str, valid: bool) -> None:  # noqa: FBT001 - a case
    """Only keys of the algorithm ed25519 are used."""
    assert (ED25519_KEY_ID.fullmatch(key_id) is not None) is valid


@pytest.mark.parametrize("text", ["AA", "AA==", "AA="])
def test_padding_is_optional(text: str) -> None:
    """The specification forbids it, but real servers send it."""
    assert decode_base64(text) == b"\0"


def test_the_url_safe_alphabet_is_read_too() -> None:
    """Homeservers do so."""
    assert decode_base64("-_8") == decode_base64("+/8")


@pytest.mark.parametrize("text", ["*", "A", "A A"])
def test_other_text_is_not_base64(text: str) -> None:
    """Neither alphabet has other characters."""
    with pytest.raises(ValueError, match=r"^not base64: "):
        decode_base64(text)
