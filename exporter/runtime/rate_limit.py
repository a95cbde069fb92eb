"""A limit for work that unauthenticated clients can cause."""

import math
import time
from collections.abc import Callable, Hashable

from exporter.runtime.lru import LruCache

_KEYS = 10_000  # whose limits are remembered: who uses more of them is stopped by the limit of all


class RateLimit:
    """A token bucket: it allows `burst` at once, and `per_minute` in the long run."""

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._counted_at = clock()

    def __repr__(self) -> str:
        per_minute, left = self._per_second * 60, math.floor(self._tokens)
        return f"<{type(self).__name__} {per_minute:g} per minute: {left} of {self._burst} left>"

    def take(self) -> float:
        """Take a token and return 0, or return in how many seconds there will be one."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._per_second
        self._tokens -= 1
        return 0.0


class RateLimits:
    """A limit for each key, which `new_limit` makes, and one for all keys together."""

    def __init__(self, new_limit: Callable[[], RateLimit], of_all: RateLimit) -> None:
        self._new_limit = new_limit
        self._of_all = of_all
        self._limits: LruCache[Hashable, RateLimit] = LruCache(_KEYS)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._limits)} keys, of all {self._of_all!r}>"

    def take(self, key: Hashable) -> float:
        """Take a token of the key and one of all, and return 0, or return in how many seconds there will be one."""
        limit = self._limits.get(key)
        if limit is None:
            limit = self._new_limit()
            self._limits.put(key, limit)
        return limit.take() or self._of_all.take()
