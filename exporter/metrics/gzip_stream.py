"""gzip (RFC 1952) of texts each of which is compressed on its own, so that one that has not changed is kept compressed.

All of them are one member. Several members would be valid too, but curl reads no more than the first.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

_LEVEL: Final = 1  # level 9 takes ten times as long for four fifths of the size
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_HEADER: Final = (
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # deflate, no time, compressed quickly, on an unknown system
)
_LAST_BLOCK: Final = b"\x03\x00"  # it is empty
_POLYNOMIAL: Final = 0xEDB88320  # RFC 1952, section 8; its highest power is the lowest bit
_ONE: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class Deflated:
    """A compressed text."""

    blocks: bytes
    """Of deflate (RFC 1951), up to the end of a byte. They refer to nothing before them."""
    checksum: int
    size: int
    """Of the text, in bytes."""
    shift: int
    """A factor: what as many zeros do to the checksum of what comes before."""

    @classmethod
    def of(cls, text: bytes) -> Self:
        compressor = zlib.compressobj(_LEVEL, wbits=_RAW_DEFLATE)
        blocks = compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
        zeros = bytes(len(text))
        return cls(blocks, zlib.crc32(text), len(text), zlib.crc32(zeros, _ONE) ^ zlib.crc32(zeros))


def gzip_stream(texts: Iterable[Deflated]) -> Iterator[bytes]:
    """Yield the stream, with a piece for each text that is not empty."""
    yield _HEADER
    checksum = size = 0
    for text in texts:
        if text.size:
            yield text.blocks
            checksum = _multiply(checksum, text.shift) ^ text.checksum
            size += text.size
    yield _LAST_BLOCK + checksum.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")


def _multiply(left: int, right: int) -> int:
    """Return the product of two polynomials over GF(2), modulo that of the checksum."""
    product = 0
    while left:
        if left & _ONE:
            product ^= right
        left = left << 1 & 0xFFFFFFFF
        right = right >> 1 ^ (_POLYNOMIAL if right & 1 else 0)
    return product
