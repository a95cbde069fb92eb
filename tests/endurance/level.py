"""Does something grow? A straight line through the medians of windows, and how sure its slope is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression, mean, median

WINDOWS = 12
WARM_UP = 1 / 2  # of the time: caches fill, and each coincidence of troubles that is the worst so far adds a bit
T_95 = 2.228  # of Student's distribution with WINDOWS - 2 degrees of freedom, two-sided


@dataclass(frozen=True, slots=True)
class Trend:
    """In units per second, with its interval of 95 % confidence."""

    slope: float
    error: float

    @property
    def grows(self) -> bool:
        return self.slope > self.error


def trend(samples: Sequence[tuple[float, float]]) -> Trend:
    """Of values by time, after the warm-up. Medians of windows depend on one another far less than samples do."""
    settled = samples[int(len(samples) * WARM_UP) :]
    size = len(settled) // WINDOWS
    windows = [settled[start * size : (start + 1) * size] for start in range(WINDOWS)]
    times = [mean(time for time, _ in window) for window in windows]
    values = [median(value for _, value in window) for window in windows]
    line = linear_regression(times, values)
    residue = sum((value - line.slope * time - line.intercept) ** 2 for time, value in zip(times, values, strict=True))
    spread = sum((time - mean(times)) ** 2 for time in times)
    return Trend(line.slope, T_95 * math.sqrt(residue / (WINDOWS - 2) / spread))
