"""What does a scrape cost? Of the real web server in this process, by a client in another one.

The yardstick is prometheus-client's own writer over the same samples, which a custom collector holds ready; there, the
web server is left out on both sides.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from exporter.app import App
from exporter.metrics import exposition
from exporter.metrics.families import FAMILIES, SUFFIXES
from exporter.reports.server_state import ServerState
from tests.bench.app import Holds, exporting
from tests.bench.invented import everyone, reports
from tests.bench.processes import SELF, cpu_seconds, resident_bytes
from tests.bench.rows import QUICK, RUNS, Row, Target, at_least, at_most, tell

SIZES = (100, 1_000, 5_000) if QUICK else (100, 1_000, 5_000, 20_000)
LARGEST = 20_000  # that which the targets are for
FORMATS = {"text": "text/plain", "OpenMetrics": "application/openmetrics-text;version=1.0.0"}
ENCODINGS = {"plain": "identity", "gzip": "gzip"}
CPU_TARGETS = {"plain": at_most(0.3), "gzip": at_most(0.8)}
GROWTH_TARGET = at_most(1.1)


def main() -> None:
    by_size = {size: list(asyncio.run(measured(size))) for size in SIZES}
    for found in by_size.values():
        tell(found)
    small, large = (cpu_of(by_size[size]) / size for size in (SIZES[1], SIZES[-1]))
    tell([Row.of(f"scrape: CPU per series, {SIZES[-1]:,} servers : {SIZES[1]:,}", large / small, "", GROWTH_TARGET)])


def cpu_of(rows: Iterable[Row]) -> float:
    return next(row.value for row in rows if row.name.endswith("text, plain: CPU"))


@dataclass(frozen=True, slots=True)
class Scraped:
    """One scrape. CPU time and time in seconds, the rest in bytes."""

    cpu: float
    seconds: float
    peak: int
    size: int
    held: float


async def measured(size: int) -> list[Row]:
    watched = everyone(size)
    rows: list[Row] = []
    async with exporting(watched, list(reports(watched))) as app:
        gc.collect()
        found = {
            (spoken, encoding): [await scraped(app, FORMATS[spoken], ENCODINGS[encoding]) for _ in range(RUNS)]
            for spoken in FORMATS
            for encoding in ENCODINGS
        }
        for (spoken, encoding), runs in found.items():
            rows += shown(f"scrape: {size:,} servers, {spoken}, {encoding}", runs, CPU_TARGETS[encoding], size)
        states = [rendered.state for rendered in app.board.snapshot().states]
        registry = CollectorRegistry()
        registry.register(LibraryCollector(states))
        costs = [(cost(lambda: generate_latest(registry)), cost(lambda: drained(app))) for _ in range(RUNS)]
    target = at_least(30) if size == LARGEST else None
    ratios = [theirs / ours for theirs, ours in costs]
    return [
        *rows,
        Row.of(f"scrape: {size:,} servers, the text alone, prometheus-client's CPU in ours", ratios, "", target),
    ]


def shown(name: str, runs: list[Scraped], cpu: Target, servers: int) -> Iterator[Row]:
    whole = servers == LARGEST
    yield Row.of(f"{name}: CPU", [run.cpu for run in runs], "s", cpu if whole else None)
    yield Row.of(f"{name}: time", [run.seconds for run in runs], "s")
    yield Row.of(f"{name}: size", [run.size / 2**20 for run in runs], "MiB")
    yield Row.of(f"{name}: memory at its peak", [run.peak / 2**20 for run in runs], "MiB")
    held = [run.held * 1000 for run in runs]
    yield Row.of(f"{name}: event loop held, at most", held, "ms", at_most(10) if whole else None)


async def scraped(app: App, accept: str, encoding: str) -> Scraped:
    """Twice: once to see what it costs, and once with the event loop watched, which costs something."""
    before = resident_bytes()
    forget_peak()
    begun, used = time.perf_counter(), cpu_seconds(SELF)
    size = await fetch(app, accept, encoding)
    cpu, seconds = cpu_seconds(SELF) - used, time.perf_counter() - begun
    peak = peak_bytes() - before
    async with Holds() as holds:
        await fetch(app, accept, encoding)
    return Scraped(cpu, seconds, peak, size, holds.longest)


async def fetch(app: App, accept: str, encoding: str) -> int:
    """Bytes."""
    (place,) = app.addresses
    headers = ["--header", f"Accept: {accept}", "--header", f"Accept-Encoding: {encoding}"]
    command = ["curl", "--silent", "--fail", "--output", "/dev/null", "--write-out", "%{size_download}", *headers]
    client = await asyncio.create_subprocess_exec(*command, f"http://{place}/metrics", stdout=PIPE)
    told, _ = await client.communicate()
    return int(told)


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Resident, since it was last forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


# ---------------------------------------------------------------- the yardstick


class LibraryCollector(Collector):
    """Holds label values and numbers, as a collector would that is told of every result."""

    def __init__(self, states: Iterable[ServerState]) -> None:
        self._samples = {
            family: [
                ((state.watched.server_name.text, *values), number)
                for state in states
                for values, number in family.samples(state)
            ]
            for family in FAMILIES
        }

    def collect(self) -> Iterator[Metric]:
        for family, samples in self._samples.items():
            metric = Metric(
                family.full_name.removesuffix(SUFFIXES[family.metric_type]), family.help, family.metric_type
            )
            labels = ("server_name", *family.labels)
            for values, number in samples:
                metric.add_sample(family.full_name, dict(zip(labels, values, strict=True)), number)
            yield metric


def drained(app: App) -> None:
    deque(exposition.scrape(app.board, app.exporter_metrics, None, None).chunks, maxlen=0)


def cost(work: Callable[[], object]) -> float:
    """CPU seconds."""
    before = cpu_seconds(SELF)
    work()
    return cpu_seconds(SELF) - before


if __name__ == "__main__":
    main()
