"""Ten times the public network: 200,000 servers, four shards with two workers each, and a real Prometheus.

All of them run on this machine, at a pace that fits two cores. Every shard begins with a report of each of its servers,
so that it is as large as after a whole interval. Prometheus asks for what alerts need: all series of 200,000 servers do
not fit into the memory of a small machine, and cost as much each.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from exporter.metrics.families import PREFIX
from exporter.model import durations
from tests.bench.handshakes import Handshakes
from tests.bench.processes import children_of, cpu_seconds_of, resident_bytes, served_by
from tests.bench.rows import QUICK, Row, at_most, emit
from tests.bench.serving import EXPORTER, ExporterProcess, Scrape, get, quantile_since, serving, since
from tests.e2e.monitoring import listening_program
from tests.programs import program

SERVERS, SHARDS, WORKERS = (4_000, 2, 2) if QUICK else (200_000, 4, 2)
PROBES_PER_SECOND = 20 if QUICK else 50  # of all shards: two cores must be enough for them, the servers and Prometheus
SECONDS, SCRAPE_SECONDS = (30, 10) if QUICK else (240, 60)
NAMES = [
    f"{PREFIX}{name}"
    for name in (
        *("probe_success", "peer_success", "probe_interval_seconds", "failure_info", "warning_info"),
        *("tls_cert_not_after_timestamp_seconds", "tls_cert_valid", "signing_key_valid_until_timestamp_seconds"),
    )
]
"""What Prometheus scrapes."""
OWN_NAMES = [
    *(f"{PREFIX}{name}" for name in ("probes_total", "probe_failures_total")),
    *(f"{EXPORTER}{name}" for name in ("probes_skipped_total", "unreliable_timings_total")),
    f"{EXPORTER}schedule_lag_seconds_bucket",
]
OWN_PATH = f"/metrics?{'&'.join(f'name[]={name}' for name in OWN_NAMES)}"
SAMPLE = re.compile(r"^(\w+)(?:\{.*\})? (\S+)$", re.MULTILINE)


def main() -> None:
    handshakes = Handshakes()
    interval = durations.text(SERVERS / PROBES_PER_SECOND)
    with TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        file = stack.enter_context(served_by("tests.bench.responder", str(SERVERS), "--interval", interval))
        started = time.monotonic()
        shards = start_shards(stack, file)
        emit([Row.of(f"{TITLE}, until all shards are ready", time.monotonic() - started, "s")])
        emit(scrape_rows(shards[0]))
        prometheus = stack.enter_context(run_prometheus(Path(name), [shard.address for shard in shards]))
        empty = metrics_of(prometheus)
        time.sleep(1.5 * SCRAPE_SECONDS)  # the first scrape creates the series
        before = Moment.of(shards, prometheus)
        time.sleep(SECONDS)
        after = Moment.of(shards, prometheus)
        emit(probe_rows(before, after, handshakes))
        emit(shard_rows(before, after))
        emit(prometheus_rows(empty, before, after, handshakes))


TITLE = f"ten_times: {SERVERS:,} servers, {SHARDS} shards, {WORKERS} workers each"


def start_shards(stack: ExitStack, file: Path) -> list[ExporterProcess]:
    """Start one after the other: each of them reads the whole list, and keeps a core busy meanwhile."""
    options = ("--workers", str(WORKERS), "--shard.count", str(SHARDS))
    return [
        stack.enter_context(serving(file, *options, "--shard.index", str(index), program=("tests.bench.filled",)))
        for index in range(SHARDS)
    ]


def run_prometheus(folder: Path, exporters: Sequence[str]) -> AbstractContextManager[str]:
    """Yield the address of a Prometheus."""
    scrape = {
        "job_name": "matrix-federation",
        "scrape_interval": f"{SCRAPE_SECONDS}s",
        "scrape_timeout": f"{SCRAPE_SECONDS}s",
        "params": {"name[]": NAMES},
        "static_configs": [{"targets": list(exporters)}],
    }
    configuration = folder / "prometheus.yml"
    configuration.write_text(json.dumps({"scrape_configs": [scrape]}))
    data = f"--storage.tsdb.path={folder / 'data'}"
    return listening_program(folder, [program("prometheus"), f"--config.file={configuration}", data])


# ---------------------------------------------------------------- what is measured


@dataclass(frozen=True, slots=True)
class ShardMoment:
    """What a shard has used, in seconds of CPU time and in bytes, the main process before its workers."""

    own: Scrape
    cpu: list[float]
    memory: list[int]

    @classmethod
    def of(cls, shard: ExporterProcess) -> Self:
        processes = [shard.pid, *children_of(shard.pid)]
        cpu, memory = [cpu_seconds_of(pid) for pid in processes], [resident_bytes(pid) for pid in processes]
        return cls(Scrape(shard.address, OWN_PATH), cpu, memory)


@dataclass(frozen=True, slots=True)
class Moment:
    at: float
    shards: list[ShardMoment]
    prometheus: dict[str, float]

    @classmethod
    def of(cls, shards: Iterable[ExporterProcess], prometheus: str) -> Self:
        return cls(time.monotonic(), [ShardMoment.of(shard) for shard in shards], metrics_of(prometheus))


def metrics_of(prometheus: str) -> dict[str, float]:
    """Return the metrics of Prometheus itself, of which there are sums."""
    _, text = get(prometheus, "/metrics")
    found: dict[str, float] = {}
    for name, value in SAMPLE.findall(text.decode()):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def scrape_rows(shard: ExporterProcess) -> Iterator[Row]:
    """Of everything, which is compressed for the first scrape, and is kept for the second one."""
    for which in ("first", "second"):
        scrape = Scrape(shard.address)
        yield Row.of(
            f"ten_times: {which} scrape of a whole shard, of {SERVERS // SHARDS:,} servers", scrape.seconds, "s"
        )
    yield Row.of("ten_times: size of a scrape of a whole shard, compressed", len(scrape.compressed) / 2**20, "MiB")


def probe_rows(before: Moment, after: Moment, handshakes: Handshakes) -> Iterator[Row]:
    pairs = list(zip(before.shards, after.shards, strict=True))
    probes = sum(since(early.own, late.own, "probes") for early, late in pairs)
    cpu = sum(sum(late.cpu) - sum(early.cpu) for early, late in pairs)

    def total(name: str) -> float:
        return sum(since(early.own, late.own, name) for early, late in pairs)

    yield Row.of(f"{TITLE}, probes", probes / (after.at - before.at), "a second")
    yield Row.of("ten_times: probes that failed", total("probe_failures"), "", at_most(0))
    yield Row.of("ten_times: probes skipped", total(f"{EXPORTER}probes_skipped_total"), "", at_most(0))
    unreliable = total(f"{EXPORTER}unreliable_timings_total")
    yield Row.of("ten_times: probes with unreliable timings", unreliable / probes * 100, "%")
    yield Row.of("ten_times: CPU for each probe, of all processes", cpu / probes * 1000, "ms")
    yield handshakes.row("ten_times: CPU for each probe, of all processes", [cpu / probes])
    lags = [quantile_since(early.own, late.own, f"{EXPORTER}schedule_lag_seconds", 0.99) for early, late in pairs]
    yield Row.of("ten_times: schedule lag, p99 of the latest shard", max(lags), "s", at_most(1))


def shard_rows(before: Moment, after: Moment) -> Iterator[Row]:
    seconds = after.at - before.at
    shares = [
        [(end - start) / seconds * 100 for start, end in zip(early.cpu, late.cpu, strict=True)]
        for early, late in zip(before.shards, after.shards, strict=True)
    ]
    yield Row.of("ten_times: CPU of a shard's main process, share of one core", [main for main, *_ in shares], "%")
    workers = [share for _, *each in shares for share in each]
    yield Row.of("ten_times: CPU of a worker, share of one core", workers, "%")
    main = [shard.memory[0] for shard in after.shards]
    yield Row.of("ten_times: memory of a shard's main process", [each / 2**20 for each in main], "MiB")
    worker = [each for shard in after.shards for each in shard.memory[1:]]
    yield Row.of("ten_times: memory of a worker", [each / 2**20 for each in worker], "MiB")


def prometheus_rows(empty: dict[str, float], before: Moment, after: Moment, handshakes: Handshakes) -> Iterator[Row]:
    """`empty` is how Prometheus was before its first scrape."""
    resident, series = "process_resident_memory_bytes", after.prometheus["prometheus_tsdb_head_series"]
    samples, cpu = (
        after.prometheus[name] - before.prometheus[name]
        for name in ("prometheus_tsdb_head_samples_appended_total", "process_cpu_seconds_total")
    )
    yield Row.of("ten_times: series in Prometheus", series)
    memory = after.prometheus[resident] - empty[resident]
    yield Row.of("ten_times: memory of Prometheus for each series", memory / series / 1024, "KiB")
    yield Row.of("ten_times: CPU of Prometheus, share of one core", cpu / (after.at - before.at) * 100, "%")
    yield handshakes.row("ten_times: CPU of Prometheus for a thousand samples", [cpu / samples * 1000])


if __name__ == "__main__":
    main()
