"""Results in buckets of time. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many results there were of each kind."""

    full: int = 0
    partial: int = 0
    none: int = 0
    offline: int = 0
    """Made while the exporter's own network was down: they say nothing about the server."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.full + other.full, self.partial + other.partial, self.none + other.none, self.offline + other.offline
        )


@dataclass(frozen=True, slots=True)
class Strip:
    """The results of a server in buckets, the oldest first. The last bucket is not over."""

    began: datetime
    """When the first bucket begins, in UTC."""
    bucket: timedelta
    counts: tuple[Counts, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """The buckets of a strip: how long each is, and how many there are. They have numbers, counted from the epoch."""

    bucket: timedelta
    buckets: int

    def index(self, at: datetime) -> int:
        """Return the number of the bucket at a time."""
        return (at - _EPOCH) // self.bucket

    def range(self, now: datetime) -> range:
        """Return the numbers of the buckets of a strip that ends now."""
        last = self.index(now)
        return range(last - self.buckets + 1, last + 1)

    def strip(self, now: datetime, counts: Mapping[int, Counts]) -> Strip:
        """Return the strip that ends now, from counts by the number of the bucket."""
        buckets = self.range(now)
        return Strip(
            _EPOCH + buckets[0] * self.bucket, self.bucket, tuple(counts.get(each, Counts()) for each in buckets)
        )


SCALES: Final = (Scale(timedelta(minutes=30), 48), Scale(timedelta(days=1), 90))
"""Those of the last 24 hours, and of the last 90 days."""
