"""Was every probe that was due made, or skipped for a reason that was told? By server, and by nobody's word but the
clock's: when a server is due follows from its name (exporter/schedule.py).

What happened within some milliseconds of the beginning and the end may have happened before or after them. So a moment
is a span, and what is due lies between two numbers, which for nearly every server are the same.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter.scheduling.grid import Grid


@dataclass(frozen=True, slots=True)
class Moment:
    """Of the wall clock as the exporter reads it, in seconds since the epoch."""

    earliest: float
    latest: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of time, in which the clock runs evenly: a step of the clock ends one, and another begins."""

    begins: Moment
    ends: Moment


@dataclass(frozen=True, slots=True)
class Account:
    """Of one server."""

    at_least: int
    at_most: int
    """Probes that were due."""
    done: int
    skipped: int

    @property
    def unaccounted(self) -> int:
        """Probes that were due, and of which nobody knows; and those that nobody was to make."""
        known = self.done + self.skipped
        return max(0, self.at_least - known) + max(0, known - self.at_most)


def points(grid: Grid, after: float, until: float) -> int:
    """How often a server is due in between."""
    return max(0, math.floor((until - grid.phase) / grid.interval) - math.floor((after - grid.phase) / grid.interval))


def account(
    grid: Grid, stretches: Sequence[Stretch], last: float, done: int, skipped: int, *, extra: int = 0
) -> Account:
    """`last` is when the last probe ended, which was planned when the interval became a long one: the next one that was
    due, or the one after it. `extra` ones were asked for by others: each may have come beside the schedule, or have
    served it as well. What was planned late for a time that never came, as the clock was set back, may have been told
    as left out.
    """
    *others, final = stretches
    lengths = [*others, Stretch(final.begins, Moment(max(last, final.ends.earliest), max(last, final.ends.latest)))]
    least = sum(points(grid, each.begins.latest, each.ends.earliest) for each in others)
    planned = points(grid, final.begins.latest, final.ends.earliest) + 1
    least += min(planned, points(grid, final.begins.latest, lengths[-1].ends.earliest))
    most = sum(points(grid, each.begins.earliest, each.ends.latest) for each in lengths)
    return Account(least - extra, most + extra + len(others), done, skipped)


def grown(before: Mapping[str, float], after: Mapping[str, float]) -> Counter[str]:
    """Of counters, by what they are of."""
    return Counter({name: round(value - before.get(name, 0)) for name, value in after.items()})
