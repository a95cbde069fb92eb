"""How many more probes two workers make than one process.

On a machine with two cores, the responder takes up one of them. So the number of probes per second under full load,
which is shown, says more about the machine than about the exporter. The target applies to another value: the probes per
CPU second of the busiest process, at a rate at which no process waits for a core. It limits what is possible on a
machine that has a core for each process.
"""

import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from tests.bench.processes import children_of, cpu_seconds_of, served_by
from tests.bench.rows import QUICK, RUNS, Row, at_least, emit
from tests.bench.serving import Scrape, serving, since

WORKERS = (1, 2)
INTERVAL_SECONDS, WARM_SECONDS, SECONDS = (5, 6, 5) if QUICK else (10, 12, 12)
RATES = {"low": 40, "saturated": 400}
"""Probes per second: a low rate, and far more than possible."""
OPTIONS = ("--interval", f"{INTERVAL_SECONDS}s", "--timeout", f"{INTERVAL_SECONDS - 1}s")
ROUNDS = 1 if QUICK else RUNS


def main() -> None:
    results: dict[tuple[str, int], list[float]] = {(rate, count): [] for rate in RATES for count in WORKERS}
    for rate, probes_per_second in RATES.items():
        with served_by("tests.bench.responder", str(probes_per_second * INTERVAL_SECONDS), *OPTIONS) as file:
            for _, count in product(range(ROUNDS), WORKERS):
                results[rate, count].append(measure(file, count, saturated=rate == "saturated"))
    emit(rows(results))


def rows(results: dict[tuple[str, int], list[float]]) -> Iterator[Row]:
    for count in WORKERS:
        yield Row.of(f"workers: {count}, probes per CPU second of the busiest process", results["low", count])
    yield Row.of(
        "workers: probes per CPU second of the busiest process, 2 relative to 1",
        ratios(results, "low"),
        "",
        at_least(1.9),
    )
    for count in WORKERS:
        yield Row.of(f"workers: {count}, probes per second, with the responder on 2 cores", results["saturated", count])
    yield Row.of(
        "workers: probes per second, with the responder on 2 cores, 2 relative to 1", ratios(results, "saturated")
    )


def ratios(results: dict[tuple[str, int], list[float]], rate: str) -> list[float]:
    return [two / one for one, two in zip(results[rate, 1], results[rate, 2], strict=True)]


def measure(file: Path, workers: int, *, saturated: bool) -> float:
    """Return the number of probes per second, or per CPU second of the busiest process."""
    with serving(file, "--workers", str(workers)) as exporter:
        time.sleep(WARM_SECONDS)
        before, used = Scrape(exporter.address), cpu_seconds_by_process(exporter.pid)
        time.sleep(SECONDS)
        spent = max(cpu - used[pid] for pid, cpu in cpu_seconds_by_process(exporter.pid).items())
        after = Scrape(exporter.address)
    return since(before, after, "probes") / (after.at - before.at if saturated else spent)


def cpu_seconds_by_process(pid: int) -> dict[int, float]:
    """Return the CPU seconds of a process and of its children, by process ID."""
    return {each: cpu_seconds_of(each) for each in (pid, *children_of(pid))}


if __name__ == "__main__":
    main()
