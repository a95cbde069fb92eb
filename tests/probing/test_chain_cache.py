"""The cache of evaluated certificate chains, and its bounds."""

from dataclasses import fields, is_dataclass
from sys import getsizeof

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from exporter.probing.chain_cache import EVALUATIONS_BYTES, ChainCache, weight
from exporter.probing.evidence import Handshake
from exporter.probing.stages import tls
from exporter.probing.stages.tls import MAX_NAMES
from tests.certificates import certificate, handshake


def test_the_weight_of_an_evaluation_is_about_its_size() -> None:
    """The chain has the largest evaluation that a server can cause."""
    weak = rsa.generate_private_key(65537, 1024)
    above = [certificate(subject=f"{number}" * 64, issuer="\N{BLACK STAR}" * 21, key=weak) for number in range(4)]
    leaf = certificate(*(f"name-{number}.test" for number in range(MAX_NAMES)))
    evaluation = tls._evaluate_chain(Handshake((leaf, *above), (), "TLSv1.3"), "example.test", ChainCache())
    assert (len(evaluation.problems), len(evaluation.issuers)) == (5, 4)
    assert weight(evaluation) == pytest.approx(deep_size(evaluation), rel=0.25)


def deep_size(value: object) -> int:
    """Return the size of a value in bytes, with everything that it contains."""
    if isinstance(value, tuple):
        return getsizeof(value) + sum(map(deep_size, value))
    if is_dataclass(value):
        return getsizeof(value) + sum(deep_size(getattr(value, field.name)) for field in fields(value))
    return getsizeof(value)


def test_the_cache_is_bounded_in_bytes() -> None:
    """A server may present a different chain at each of 32 addresses, at every probe."""
    cache = ChainCache()
    finished = handshake(*(f"n{number}.test" for number in range(MAX_NAMES)))
    tls.evaluate(finished, "n1.test", cache)
    assert cache.evaluations._weight == weight(tls._evaluate_chain(finished, "n1.test", cache)) > 3000
    assert cache.evaluations._capacity == EVALUATIONS_BYTES


def test_the_representation_of_a_cache_shows_how_full_it_is() -> None:
    """It helps while debugging."""
    cache = ChainCache()
    tls.evaluate(handshake("example.test"), "example.test", cache)
    assert repr(cache).startswith("<ChainCache: evaluations <LruCache: 1 entries, ")
    assert repr(cache).endswith(", issuers <LruCache: 1 entries, 1 of 256>>")
