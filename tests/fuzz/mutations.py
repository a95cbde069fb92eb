"""Mutates inputs of a corpus. The same seed makes the same mutations."""

import random
from collections.abc import Callable, Sequence

MAX_MUTATIONS = 6
MAX_BYTES = 8192
DICTIONARY = (
    *(b"\0", b"\n", b"\r\n", b"\t", b" ", b'"', b"'", b"\\", b":", b"%", b"[", b"]", b"{", b"}", b"-", b"&a", b"*a"),
    *(b"0", b"-1", b"9" * 19, b"9" * 400, b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b"\\ud800", b"\\u0000"),
    *("é".encode(), "\x85".encode(), "\u2028".encode(), "\ufeff".encode(), "\ufffe".encode(), "💥".encode(), b"\xff"),
)
"""Tokens that parsers often handle wrongly."""

Mutator = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutate(seed: int, corpus: Sequence[bytes]) -> bytes:
    rng = random.Random(seed)
    data = rng.choice(corpus)
    for _ in range(rng.randint(1, MAX_MUTATIONS)):
        data = rng.choice(MUTATORS)(rng, data, corpus)[:MAX_BYTES]
    return data


def choose_range(rng: random.Random, data: bytes) -> tuple[int, int]:
    """Return the start and the end of a range, which is usually short."""
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.choice((0, 1, 1, 2, 4, 16, 64)))


def flip_bit(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    position = rng.randrange(len(data))
    return data[:position] + bytes([data[position] ^ 1 << rng.randrange(8)]) + data[position + 1 :]


def remove_range(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = choose_range(rng, data)
    return data[:start] + data[end:]


def repeat_range(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = choose_range(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 2, 30)) + data[end:]


def replace_by_token(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = choose_range(rng, data)
    return data[:start] + rng.choice(DICTIONARY) + data[end:]


def replace_by_byte(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = choose_range(rng, data)
    return data[:start] + rng.randbytes(1) + data[end:]


def splice(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    other = rng.choice(corpus)
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


MUTATORS: tuple[Mutator, ...] = (
    flip_bit,
    flip_bit,
    remove_range,
    repeat_range,
    replace_by_token,
    replace_by_token,
    replace_by_byte,
    splice,
)
