"""The cost of a scrape of the real web server in the current process, by a client in another process.

The baseline is the writer of prometheus-client, with a custom collector that has the same samples ready. Both are
measured without a web server.
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
from tests.bench.app import BlockMeter, running_app
from tests.bench.generated_reports import generate_reports, generate_servers
from tests.bench.processes import SELF, cpu_seconds, resident_bytes
from tests.bench.rows import QUICK, RUNS, Row, Target, at_least, at_most, emit

SIZES = (100, 1_000, 5_000) if QUICK else (100, 1_000, 5_000, 20_000)
LARGEST = 20_000  # the targets apply to it
FORMATS = {"text": "text/plain", "OpenMetrics": "application/openmetrics-text;version=1.0.0"}
ENCODINGS = {"plain": "identity", "gzip": "gzip"}
CPU_TARGETS = {"plain": at_most(0.3), "gzip": at_most(0.8)}
GROWTH_TARGET = at_most(1.1)


def main() -> None:
    by_size = {size: list(asyncio.run(measure(size))) for size in SIZES}
    for rows in by_size.values():
        emit(rows)
    small, large = (cpu_of(by_size[size]) / size for size in (SIZES[1], SIZES[-1]))
    emit(
        [
            Row.of(
                f"scrape: CPU per series, {SIZES[-1]:,} servers relative to {SIZES[1]:,}",
                large / small,
                "",
                GROWTH_TARGET,
            )
        ]
    )


def cpu_of(rows: Iterable[Row]) -> float:
    return next(row.value for row in rows if row.name.endswith("text, plain: CPU"))


@dataclass(frozen=True, slots=True)
class ScrapeCost:
    """The cost of one scrape: CPU time and elapsed time in seconds, the memory peak and the size in bytes."""

    cpu: float
    seconds: float
    peak: int
    size: int
    blocked: float
    """The longest block of the event loop, in seconds of CPU time."""


async def measure(size: int) -> list[Row]:
    servers = generate_servers(size)
    rows: list[Row] = []
    async with running_app(servers, list(generate_reports(servers))) as app:
        gc.collect()
        costs_by_variant = {
            (name, encoding): [await measure_scrape(app, FORMATS[name], ENCODINGS[encoding]) for _ in range(RUNS)]
            for name in FORMATS
            for encoding in ENCODINGS
        }
        for (name, encoding), runs in costs_by_variant.items():
            rows += rows_of(f"scrape: {size:,} servers, {name}, {encoding}", runs, CPU_TARGETS[encoding], size)
        states = [rendered.state for rendered in app.board.snapshot().states]
        registry = CollectorRegistry()
        registry.register(LibraryCollector(states))
        costs = [(cost(lambda: generate_latest(registry)), cost(lambda: consume(app))) for _ in range(RUNS)]
    target = at_least(30) if size == LARGEST else None
    ratios = [library / exporter for library, exporter in costs]
    return [
        *rows,
        Row.of(
            f"scrape: {size:,} servers, without the web server, CPU of prometheus-client relative to the exporter's",
            ratios,
            "",
            target,
        ),
    ]


def rows_of(name: str, runs: list[ScrapeCost], cpu: Target, servers: int) -> Iterator[Row]:
    has_target = servers == LARGEST
    yield Row.of(f"{name}: CPU", [run.cpu for run in runs], "s", cpu if has_target else None)
    yield Row.of(f"{name}: time", [run.seconds for run in runs], "s")
    yield Row.of(f"{name}: size", [run.size / 2**20 for run in runs], "MiB")
    yield Row.of(f"{name}: peak memory", [run.peak / 2**20 for run in runs], "MiB")
    blocked = [run.blocked * 1000 for run in runs]
    yield Row.of(f"{name}: longest block of the event loop", blocked, "ms", at_most(10) if has_target else None)


async def measure_scrape(app: App, accept: str, encoding: str) -> ScrapeCost:
    """Scrape twice: once for the costs, and once with a measurement of the event loop, which has a cost itself."""
    before = resident_bytes()
    reset_peak()
    started, used = time.perf_counter(), cpu_seconds(SELF)
    size = await fetch(app, accept, encoding)
    cpu, seconds = cpu_seconds(SELF) - used, time.perf_counter() - started
    peak = peak_bytes() - before
    async with BlockMeter() as meter:
        await fetch(app, accept, encoding)
    return ScrapeCost(cpu, seconds, peak, size, meter.longest)


async def fetch(app: App, accept: str, encoding: str) -> int:
    """Scrape, and return the number of bytes."""
    (address,) = app.addresses
    headers = ["--header", f"Accept: {accept}", "--header", f"Accept-Encoding: {encoding}"]
    command = ["curl", "--silent", "--fail", "--output", "/dev/null", "--write-out", "%{size_download}", *headers]
    client = await asyncio.create_subprocess_exec(*command, f"http://{address}/metrics", stdout=PIPE)
    output, _ = await client.communicate()
    return int(output)


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the peak of the resident memory since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


# ---------------------------------------------------------------- the baseline


class LibraryCollector(Collector):
    """Has the label values and values of all samples ready."""

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


def consume(app: App) -> None:
    deque(exposition.Exposer(app.board, app.exporter_metrics).scrape(None, None).chunks, maxlen=0)


def cost(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a function call."""
    before = cpu_seconds(SELF)
    work()
    return cpu_seconds(SELF) - before


if __name__ == "__main__":
    main()
