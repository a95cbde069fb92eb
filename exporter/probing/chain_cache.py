"""The evaluations of certificate chains that servers presented before, bounded in bytes.

Most servers present the same chain at every probe, and parsing it costs more than looking it up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from sys import getsizeof
from typing import TypeAlias

from exporter.model.findings import Certificate, ChainCertificate, LeafKey
from exporter.model.outcomes import Problem
from exporter.probing.evidence import VerifyError
from exporter.runtime.lru import LruCache

EVALUATIONS_BYTES = 64 << 20  # 20,000 servers with a website and two addresses, at about 1100 bytes each
_BYTES_WITHOUT_TEXTS = 800  # of each evaluation
_MAX_ISSUERS = 256  # a handful of authorities certify nearly all servers

ChainKey: TypeAlias = tuple[bytes, bytes, tuple[VerifyError, ...], str]
"""The fingerprints of a chain as presented and as verified, OpenSSL's complaints, and the name that is expected."""


@dataclass(frozen=True, slots=True)
class ChainEvaluation:
    """What is wrong with a chain, and what is in it. `certificate` is None if the chain cannot be parsed."""

    problems: tuple[Problem, ...]
    certificate: Certificate | None = None
    issuers: tuple[ChainCertificate, ...] = ()
    leaf_key: LeafKey | None = None

    def texts(self) -> Iterator[str]:
        """Yield all texts in it. The server decides how many there are, and how long they are."""
        yield from (problem.detail for problem in self.problems)
        if self.certificate:
            yield from (self.certificate.issuer, self.certificate.subject, *self.certificate.names)
        for issuer in self.issuers:
            yield from (issuer.issuer, issuer.subject, issuer.fingerprint_sha256)


def weight(evaluation: ChainEvaluation) -> int:
    """Return about how many bytes of memory an evaluation takes."""
    return _BYTES_WITHOUT_TEXTS + sum(map(getsizeof, evaluation.texts()))


class ChainCache:
    """The evaluations and issuers of one `Network`, which are forgotten with it when the configuration is reloaded."""

    def __init__(self) -> None:
        self.evaluations: LruCache[ChainKey, ChainEvaluation] = LruCache(EVALUATIONS_BYTES, weight)
        """An evaluation depends on its key alone, so an unchanged chain need not be evaluated again."""
        self.issuers: LruCache[bytes, ChainCertificate] = LruCache(_MAX_ISSUERS)
        """The certificates above a leaf, by SHA-256 fingerprint."""

    def __repr__(self) -> str:
        return f"<ChainCache: evaluations {self.evaluations!r}, issuers {self.issuers!r}>"
