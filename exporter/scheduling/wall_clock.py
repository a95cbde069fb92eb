"""The wall clock, and whether it was set back."""

import time
from collections.abc import Callable

_TOLERANCE_SECONDS = 1.0  # between two calls NTP slews by some milliseconds; more is a step


class WallClock:
    """The time in seconds since the epoch, compared with a monotonic clock. Both can be replaced, for tests."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.now = wall
        self._monotonic = monotonic
        self._offset = self._current_offset()

    def _current_offset(self) -> float:
        return self.now() - self._monotonic()

    def note_plan(self) -> None:
        """Remember how far ahead the clock is, as something has just been planned by it.

        So a clock that is set forward, and back again before `seconds_set_back` is called, has been set back too.
        """
        self._offset = max(self._offset, self._current_offset())

    def seconds_set_back(self) -> float:
        """Return by how many seconds the clock was set back since the last call or a later plan; 0 if it was not."""
        before, self._offset = self._offset, self._current_offset()
        seconds = before - self._offset
        return seconds if seconds > _TOLERANCE_SECONDS else 0.0
