"""How late the event loop is.

On a late event loop, a duration is measured too long and a response is noticed too late or never. Neither may be
attributed to a server.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Self

TICK_SECONDS = 0.05
STALL_SECONDS = 0.05  # as long as a nearby lookup or handshake takes: one could be measured twice as long as it was


class LoopLag:
    """Measures within `async with` how late the event loop comes to a task that is due every TICK_SECONDS.

    `on_lag` is called with each lag, in seconds. A lag of more than STALL_SECONDS is a stall.
    """

    def __init__(self, on_lag: Callable[[float], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._on_lag = on_lag
        self._clock = clock
        self._due = math.inf
        self._stalled = 0.0

    def __repr__(self) -> str:
        return f"<LoopLag: stalled for {self.stalled_seconds():.3f} s>"

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    def stalled_seconds(self) -> float:
        """Return the sum of all stalls so far, in seconds. If it grows during a measurement, that is unreliable."""
        return self._stalled + _stall_seconds(self._lag())

    async def _measure(self) -> None:
        while True:
            self._due = self._clock() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            lag = self._lag()
            self._stalled += _stall_seconds(lag)
            self._on_lag(lag)

    def _lag(self) -> float:
        """Return how late the tick is that is due. The caller may run before it."""
        return max(0.0, self._clock() - self._due)


def _stall_seconds(lag: float) -> float:
    """Return the lag if it is a stall, and 0 otherwise."""
    return lag if lag > STALL_SECONDS else 0.0
