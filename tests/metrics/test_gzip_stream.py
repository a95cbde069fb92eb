"""Texts that were compressed one by one are one gzip stream."""

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.gzip_stream import Deflated, gzip_stream
from tests.properties import PATIENT

ONE_MEMBER = 31  # the header of gzip, and no more than one member


@PATIENT
@given(st.lists(st.builds(lambda text, times: text * times, st.binary(max_size=200), st.integers(0, 500))))
def test_any_texts_are_one_member(texts: list[bytes]) -> None:
    """Its checksum and its size are right: gzip compares them."""
    stream = b"".join(gzip_stream(map(Deflated.of, texts)))
    assert gzip.decompress(stream) == b"".join(texts)
    reader = zlib.decompressobj(ONE_MEMBER)
    assert (reader.decompress(stream), reader.eof, reader.unused_data) == (b"".join(texts), True, b"")


def test_a_compressed_text_stands_anywhere() -> None:
    """Also twice, and after others than before."""
    first, second = Deflated.of(b"first" * 1000), Deflated.of(b"second" * 1000)
    stream = b"".join(gzip_stream([second, first, second, first]))
    assert gzip.decompress(stream) == (b"second" * 1000 + b"first" * 1000) * 2
