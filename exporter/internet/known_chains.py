"""Certificate chains that OpenSSL has verified without complaint, and where they are met again.

To verify a chain is most of the work of a handshake, and nearly always its outcome is known. OpenSSL's verdict follows
from the chain, the trust store and the time: the store belongs to one `Internet`, as this memory does, and the times
between which the verdict holds are remembered with it. The name is not part of it, and is judged by `stages.tls`.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

from OpenSSL import crypto

from exporter.model.addresses import IPAddress
from exporter.probing.evidence import Handshake
from exporter.runtime.lru import LruCache

_CAPACITY = 2**16  # of each kind: 20,000 servers with a website and two addresses; some 300 bytes each
# Nothing that OpenSSL looks at can change but the time: this bounds what we might have failed to think of.
MAX_TRUSTED_SECONDS = 24 * 3600

ConnectionKey: TypeAlias = tuple[IPAddress, int, str]
"""Address, port and the name that is asked for there."""


class _Validity(NamedTuple):
    """Seconds since 1970."""

    begins: float
    ends: float


class KnownChains:
    """At most so many of them. 0: none is remembered."""

    def __init__(self, capacity: int = _CAPACITY, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._verified: LruCache[bytes, _Validity] = LruCache(capacity)
        """By fingerprint: until when it needs no other look."""
        self._met: LruCache[ConnectionKey, bytes] = LruCache(capacity)
        """The fingerprint of what was presented there last."""

    def expects(self, meeting: ConnectionKey) -> bool:
        """Whether one that we can vouch for was presented there last. Another may come all the same."""
        fingerprint = self._met.get(meeting)
        return fingerprint is not None and self._known(fingerprint)

    def is_known(self, handshake: Handshake) -> bool:
        """Whether OpenSSL, if it were asked, would have no complaint about the chain."""
        return self._known(handshake.fingerprint)

    def remember(self, meeting: ConnectionKey, handshake: Handshake, verified: Sequence[crypto.X509]) -> None:
        """Of a handshake in which OpenSSL was asked. `verified` is the chain that it built, up to the trust anchor."""
        if handshake.verify_errors or not verified:
            self._met.discard(meeting)
            return
        self._verified.put(handshake.fingerprint, self._believed(verified))
        self._met.put(meeting, handshake.fingerprint)

    def _known(self, fingerprint: bytes) -> bool:
        span = self._verified.get(fingerprint)
        return span is not None and span.begins <= self._now() < span.ends

    def _believed(self, verified: Sequence[crypto.X509]) -> _Validity:
        begins = max(_parse_generalized_time(certificate.get_notBefore()) for certificate in verified)
        ends = min(_parse_generalized_time(certificate.get_notAfter()) for certificate in verified)
        return _Validity(begins, min(ends, self._now() + MAX_TRUSTED_SECONDS))


def _parse_generalized_time(moment: bytes | None) -> float:
    """Of ASN.1's GeneralizedTime, as OpenSSL accepts it: in UTC, to the second."""
    assert moment is not None
    text = moment.decode()
    return datetime.fromisoformat(f"{text[:8]}T{text[8:]}").timestamp()  # a tenth of what strptime takes
