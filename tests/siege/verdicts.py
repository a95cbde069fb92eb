"""What is held against the exporter after a siege: pure functions of what was seen."""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

from exporter.model import names
from exporter.model.servers import WatchedServer
from exporter.scheduling.grid import Grid
from tests.endurance.accounts import grown, points
from tests.siege.observing import LAST, PROBES, SUCCESS, UNANSWERED_SECONDS, Observed

MAX_HEALTH_SECONDS = 1.0  # of 99 in 100 health checks
MAX_GROWN_BYTES = 100 * 2**20  # of the process and its workers
MAX_AGE = 2.0  # of the results of a healthy server, in intervals
MAX_NOTICED = 3.0  # until a silent server is called down, and healthy again when it is back, in intervals


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    calm: str
    siege: str
    bound: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Accounts:
    """Of the probes of servers for which nobody but the schedule asks."""

    due: int
    """At least."""
    missing: int
    """Due, and not made."""
    skipped: int
    """Skipped, and told so."""

    @property
    def lost(self) -> int:
        return max(0, self.missing - self.skipped)


def account(observed: Observed, servers: Collection[str], interval: float) -> Accounts:
    """A probe that was due an interval before the last scrape, or earlier, has ended."""
    first, last = observed.scrapes[0], observed.scrapes[-1]
    done = grown(first.by_server[PROBES], last.by_server[PROBES])
    due = {name: points(_grid(name, interval), first.at, last.at - interval) for name in servers}
    missing = sum(max(0, count - done[name]) for name, count in due.items())
    return Accounts(sum(due.values()), missing, last.skipped - first.skipped)


def _grid(name: str, interval: float) -> Grid:
    return Grid.of(WatchedServer(names.parse(name), interval))


def oldest(observed: Observed, healthy: Collection[str]) -> float:
    """Return the greatest age of a result of a healthy server, in seconds; infinity if nothing was seen of one."""
    return max(
        (scrape.at - scrape.by_server[LAST].get(name, -math.inf) for scrape in observed.scrapes for name in healthy),
        default=math.inf,
    )


def called_down(observed: Observed, healthy: Collection[str]) -> Counter[str]:
    """Return the healthy servers that were called down, and in how many scrapes."""
    return Counter(
        name for scrape in observed.scrapes for name in healthy if scrape.by_server[SUCCESS].get(name, 1) != 1
    )


def not_coming(observed: Observed, healthy: Collection[str]) -> set[str]:
    """Return the healthy servers that were said not to reach the exporter, and those of which nothing was said."""
    said = [(name, each.outbound[name]) for each in observed.scrapes for name in healthy if name in each.outbound]
    return set(healthy) - {name for name, _ in said} | {name for name, comes in said if not comes}


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of the servers."""

    interval: float
    healthy: Collection[str]
    """Those that always are."""
    unasked: Collection[str]
    """Those that are only probed on schedule."""


def rows(calm: Observed, siege: Observed, expected: Expected, slowness: float = 1.0) -> Iterator[Row]:
    """On a machine that is busy with other things, all takes `slowness` times as long as on one that is not."""
    yield from _health(calm, siege, slowness)
    yield from _processes(calm, siege)
    yield _oldest(calm, siege, expected, slowness)
    down = called_down(siege, expected.healthy)
    shown = ", ".join(f"{name} {count}" for name, count in down.most_common(3)) or "0"
    yield Row("healthy servers called down", str(len(called_down(calm, expected.healthy))), shown, "0", not down)
    yield from _other_direction(calm, siege, expected.healthy)
    yield from _turns(siege, expected, slowness)
    found = account(siege, expected.unasked, expected.interval)
    told = f"{found.lost}: {found.missing} of {found.due} missing, {found.skipped} told"
    yield Row("probes lost", "", told, "0", not found.lost)
    yield Row("patient clients", _counted(calm.patient), _counted(siege.patient), "0 wrong", not siege.patient["wrong"])


def _health(calm: Observed, siege: Observed, slowness: float) -> Iterator[Row]:
    before, during = calm.health_seconds, siege.health_seconds
    yield Row("/-/healthy, median", _milliseconds(median(before)), _milliseconds(median(during)), "", holds=True)
    bound, late = MAX_HEALTH_SECONDS * slowness, p99(during)
    yield Row("/-/healthy, p99", _milliseconds(p99(before)), _milliseconds(late), _milliseconds(bound), late < bound)
    unanswered = sum(each >= UNANSWERED_SECONDS for each in during)
    yield Row("/-/healthy unanswered", "", f"{unanswered} of {len(during)}", "", holds=True)


def _processes(calm: Observed, siege: Observed) -> Iterator[Row]:
    level, peak = median(calm.resident_bytes), max(siege.resident_bytes)
    more, bound = f"{_mebibytes(peak - level)} more", f"{_mebibytes(MAX_GROWN_BYTES)} more"
    yield Row("resident memory", _mebibytes(level), more, bound, peak - level <= MAX_GROWN_BYTES)
    yield Row("CPU", _cores(calm), _cores(siege), "", holds=True)
    failures = siege.scrape_failures
    scrapes = " ".join([f"{len(failures)} of {len(failures) + len(siege.scrapes)}", *failures[:1]])
    yield Row("scrapes that failed", str(len(calm.scrape_failures)), scrapes, "0", not failures)


def _oldest(calm: Observed, siege: Observed, expected: Expected, slowness: float) -> Row:
    before, age = (oldest(each, expected.healthy) / expected.interval for each in (calm, siege))
    bound, what = MAX_AGE * slowness, "oldest result of a healthy server"
    return Row(what, _intervals(before), _intervals(age), _intervals(bound), age <= bound)


def _turns(siege: Observed, expected: Expected, slowness: float) -> Iterator[Row]:
    """A short siege may see no server come back."""
    bound = MAX_NOTICED * slowness
    for what, seconds in (("down", siege.noticed_seconds), ("healthy again", siege.recovered_seconds)):
        slowest = max(seconds, default=0.0) / expected.interval
        told = f"{len(seconds)} times, at most {_intervals(slowest)}"
        holds = slowest < bound and (bool(seconds) or seconds is siege.recovered_seconds)
        yield Row(f"silent servers called {what}", "", told, _intervals(bound), holds)


def _other_direction(calm: Observed, siege: Observed, healthy: Collection[str]) -> Iterator[Row]:
    before, during = (sum(not scrape.ready for scrape in each.scrapes) for each in (calm, siege))
    yield Row("own listener not reached", str(before), f"{during} of {len(siege.scrapes)} scrapes", "0", not during)
    blamed = not_coming(siege, healthy)
    what = "healthy servers said not to come, or not known"
    yield Row(what, str(len(not_coming(calm, healthy))), ", ".join(sorted(blamed)) or "0", "0", not blamed)


def p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[-1]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"


def _intervals(number: float) -> str:
    return f"{number:.2f} intervals"


def _cores(observed: Observed) -> str:
    return f"{observed.cpu_seconds / observed.seconds:.2f} cores"


def _counted(what: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(what.items()))
