"""How many more probes do two workers make than one process?

The responder needs CPU time too, and where there are two cores it takes one from them, so that the number of probes
that are made when all are as busy as they can be, which is shown, says more of the machine than of the exporter. What
machines with a core for everybody reach is bounded by the busiest process: so the measure is how many probes are made
for each second of CPU time of the busiest one, at a pace that leaves no process waiting for a core.
"""

import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from tests.bench.processes import children_of, cpu_seconds_of, served_by
from tests.bench.rows import QUICK, RUNS, Row, at_least, tell
from tests.bench.serving import Scrape, serving, since

WORKERS = (1, 2)
INTERVAL_SECONDS, WARM_SECONDS, SECONDS = (5, 6, 5) if QUICK else (10, 12, 12)
PACES = {"calm": 40, "saturated": 400}
"""Probes a second: as many as are no trouble, and far more than can be made."""
OPTIONS = ("--interval", f"{INTERVAL_SECONDS}s", "--timeout", f"{INTERVAL_SECONDS - 1}s")
ROUNDS = 1 if QUICK else RUNS


def main() -> None:
    found: dict[tuple[str, int], list[float]] = {(pace, count): [] for pace in PACES for count in WORKERS}
    for pace, wanted in PACES.items():
        with served_by("tests.bench.responder", str(wanted * INTERVAL_SECONDS), *OPTIONS) as file:
            for _, count in product(range(ROUNDS), WORKERS):
                found[pace, count].append(rate(file, count, saturated=pace == "saturated"))
    tell(rows(found))


def rows(found: dict[tuple[str, int], list[float]]) -> Iterator[Row]:
    for count in WORKERS:
        yield Row.of(f"workers: {count}, probes for a second of the busiest process's CPU", found["calm", count])
    yield Row.of(
        "workers: probes for a second of the busiest process's CPU, 2 : 1", ratios(found, "calm"), "", at_least(1.7)
    )
    for count in WORKERS:
        yield Row.of(
            f"workers: {count}, probes a second, sharing 2 cores with the responder", found["saturated", count]
        )
    yield Row.of("workers: probes a second, sharing 2 cores with the responder, 2 : 1", ratios(found, "saturated"))


def ratios(found: dict[tuple[str, int], list[float]], pace: str) -> list[float]:
    return [two / one for one, two in zip(found[pace, 1], found[pace, 2], strict=True)]


def rate(file: Path, workers: int, *, saturated: bool) -> float:
    """Probes, for each second of time, or of CPU time of the busiest process."""
    with serving(file, "--workers", str(workers)) as exporter:
        time.sleep(WARM_SECONDS)
        before, used = Scrape(exporter.address), used_by(exporter.pid)
        time.sleep(SECONDS)
        spent = max(cpu - used[pid] for pid, cpu in used_by(exporter.pid).items())
        after = Scrape(exporter.address)
    return since(before, after, "probes") / (after.at - before.at if saturated else spent)


def used_by(pid: int) -> dict[int, float]:
    """CPU seconds of a process and its children."""
    return {each: cpu_seconds_of(each) for each in (pid, *children_of(pid))}


if __name__ == "__main__":
    main()
