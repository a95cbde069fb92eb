"""Text from remote servers, made safe to show."""

import pytest

from exporter.model.sanitize import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("five!", "five!"),
        ("six...", "six.…"),
        ("ü€", "ü€"),
        ("a\nb", "a\N{REPLACEMENT CHARACTER}b"),
        ("\x1b[0m", "\N{REPLACEMENT CHARACTER}[0m"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b", "a\N{REPLACEMENT CHARACTER}b"),
        ("\ud800", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_text_is_printable_and_bounded(text: str, shown: str) -> None:
    """A text that is too long ends in an ellipsis; every unprintable character is replaced."""
    assert printable(text, 5) == shown
