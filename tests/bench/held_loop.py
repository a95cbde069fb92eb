"""`python -m tests.bench.held_loop FILE serve ...`: the exporter, and in FILE what held its event loop longest.

Whenever its loop is late, a thread looks where the main thread is. The exporter notices how late it was at its next
tick. What it was late by its own work is at most the CPU time that its main thread took since the tick before.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from threading import Thread, main_thread
from types import FrameType
from unittest.mock import patch

from exporter import cli
from exporter.runtime.loop_lag import LoopLag

LATE_SECONDS = 0.01
LOOK_SECONDS = 0.02
FRAMES = 4  # of the exporter, the innermost first


@dataclass(frozen=True, slots=True)
class Hold:
    """A time for which the event loop did not run."""

    seconds: float = 0.0
    """At most: it is all work of the main thread."""
    lag: float = 0.0
    """Elapsed seconds: other processes and threads may have had the core."""
    where: str = "unknown"


def read(file: Path) -> Hold:
    """Return the longest one that the exporter has written."""
    return Hold(**json.loads(file.read_text())) if file.exists() else Hold()


class WatchedLoopLag(LoopLag):
    """Writes each hold that is longer than all before."""

    file: Path

    def __init__(self, on_lag: Callable[[float], object]) -> None:
        self._longest, self._used = Hold(), 0.0
        self._seen = Counter[str]()
        """Where the main thread was while the loop was late, since its latest tick."""
        self._observe = on_lag
        super().__init__(self._on_tick)
        Thread(target=self._look, daemon=True).start()

    def _on_tick(self, lag: float) -> None:
        used, self._used = self._used, time.thread_time()
        seen, self._seen = self._seen, Counter()
        seconds = min(lag, self._used - used)
        if lag > LATE_SECONDS and seconds > self._longest.seconds:
            where = next((place for place, _ in seen.most_common(1)), "unknown")
            self._longest = Hold(seconds, lag, where)
            self.file.write_text(json.dumps(asdict(self._longest)))
        self._observe(lag)

    def _look(self) -> None:
        identity = main_thread().ident
        while True:
            time.sleep(LOOK_SECONDS)
            if self._lag() > LATE_SECONDS and identity is not None:
                self._seen[" < ".join(islice(places(sys._current_frames().get(identity)), FRAMES))] += 1


def places(frame: FrameType | None) -> Iterator[str]:
    """Yield the functions on a stack that are not of the event loop, the innermost first."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(("asyncio", "uvloop", "tests.bench", "__main__")):
            yield f"{module}.{frame.f_code.co_name}"
        frame = frame.f_back


if __name__ == "__main__":
    WatchedLoopLag.file = Path(sys.argv[1])
    with patch("exporter.app.LoopLag", WatchedLoopLag):
        sys.exit(cli.main(sys.argv[2:]))
