"""What remote servers send, made safe to show and cheap to keep. Pure."""

import re
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

_ELLIPSIS = "…"
_BYTES_READ_PER_CHARACTER = 8  # a character may have four bytes, and pages begin with many blanks
_BLANKS = re.compile(r"\s+")
_BYTES_LITERAL = re.compile(r"(?:bytearray\()?b(['\"])(.*)\1\)?", re.DOTALL)
_MAX_SHARED_CHARACTERS = 64
_MAX_SHARED = 4096  # values of mostly a hundred bytes: what few servers send is soon forgotten

NOTHING: Final[Mapping[Any, Any]] = {}
"""The one empty mapping of all reports: another dict would take 64 bytes."""

_Value = TypeVar("_Value", bound=Hashable)


def printable(text: str, at_most: int) -> str:
    """Return `text` cut to `at_most` characters, with every character replaced that a terminal or page could act on.

    Equal short texts are one object.
    """
    cut = text if len(text) <= at_most else text[: at_most - 1] + _ELLIPSIS
    if not cut.isprintable():
        cut = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut)
    return shared(cut) if len(cut) <= _MAX_SHARED_CHARACTERS else cut


def shared(value: _Value) -> _Value:
    """Return the object that stands for all equal values: thousands of servers send the same.

    It must be immutable and small. It is forgotten after a while: Python 3.12 never frees an interned text.
    """
    return cast("_Value", _first(value))


@lru_cache(_MAX_SHARED, typed=True)  # a member of an enumeration equals its text
def _first(value: Hashable) -> Hashable:
    return value


def without_bytes_literal(text: str) -> str:
    """Return the text of an error without Python's notation for bytes, in which h11 shows what it cannot parse."""
    return _BYTES_LITERAL.sub(r"\2", text)


def excerpt(body: bytes, at_most: int) -> str:
    """Return the beginning of a body, by which it can be recognised, with every run of blanks as a single one."""
    beginning = body[: at_most * _BYTES_READ_PER_CHARACTER].decode(errors="replace")
    return printable(_BLANKS.sub(" ", beginning).strip(), at_most)
