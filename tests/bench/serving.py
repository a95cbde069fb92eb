"""`serve`, the real exporter in a process of its own, and its own metrics."""

import http.client
import json
import re
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Thread
from typing import IO

AS_PROMETHEUS = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
SCRAPE_TIMEOUT_SECONDS = 30
PAUSE_SECONDS = 0.01
SERVER, EXPORTER = "matrix_federation_", "matrix_federation_exporter_"
OWN_SAMPLE = re.compile(rb"^((?:matrix_federation_exporter|process|python)_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
PROBES = re.compile(rb"^matrix_federation_(probes|probe_failures)_total\{.*\} (\S+)$", re.MULTILINE)
GZIP_WINDOW_BITS = 31


@dataclass(frozen=True, slots=True)
class ExporterProcess:
    pid: int
    address: str


@contextmanager
def serving(config: Path, *options: str, program: Sequence[str] = ("exporter",)) -> Iterator[ExporterProcess]:
    """Yield an exporter that is ready. `program` is the module that runs it, and its first arguments."""
    arguments = ["--config", str(config), "--web.listen-address", "127.0.0.1:0", "--log.format", "json", *options]
    with Popen([sys.executable, "-m", *program, "serve", *arguments], stderr=PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            address = read_address(process.stderr)
            while not is_ready(address):
                time.sleep(PAUSE_SECONDS)
            yield ExporterProcess(process.pid, address)
        finally:
            process.kill()  # without a wait for the probes in flight; the workers end with it


def read_address(log: IO[str]) -> str:
    """Return the address in the log, and read the rest of the log in a thread: a full pipe would stop the exporter."""
    address = next((event["addresses"] for line in log if (event := json.loads(line))["msg"] == "listening"), None)
    if address is None:
        raise SystemExit("the exporter did not start")
    Thread(target=log.read, daemon=True).start()
    return str(address)


def is_ready(address: str) -> bool:
    """Whether it is, and says so in time: an exporter that starts with very many servers may be late."""
    try:
        return get(address, "/-/ready")[0] == 200
    except TimeoutError:
        return False


def get(address: str, path: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=SCRAPE_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@dataclass(slots=True)
class Scrape:
    """A scrape as Prometheus does it. The text stays compressed, as many scrapes are kept."""

    address: str
    path: str = "/metrics"
    at: float = field(init=False)
    seconds: float = field(init=False)
    compressed: bytes = field(init=False)
    _own: dict[str, dict[str, float]] = field(init=False)

    def __post_init__(self) -> None:
        self.at = time.monotonic()
        _, self.compressed = get(self.address, self.path, headers=AS_PROMETHEUS)
        self.seconds = time.monotonic() - self.at
        text = self.text()
        self._own = {}
        for name, labels, value in OWN_SAMPLE.findall(text):
            self._own.setdefault(name.decode(), {})[labels.decode()] = float(value)
        self._own |= {"probes": {}, "probe_failures": {}}
        for name, value in PROBES.findall(text):
            totals = self._own[name.decode()]
            totals[""] = totals.get("", 0.0) + float(value)

    def text(self) -> bytes:
        return zlib.decompress(self.compressed, GZIP_WINDOW_BITS)

    def total(self, name: str) -> float:
        """Return the sum of all samples of one of the exporter's own metrics, or of `probes` or `probe_failures`."""
        return sum(self._own.get(name, {}).values())

    def buckets(self, name: str) -> dict[float, float]:
        """Return the values of a histogram's buckets, by their upper bounds."""
        return {float(labels.split('"')[1]): value for labels, value in self._own[f"{name}_bucket"].items()}

    @property
    def full_collections(self) -> float:
        return self._own["python_gc_collections_total"]['generation="2"']


def since(before: Scrape, after: Scrape, name: str) -> float:
    return after.total(name) - before.total(name)


def quantile_since(before: Scrape, after: Scrape, name: str, share: float) -> float:
    """Return a quantile as `histogram_quantile` does: interpolated in a bucket, and at most the highest bound."""
    earlier, later = before.buckets(name), after.buckets(name)
    increase = {bound: later[bound] - earlier[bound] for bound in sorted(later)}
    wanted, lower, below = share * max(increase.values()), 0.0, 0.0
    for bound, count in increase.items():
        if count >= wanted and count > below:
            return lower if bound == float("inf") else lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return 0.0


def maximum_since(before: Scrape, after: Scrape, name: str) -> float:
    """Return the upper bound of the highest bucket that has an observation."""
    return quantile_since(before, after, name, 1.0)
