"""What remote servers send, made safe to show and cheap to keep."""

import pytest

from exporter.model.reasons import Reason
from exporter.model.sanitize import excerpt, printable, shared


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


def test_equal_short_texts_are_one_object() -> None:
    """Thousands of servers send the same, such as the name of their software."""
    texts = [printable(b"Synapse".decode(), 64) for _ in range(2)]
    assert texts[0] is texts[1]


def test_what_is_shared_is_forgotten() -> None:
    """Servers that send something else every time take no memory for ever."""
    first = shared(b"Synapse".decode())
    for number in range(10_000):
        shared(str(number))
    assert shared(b"Synapse".decode()) is not first


def test_a_text_is_no_member_of_an_enumeration() -> None:
    """They are equal, but only one of them has the methods of the other."""
    shared(Reason.NXDOMAIN)
    assert type(shared("nxdomain")) is str
