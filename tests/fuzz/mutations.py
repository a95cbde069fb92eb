"""Inputs beside those of a corpus: a few small changes, by a seed that makes them anew."""

import random
from collections.abc import Callable, Sequence

MAX_CHANGES = 6
MAX_BYTES = 8192
ODD = (
    *(b"\0", b"\n", b"\r\n", b"\t", b" ", b'"', b"'", b"\\", b":", b"%", b"[", b"]", b"{", b"}", b"-", b"&a", b"*a"),
    *(b"0", b"-1", b"9" * 19, b"9" * 400, b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b"\\ud800", b"\\u0000"),
    *("é".encode(), "\x85".encode(), "\u2028".encode(), "\ufeff".encode(), "\ufffe".encode(), "💥".encode(), b"\xff"),
)
"""What parsers stumble over."""

Change = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutated(seed: int, corpus: Sequence[bytes]) -> bytes:
    lots = random.Random(seed)
    written = lots.choice(corpus)
    for _ in range(lots.randint(1, MAX_CHANGES)):
        written = lots.choice(CHANGES)(lots, written, corpus)[:MAX_BYTES]
    return written


def cut(lots: random.Random, written: bytes) -> tuple[int, int]:
    """A short piece, mostly."""
    start = lots.randint(0, len(written))
    return start, min(len(written), start + lots.choice((0, 1, 1, 2, 4, 16, 64)))


def flip(lots: random.Random, written: bytes, _: Sequence[bytes]) -> bytes:
    if not written:
        return written
    place = lots.randrange(len(written))
    return written[:place] + bytes([written[place] ^ 1 << lots.randrange(8)]) + written[place + 1 :]


def drop(lots: random.Random, written: bytes, _: Sequence[bytes]) -> bytes:
    start, end = cut(lots, written)
    return written[:start] + written[end:]


def repeat(lots: random.Random, written: bytes, _: Sequence[bytes]) -> bytes:
    start, end = cut(lots, written)
    return written[:end] + written[start:end] * lots.choice((1, 2, 30)) + written[end:]


def put_odd(lots: random.Random, written: bytes, _: Sequence[bytes]) -> bytes:
    start, end = cut(lots, written)
    return written[:start] + lots.choice(ODD) + written[end:]


def put_byte(lots: random.Random, written: bytes, _: Sequence[bytes]) -> bytes:
    start, end = cut(lots, written)
    return written[:start] + lots.randbytes(1) + written[end:]


def splice(lots: random.Random, written: bytes, corpus: Sequence[bytes]) -> bytes:
    other = lots.choice(corpus)
    return written[: lots.randint(0, len(written))] + other[lots.randint(0, len(other)) :]


CHANGES: tuple[Change, ...] = (flip, flip, drop, repeat, put_odd, put_odd, put_byte, splice)
