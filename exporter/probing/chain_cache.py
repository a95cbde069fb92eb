"""The evaluations of the certificate chains that were presented before, bounded in bytes.

Most servers present the same chain at every probe, and parsing it costs more than looking it up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from sys import getsizeof
from typing import TypeAlias

from exporter.model.findings import Certificate, ChainCertificate
from exporter.model.outcomes import Problem
from exporter.probing.evidence import VerifyError
from exporter.runtime.lru import LruCache

EVALUATIONS_BYTES = 64 << 20  # 20,000 servers with a website and two addresses, at about 1000 bytes each
_BYTES_WITHOUT_TEXTS = 600  # of each evaluation
_ISSUERS = 256  # a handful of authorities certify nearly all servers

Presented: TypeAlias = tuple[bytes, tuple[VerifyError, ...], str]
"""The fingerprint of a chain, OpenSSL's complaints about it, and the name that it should be for."""


@dataclass(frozen=True, slots=True)
class ChainEvaluation:
    """What was found in a chain. `certificate` is None where the chain cannot be parsed."""

    problems: tuple[Problem, ...]
    certificate: Certificate | None = None
    issuers: tuple[ChainCertificate, ...] = ()

    def texts(self) -> Iterator[str]:
        """All texts in it; the server decides how many there are, and how long they are."""
        yield from (problem.detail for problem in self.problems)
        if self.certificate:
            yield from (self.certificate.issuer, self.certificate.subject, *self.certificate.names)
        for issuer in self.issuers:
            yield from (issuer.issuer, issuer.subject, issuer.fingerprint_sha256)


def weight(evaluation: ChainEvaluation) -> int:
    """Return about how many bytes of memory an evaluation takes."""
    return _BYTES_WITHOUT_TEXTS + sum(map(getsizeof, evaluation.texts()))


class ChainCache:
    """Belongs to one `Network`, so that it is forgotten when the configuration is reloaded."""

    def __init__(self) -> None:
        self.evaluations: LruCache[Presented, ChainEvaluation] = LruCache(EVALUATIONS_BYTES, weight)
        """An evaluation depends on its key alone, so an unchanged chain needs no second look."""
        self.issuers: LruCache[bytes, ChainCertificate] = LruCache(_ISSUERS)
        """By fingerprint."""
