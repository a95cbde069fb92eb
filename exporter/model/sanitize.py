"""What remote servers send, made safe to show. Pure."""

import re

_ELLIPSIS = "…"
_BYTES_READ_PER_CHARACTER = 8  # a character may have four bytes, and pages begin with many blanks
_BLANKS = re.compile(r"\s+")
_BYTES_LITERAL = re.compile(r"(?:bytearray\()?b(['\"])(.*)\1\)?", re.DOTALL)


def printable(text: str, at_most: int) -> str:
    """Return `text` cut to `at_most` characters, with every character replaced that a terminal or page could act on."""
    cut = text if len(text) <= at_most else text[: at_most - 1] + _ELLIPSIS
    if cut.isprintable():
        return cut
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut)


def without_bytes_literal(text: str) -> str:
    """Return the text of an error without Python's notation for bytes, in which h11 shows what it cannot parse."""
    return _BYTES_LITERAL.sub(r"\2", text)


def excerpt(body: bytes, at_most: int) -> str:
    """Return the beginning of a body, by which it can be recognised, with every run of blanks as a single one."""
    beginning = body[: at_most * _BYTES_READ_PER_CHARACTER].decode(errors="replace")
    return printable(_BLANKS.sub(" ", beginning).strip(), at_most)
