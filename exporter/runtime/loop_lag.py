"""How late the event loop is. What it makes late reads too long, or not at all, and would be blamed on a server."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Self

TICK_SECONDS = 0.05
STALL_SECONDS = (
    0.05  # what a lookup or a handshake nearby takes: a duration that may be twice as long as it was is no fact
)


class LoopLag:
    """Measured within `async with`. `on_lag` gets each lag, in seconds."""

    def __init__(self, on_lag: Callable[[float], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._on_lag = on_lag
        self._clock = clock
        self._due = math.inf
        self._held_up = 0.0

    async def __aenter__(self) -> Self:
        self._measuring = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._measuring.cancel()
        await asyncio.wait([self._measuring])

    def stalled_seconds(self) -> float:
        """For how long in all, in seconds, up to now. A duration in which that grows may on_lag of us instead."""
        return self._held_up + _stall_seconds(self._lag())

    async def _measure(self) -> None:
        while True:
            self._due = self._clock() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            lag = self._lag()
            self._held_up += _stall_seconds(lag)
            self._on_lag(lag)

    def _lag(self) -> float:
        """Of the tick that is due, which whoever asks may have overtaken."""
        return max(0.0, self._clock() - self._due)


def _stall_seconds(lag: float) -> float:
    """What of it counts."""
    return lag if lag > STALL_SECONDS else 0.0
