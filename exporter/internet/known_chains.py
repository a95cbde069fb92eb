"""Certificate chains that OpenSSL has verified without an error, and the endpoints that presented them.

Verifying a chain is most of the work of a handshake, and its outcome is nearly always known. OpenSSL's result depends
on the chain, the trust store and the time. The trust store belongs to one `Internet`, as a `KnownChains` does, and the
period in which the result holds is kept with it. The result does not depend on the server name, which `stages.tls`
checks.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from OpenSSL import crypto

from exporter.internet.tcp import IPEndpoint
from exporter.probing.evidence import Handshake
from exporter.runtime.lru import LruCache

_CAPACITY = 2**16  # entries of each cache: 20,000 servers with a website and two addresses; some 400 bytes each
# Only the time can change OpenSSL's result: this limit is for what we might have overlooked.
MAX_TRUSTED_SECONDS = 24 * 3600

# What is kept for each chain and connection are plain tuples, which garbage collections need not traverse.
_ConnectionKey: TypeAlias = tuple[bytes, int, str]
"""The address, the port and the TLS name of a connection."""
_KnownChain: TypeAlias = tuple[float, float, tuple[int | bytes, ...]]
"""OpenSSL's result: since when and until just before when it holds, in seconds since the epoch, and the verified chain:
each certificate as its place in the chain as presented, or in DER if it comes from the trust store.
"""


class KnownChains:
    """The chains that need not be verified again, at most `capacity` of them; 0 remembers none.

    `now` returns the time in seconds since the epoch.
    """

    def __init__(self, capacity: int = _CAPACITY, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._chains: LruCache[bytes, _KnownChain] = LruCache(capacity)
        """By the fingerprint of the chain as presented."""
        self._presented: LruCache[_ConnectionKey, bytes] = LruCache(capacity)
        """The fingerprint of the latest chain that was presented, if it was verified without an error."""
        self._trusted: dict[bytes, bytes] = {}
        """The certificates of the trust store that verified a chain, so that many chains share one object."""

    def __repr__(self) -> str:
        return f"<KnownChains: {len(self._chains)} chains of {len(self._presented)} endpoints>"

    def expects(self, endpoint: IPEndpoint, tls_name: str) -> bool:
        """Whether a known chain was presented there last. The server may present another one all the same."""
        fingerprint = self._presented.get(_connection_key(endpoint, tls_name))
        return fingerprint is not None and self._find(fingerprint) is not None

    def recall(self, handshake: Handshake) -> Handshake | None:
        """Return the handshake as if OpenSSL had verified the chain now, or None if it might report an error."""
        known = self._find(handshake.fingerprint)
        if known is None:
            return None
        _, _, verified_chain = known
        verified = (handshake.chain[each] if isinstance(each, int) else each for each in verified_chain)
        return replace(handshake, verified_chain=tuple(verified))

    def remember(self, endpoint: IPEndpoint, tls_name: str, handshake: Handshake) -> None:
        """Remember the result of a handshake in which OpenSSL verified the chain, unless it reported an error."""
        key = _connection_key(endpoint, tls_name)
        if handshake.verify_errors or not handshake.verified_chain:
            self._presented.discard(key)
            return
        self._chains.put(handshake.fingerprint, self._known_chain(handshake))
        self._presented.put(key, handshake.fingerprint)

    def _find(self, fingerprint: bytes) -> _KnownChain | None:
        known = self._chains.get(fingerprint)
        return known if known and known[0] <= self._now() < known[1] else None

    def _known_chain(self, handshake: Handshake) -> _KnownChain:
        not_before, not_after = _validity(handshake.verified_chain)
        places = {certificate: place for place, certificate in enumerate(handshake.chain)}
        verified = (
            places[each] if each in places else self._trusted.setdefault(each, each)
            for each in handshake.verified_chain
        )
        return not_before, min(not_after, self._now() + MAX_TRUSTED_SECONDS), tuple(verified)


def _connection_key(endpoint: IPEndpoint, tls_name: str) -> _ConnectionKey:
    ip, port = endpoint
    return ip.packed, port, tls_name


def _validity(chain: Iterable[bytes]) -> tuple[float, float]:
    """Return when all certificates of a chain are valid, in seconds since the epoch."""
    parsed = [crypto.load_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in chain]
    not_before = max(_parse_generalized_time(certificate.get_notBefore()) for certificate in parsed)
    return not_before, min(_parse_generalized_time(certificate.get_notAfter()) for certificate in parsed)


def _parse_generalized_time(encoded: bytes | None) -> float:
    """Return an ASN.1 GeneralizedTime, which OpenSSL accepts in UTC and to the second, in seconds since the epoch."""
    assert encoded is not None
    text = encoded.decode()
    return datetime.fromisoformat(f"{text[:8]}T{text[8:]}").timestamp()  # a tenth of the time that strptime takes
