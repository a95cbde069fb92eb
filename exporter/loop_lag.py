"""How late the event loop is. What it makes late reads too long, and would be blamed on a server."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Self

TICK_SECONDS = 0.05
SPOILS_SECONDS = (
    0.05  # what a lookup or a handshake nearby takes: a duration that may be twice as long as it was is no fact
)


class LoopLag:
    """Measured within `async with`. `tell` gets each lag, in seconds."""

    def __init__(self, tell: Callable[[float], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._due = math.inf
        self._late_at = -math.inf

    async def __aenter__(self) -> Self:
        self._measuring = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._measuring.cancel()
        await asyncio.wait([self._measuring])

    def spoiled_since(self, started: float) -> bool:
        """Whether a duration that began then, on the monotonic clock, and ends now may tell of us instead."""
        return self._late_at >= started or self._lag() > SPOILS_SECONDS

    async def _measure(self) -> None:
        while True:
            self._due = self._clock() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            lag = self._lag()
            if lag > SPOILS_SECONDS:
                self._late_at = self._clock()
            self._tell(lag)

    def _lag(self) -> float:
        """Of the tick that is due, which whoever asks may have overtaken."""
        return max(0.0, self._clock() - self._due)
