"""The cost of a scrape of the real web server in the current process, by a client in another process.

Between two scrapes, a fifth of the servers get a new report, as if each was probed every five minutes and Prometheus
scraped every minute. The baseline is prometheus-client, with a custom collector that has the same samples ready: the
text, and with gzip also its compression, without a web server.
"""

import asyncio
import gc
import gzip
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from subprocess import PIPE

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from exporter.app import App
from exporter.metrics.families import FAMILIES, SUFFIXES
from exporter.model.report import Report
from exporter.reports.server_state import ServerState
from tests.bench.app import BlockMeter, put, running_app
from tests.bench.generated_reports import generate_reports, generate_servers
from tests.bench.handshakes import Handshakes
from tests.bench.processes import SELF, cpu_seconds, resident_bytes
from tests.bench.rows import QUICK, RUNS, Row, at_least, at_most, emit

SIZES = (100, 1_000, 5_000) if QUICK else (100, 1_000, 5_000, 20_000)
LARGEST = 20_000  # the targets apply to it
CHANGED_SHARE = 5  # one in five: an interval of five minutes, and a scrape every minute
FORMATS = {"text": "text/plain", "OpenMetrics": "application/openmetrics-text;version=1.0.0"}
WRITERS: dict[str, Callable[[CollectorRegistry], bytes]] = {
    "text": generate_latest,
    "OpenMetrics": openmetrics.generate_latest,
}
ENCODINGS = {"plain": "identity", "gzip": "gzip"}
LIBRARY_TARGETS = {"text": at_least(30), "OpenMetrics": at_least(50)}
BLOCK_TARGET = at_most(3)
GROWTH_TARGET = at_most(1.1)


def main() -> None:
    handshakes = Handshakes()
    by_size = {size: list(asyncio.run(measure(size, handshakes))) for size in SIZES}
    for rows in by_size.values():
        emit(rows)
    small, large = (cpu_of(by_size[size]) / size for size in (SIZES[1], SIZES[-1]))
    name = f"scrape: CPU per series, {SIZES[-1]:,} servers relative to {SIZES[1]:,}"
    emit([Row.of(name, large / small, "", GROWTH_TARGET)])


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


async def measure(size: int, handshakes: Handshakes) -> list[Row]:
    servers = generate_servers(size)
    rows: list[Row] = []
    async with running_app(servers, list(generate_reports(servers))) as app:
        gc.collect()
        changes = changed_reports(app)
        library = library_costs(app) if size == SIZES[-1] else {}
        for variant in [(name, encoding) for name in FORMATS for encoding in ENCODINGS]:
            runs = [await measure_scrape(app, changes, *variant) for _ in range(RUNS)]
            name = f"scrape: {size:,} servers, {', '.join(variant)}"
            rows += rows_of(name, runs)
            target = BLOCK_TARGET if size == LARGEST else None
            blocked = [run.blocked for run in runs]
            rows.append(handshakes.row(f"{name}: longest block of the event loop", blocked, target))
            if variant in library:
                ratios = [library[variant] / run.cpu for run in runs]
                target = LIBRARY_TARGETS[variant[0]] if size == LARGEST else None
                rows.append(Row.of(f"{name}: CPU of prometheus-client relative to the exporter's", ratios, "", target))
    return rows


def rows_of(name: str, runs: list[ScrapeCost]) -> Iterator[Row]:
    yield Row.of(f"{name}: CPU", [run.cpu for run in runs], "s")
    yield Row.of(f"{name}: time", [run.seconds for run in runs], "s")
    yield Row.of(f"{name}: size", [run.size / 2**20 for run in runs], "MiB")
    yield Row.of(f"{name}: peak memory", [run.peak / 2**20 for run in runs], "MiB")


async def measure_scrape(app: App, changes: Iterator[Report], name: str, encoding: str) -> ScrapeCost:
    """Scrape for the costs, and again with a measurement of the event loop, which has a cost itself. Before each of
    these scrapes is another one, since which so many servers have changed.
    """
    accept, accept_encoding = FORMATS[name], ENCODINGS[encoding]
    await fetch(app, accept, accept_encoding)
    await change(app, changes)
    before = resident_bytes()
    reset_peak()
    started, used = time.perf_counter(), cpu_seconds(SELF)
    size = await fetch(app, accept, accept_encoding)
    cpu, seconds = cpu_seconds(SELF) - used, time.perf_counter() - started
    peak = peak_bytes() - before
    await change(app, changes)
    async with BlockMeter() as meter:
        await fetch(app, accept, accept_encoding)
    return ScrapeCost(cpu, seconds, peak, size, meter.longest)


def changed_reports(app: App) -> Iterator[Report]:
    """Yield new reports of the servers, in the order in which they are due, again and again."""
    for number, state in enumerate(cycle([rendered.state for rendered in app.board.snapshot().states])):
        assert state.report is not None
        yield replace(state.report, seconds=state.report.seconds + number * 1e-6)


async def change(app: App, changes: Iterator[Report]) -> None:
    await put(app, islice(changes, app.board.size // CHANGED_SHARE))


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


def library_costs(app: App) -> dict[tuple[str, str], float]:
    """Return the CPU seconds that prometheus-client takes, by format and encoding."""
    registry = CollectorRegistry()
    registry.register(LibraryCollector([rendered.state for rendered in app.board.snapshot().states]))
    costs: dict[tuple[str, str], float] = {}
    for name, write in WRITERS.items():
        before = cpu_seconds(SELF)
        text = write(registry)
        costs[name, "plain"] = cpu_seconds(SELF) - before
        gzip.compress(text)  # at the level of prometheus-client
        costs[name, "gzip"] = cpu_seconds(SELF) - before
    return costs


if __name__ == "__main__":
    main()
