"""Certificate chains that OpenSSL has verified without an error, and the endpoints that presented them.

Verifying a chain is most of the work of a handshake, and its outcome is nearly always known. OpenSSL's result depends
on the chain, the trust store and the time. The trust store belongs to one `Internet`, as a `KnownChains` does, and the
period in which the result holds is kept with it. The result does not depend on the server name, which `stages.tls`
checks.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

from OpenSSL import crypto

from exporter.model.addresses import IPAddress
from exporter.probing.evidence import Handshake
from exporter.runtime.lru import LruCache

_CAPACITY = 2**16  # entries of each cache: 20,000 servers with a website and two addresses; some 300 bytes each
# Only the time can change OpenSSL's result: this limit is for what we might have overlooked.
MAX_TRUSTED_SECONDS = 24 * 3600

ConnectionKey: TypeAlias = tuple[IPAddress, int, str]
"""The address, the port and the TLS name of a connection."""


class _Validity(NamedTuple):
    """When OpenSSL's result holds: from `not_before` until just before `not_after`, in seconds since the epoch."""

    not_before: float
    not_after: float


class KnownChains:
    """The chains that need not be verified again, at most `capacity` of them; 0 remembers none.

    `now` returns the time in seconds since the epoch.
    """

    def __init__(self, capacity: int = _CAPACITY, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._validity: LruCache[bytes, _Validity] = LruCache(capacity)
        """By the fingerprint of the chain."""
        self._presented: LruCache[ConnectionKey, bytes] = LruCache(capacity)
        """The fingerprint of the latest chain that was presented, if it was verified without an error."""

    def __repr__(self) -> str:
        return f"<KnownChains: {len(self._validity)} chains of {len(self._presented)} endpoints>"

    def expects(self, key: ConnectionKey) -> bool:
        """Whether a known chain was presented there last. The server may present another one all the same."""
        fingerprint = self._presented.get(key)
        return fingerprint is not None and self._is_valid(fingerprint)

    def is_known(self, handshake: Handshake) -> bool:
        """Whether OpenSSL would report no error if it verified the chain now."""
        return self._is_valid(handshake.fingerprint)

    def remember(self, key: ConnectionKey, handshake: Handshake, verified: Sequence[crypto.X509]) -> None:
        """Remember the result of a handshake in which OpenSSL verified the chain.

        `verified` is the chain that OpenSSL built, up to the trust anchor. A chain with an error is not remembered.
        """
        if handshake.verify_errors or not verified:
            self._presented.discard(key)
            return
        self._validity.put(handshake.fingerprint, self._validity_of(verified))
        self._presented.put(key, handshake.fingerprint)

    def _is_valid(self, fingerprint: bytes) -> bool:
        validity = self._validity.get(fingerprint)
        return validity is not None and validity.not_before <= self._now() < validity.not_after

    def _validity_of(self, verified: Sequence[crypto.X509]) -> _Validity:
        not_before = max(_parse_generalized_time(certificate.get_notBefore()) for certificate in verified)
        not_after = min(_parse_generalized_time(certificate.get_notAfter()) for certificate in verified)
        return _Validity(not_before, min(not_after, self._now() + MAX_TRUSTED_SECONDS))


def _parse_generalized_time(encoded: bytes | None) -> float:
    """Return an ASN.1 GeneralizedTime, which OpenSSL accepts in UTC and to the second, in seconds since the epoch."""
    assert encoded is not None
    text = encoded.decode()
    return datetime.fromisoformat(f"{text[:8]}T{text[8:]}").timestamp()  # a tenth of the time that strptime takes
