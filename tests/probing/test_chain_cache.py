"""The cache of evaluated certificate chains, and its bounds."""

import tracemalloc
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from exporter.probing.chain_cache import EVALUATIONS_BYTES, ChainCache, ChainEvaluation, ChainKey
from exporter.probing.evidence import Handshake
from exporter.probing.stages import tls
from exporter.probing.stages.tls import MAX_NAMES
from tests.certificates import certificate, handshake

ENTRIES = 1000


def largest_evaluation() -> ChainEvaluation:
    """Return the largest that a server can cause."""
    weak = rsa.generate_private_key(65537, 1024)
    above = [certificate(subject=f"{number}" * 64, issuer="\N{BLACK STAR}" * 21, key=weak) for number in range(4)]
    leaf = certificate(*(f"name-{number}.test" for number in range(MAX_NAMES)))
    evaluation = tls._evaluate_chain(Handshake((leaf, *above), (), "TLSv1.3"), "example.test", ChainCache())
    assert (len(evaluation.problems), len(evaluation.issuers)) == (5, 4)
    return evaluation


def usual_evaluation() -> ChainEvaluation:
    return tls._evaluate_chain(handshake("example.test"), "example.test", ChainCache())


@pytest.mark.parametrize("evaluation", [usual_evaluation(), largest_evaluation()], ids=["usual", "largest"])
def test_the_weight_of_an_evaluation_is_about_its_size(evaluation: ChainEvaluation) -> None:
    cache = ChainCache()
    cache.remember(key_of(0), evaluation)  # which may become a dictionary
    tracemalloc.start()
    before, weight = tracemalloc.get_traced_memory()[0], cache._evaluations._weight
    for number in range(1, ENTRIES):
        cache.remember(key_of(number), evaluation)
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert cache._evaluations._weight - weight == pytest.approx(taken, rel=0.25)


def key_of(number: int) -> ChainKey:
    return sha256(b"presented %d" % number).digest(), sha256(b"verified %d" % number).digest(), (), f"n{number}.test"


def test_what_is_recalled_is_what_was_remembered() -> None:
    cache, evaluations = ChainCache(), (usual_evaluation(), largest_evaluation(), ChainEvaluation(()))
    for number, evaluation in enumerate(evaluations):
        cache.remember(key_of(number), evaluation)
    assert tuple(cache.recall(key_of(number)) for number in range(4)) == (*evaluations, None)


def test_the_cache_is_bounded_in_bytes() -> None:
    """A server may present a different chain at each of 32 addresses, at every probe."""
    cache = ChainCache()
    assert cache._evaluations._capacity == EVALUATIONS_BYTES
    cache.remember(key_of(0), largest_evaluation())
    assert cache._evaluations._weight > 1000


def test_the_representation_of_a_cache_shows_how_full_it_is() -> None:
    """It helps while debugging."""
    cache = ChainCache()
    tls.evaluate(handshake("example.test"), "example.test", cache)
    assert repr(cache).startswith("<ChainCache: evaluations <LruCache: 1 entries, ")
    assert repr(cache).endswith(", issuers <LruCache: 1 entries, 1 of 256>>")
