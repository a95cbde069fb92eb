"""What remote servers send, made safe to show."""

import pytest

from exporter.model.sanitize import excerpt, printable


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


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", ""),
        (b"\r\n <html>\n\n\t<p>", "<html> <p>"),
        (b"0123456789a", "012345678…"),
        ("ü€\N{GRINNING FACE}".encode(), "ü€\N{GRINNING FACE}"),
        (b"\xff\x1b", "\N{REPLACEMENT CHARACTER}" * 2),
        (b" " * 100 + b"x", ""),
    ],
)
def test_an_excerpt_is_the_beginning_of_a_body(body: bytes, shown: str) -> None:
    """Blanks are shown once, and only a part is read."""
    assert excerpt(body, 10) == shown
