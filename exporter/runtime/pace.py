"""Spreads what is done for each of many keys, such as the addresses that are connected to, over time."""

import asyncio
import time
from collections.abc import Callable, Hashable

from exporter.runtime.lru import LruCache

_KEYS = 10_000  # that are remembered: far more than are used within any spacing


class TooManyWaitingError(Exception):
    """A turn would take longer than anybody may wait."""


class Pace:
    """Gives turns: for each key, at most `per_second`, evenly spaced, in the order in which they are asked for."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._spacing = 1 / per_second
        self._clock = clock
        self._next_turns: LruCache[Hashable, float] = LruCache(_KEYS)

    def __repr__(self) -> str:
        return f"<Pace: {1 / self._spacing:g} per second, {len(self._next_turns)} keys>"

    async def turn(self, key: Hashable, max_wait: float) -> None:
        """Wait for a turn. Raises TooManyWaitingError at once if that would take longer than `max_wait` seconds."""
        now = self._clock()
        at = max(now, self._next_turns.get(key) or now)
        if at - now > max_wait:
            raise TooManyWaitingError
        self._next_turns.put(key, at + self._spacing)
        if at > now:
            await asyncio.sleep(at - now)
