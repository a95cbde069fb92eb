"""The evaluations of certificate chains that servers presented before, bounded in bytes.

Most servers present the same chain at every probe, and parsing it costs more than looking it up.
"""

from dataclasses import dataclass
from typing import TypeAlias

from exporter.model.findings import Certificate, ChainCertificate, LeafKey
from exporter.model.outcomes import Problem
from exporter.probing.evidence import VerifyError
from exporter.runtime.lru import LruCache
from exporter.runtime.packing import Packer

EVALUATIONS_BYTES = 64 << 20  # 20,000 servers with a website and two addresses, at about 700 bytes each
_ENTRY_BYTES = 400  # of each evaluation, beside what is packed: its key, and its place in the cache
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


def _weight(packed: bytes) -> int:
    """Return about how many bytes of memory a packed evaluation takes in the cache."""
    return _ENTRY_BYTES + len(packed)


class ChainCache:
    """The evaluations and issuers of one `Network`, which are forgotten with it when the configuration is reloaded."""

    def __init__(self) -> None:
        self._packer = Packer[ChainEvaluation]()
        self._evaluations: LruCache[ChainKey, bytes] = LruCache(EVALUATIONS_BYTES, _weight)
        """Packed, as there may be tens of thousands."""
        self.issuers: LruCache[bytes, ChainCertificate] = LruCache(_MAX_ISSUERS)
        """The certificates above a leaf, by SHA-256 fingerprint."""

    def __repr__(self) -> str:
        return f"<ChainCache: evaluations {self._evaluations!r}, issuers {self.issuers!r}>"

    def recall(self, key: ChainKey) -> ChainEvaluation | None:
        """Return the evaluation of a chain. It depends on the key alone, so an unchanged chain is evaluated once."""
        packed = self._evaluations.get(key)
        return self._packer.unpack(packed) if packed else None

    def remember(self, key: ChainKey, evaluation: ChainEvaluation) -> None:
        packed = self._packer.pack(evaluation, typical=not evaluation.problems)
        self._evaluations.put(key, packed)
