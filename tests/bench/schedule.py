"""Does the exporter keep up? `serve` with 1,000 servers of the lab, each due every minute.

All that is shown is what its `/metrics` says.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen
from threading import Thread
from typing import IO
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from tests.bench.processes import served_by
from tests.bench.tables import QUICK, console, show

SERVERS, INTERVAL_SECONDS = (333, 20) if QUICK else (1000, 60)
ROUNDS = 2
SETTLING_INTERVALS = 2.5  # a first round, and up to one and a half intervals until every server is at its own time
SCRAPE_TIMEOUT_SECONDS = 10

SERVER, EXPORTER = "matrix_federation_", "matrix_federation_exporter_"


class Scrape:
    def __init__(self, address: str) -> None:
        started = time.perf_counter()
        with urlopen(f"http://{address}/metrics", timeout=SCRAPE_TIMEOUT_SECONDS) as answer:
            text = answer.read().decode()
        self.seconds = time.perf_counter() - started
        self.at = time.monotonic()
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(self, name: str) -> float:
        """The sum of all samples of this name."""
        return sum(sample.value for sample in self._samples if sample.name == name)

    def lag_below(self, share: float) -> str:
        """The bucket that this share of all starts was late by at most, in seconds."""
        buckets = [sample for sample in self._samples if sample.name == f"{EXPORTER}schedule_lag_seconds_bucket"]
        enough = share * self.total(f"{EXPORTER}schedule_lag_seconds_count")
        return next(sample.labels["le"] for sample in buckets if sample.value >= enough)


def main() -> None:
    with served_by("tests.bench.lab", str(SERVERS), f"{INTERVAL_SECONDS}s") as file, serving(str(file)) as address:
        time.sleep(SETTLING_INTERVALS * INTERVAL_SECONDS)
        before = Scrape(address)
        time.sleep(ROUNDS * INTERVAL_SECONDS)
        after = Scrape(address)
    show_scrapes(before, after)


@contextmanager
def serving(config: str) -> Iterator[str]:
    """Where the real exporter listens, in a process of its own."""
    options = ["--config", config, "--web.listen-address", "127.0.0.1:0", "--log.format", "json"]
    with Popen([sys.executable, "-m", "exporter", "serve", *options], stderr=PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            yield listening_at(process.stderr)
        finally:
            process.terminate()


def listening_at(log: IO[str]) -> str:
    """Read on to the end, else the exporter would come to a stop when the pipe is full."""
    address = next((event["addresses"] for line in log if (event := json.loads(line))["msg"] == "listening"), None)
    if address is None:
        raise SystemExit("the exporter did not start")
    Thread(target=log.read, daemon=True).start()
    return str(address)


def show_scrapes(before: Scrape, after: Scrape) -> None:
    def grown(name: str) -> float:
        return after.total(name) - before.total(name)

    cpu = grown("process_cpu_seconds_total") / (after.at - before.at)
    skipped = after.total(f"{EXPORTER}probes_skipped_total")
    show(
        f"schedule: {SERVERS} servers every {INTERVAL_SECONDS} s",
        [f"{ROUNDS} rounds, after the first ones", ""],
        [
            ["probes", f"{grown(f'{SERVER}probes_total'):.0f}"],
            ["of which failed", f"{grown(f'{SERVER}probe_failures_total'):.0f}"],
            ["skipped, since the start", f"{skipped:.0f}"],
            ["lag of the starts, p50 and p99", f"<= {after.lag_below(0.5)} s, <= {after.lag_below(0.99)} s"],
            ["CPU, of one core", f"{cpu:.0%}"],
            ["resident memory", f"{after.total('process_resident_memory_bytes') / 2**20:.0f} MiB"],
            ["scrape of /metrics", f"{after.seconds:.2f} s"],
        ],
    )
    console.print(f"no probe was skipped: {'NO' if skipped else 'yes'}\n")


if __name__ == "__main__":
    main()
