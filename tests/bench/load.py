"""Whether `serve` keeps up with the whole public network, and how accurate its timings are meanwhile.

20,000 servers are probed every 5 minutes, and need 50 ms for every response. The exporter is scraped every 15 s, as by
Prometheus. The servers report how long they really took for a TLS handshake and for a response, and the exporter
exports these times and what it measured: both are read from the same scrape. TCP on loopback takes no time.

Before and after, with the same servers, the CPU time of a bare handshake and of blackbox_exporter is measured, which
sends the same requests as fast as it can. The exporter is used in full: groups with labels, and a file for the history.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from exporter.config import Config
from exporter.config import load as load_config
from exporter.runtime.loop_lag import STALL_SECONDS
from exporter.scheduling import schedule
from tests.bench import held_loop
from tests.bench.blackbox import Blackbox
from tests.bench.handshakes import handshake_cost, verification_cost
from tests.bench.held_loop import Hold
from tests.bench.processes import served_by
from tests.bench.rows import QUICK, RUNS, Row, at_most, emit, quantile
from tests.bench.serving import EXPORTER, Scrape, maximum_since, quantile_since, serving, since

SERVERS, INTERVAL_SECONDS = (2_000, 30) if QUICK else (20_000, 300)
INTERVALS = 2
FIRST_ROUND_SECONDS = min(INTERVAL_SECONDS, max(schedule.FIRST_ROUND_SECONDS, SERVERS * schedule.FIRST_SPACING_SECONDS))
SETTLING_SECONDS = 1.5 * INTERVAL_SECONDS  # until every server has moved from the first round to its regular time
SCRAPE_SECONDS = 15
DELAY_SECONDS = 0.05
GROUPS = 4

TRUE_SECONDS = re.compile(
    rb'(?m)^matrix_federation_server_info\{name="([\d.]+)",server_name="([^"]+)",.*version="([\d.]+)"'
)
MEASURED_SECONDS = re.compile(
    rb'(?m)^matrix_federation_stage_duration_seconds\{probe_stage="(tcp|tls|version)",server_name="([^"]+)".*\} (\S+)$'
)
STAGES = ("tcp", "tls", "version")


def main() -> None:
    options = ("--interval", f"{INTERVAL_SECONDS}s", "--delay", str(DELAY_SECONDS))
    with (
        served_by("tests.bench.responder", str(SERVERS), *options) as file,
        TemporaryDirectory(prefix="bench-") as name,
    ):
        folder, yardsticks = Path(name), Yardsticks(load_config(file))
        yardsticks.measure()
        held = folder / "held.json"
        with serving(in_full(file, folder), program=("tests.bench.held_loop", str(held))) as exporter:
            time.sleep(FIRST_ROUND_SECONDS + SETTLING_SECONDS)
            scrapes = list(scrape_regularly(exporter.address))
        yardsticks.measure()
        emit(throughput_rows(scrapes))
        emit(yardsticks.rows(cpu_of_probe(scrapes)))
        emit(hold_rows(held_loop.read(held)))
    emit(accuracy_rows(scrapes))


def in_full(file: Path, folder: Path) -> Path:
    """Write the configuration again, with the servers in groups that have labels, and with a file for the history."""
    configuration = json.loads(file.read_text())
    servers = configuration.pop("servers")
    configuration["groups"] = [
        {"name": f"group-{number}", "labels": {"team": f"team-{number}"}, "servers": servers[number::GROUPS]}
        for number in range(GROUPS)
    ]
    configuration["storage"] = {"path": str(folder / "history.sqlite")}
    written = folder / "config.json"
    written.write_text(json.dumps(configuration))
    return written


class Yardsticks:
    """What a probe is compared with, in CPU seconds."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._handshakes: list[float] = []
        self._blackbox: list[float] = []
        self._version = ""

    def measure(self) -> None:
        with Blackbox(self._config) as blackbox:
            for _ in range(RUNS):
                self._handshakes.append(handshake_cost(self._config))
                self._blackbox.append(blackbox.cost())
            self._version = blackbox.version

    def rows(self, cpu: float) -> Iterator[Row]:
        """`cpu` is what a probe takes."""
        handshake, blackbox = median(self._handshakes), median(self._blackbox)
        yield Row.of("load: CPU of a bare handshake", handshake * 1000, "ms")
        yield Row.of("load: CPU of a bare handshake, in verifications of ecdsap384", handshake / verification_cost())
        yield Row.of(f"load: CPU of {self._version}, same requests, back to back", blackbox * 1000, "ms")
        yield Row.of("load: CPU for each probe, in bare handshakes", cpu / handshake)
        yield Row.of("load: CPU for each probe, relative to blackbox_exporter", cpu / blackbox, "", at_most(0.35))


def cpu_of_probe(scrapes: list[Scrape]) -> float:
    """Return the CPU seconds for each probe."""
    before, after = scrapes[0], scrapes[-1]
    return since(before, after, "process_cpu_seconds_total") / since(before, after, "probes")


def hold_rows(longest: Hold) -> Iterator[Row]:
    own = f"load: longest hold of the event loop by its own work, in {longest.where}"
    yield Row.of(own, longest.seconds * 1000, "ms", at_most(STALL_SECONDS * 1000))


def scrape_regularly(address: str) -> Iterator[Scrape]:
    """Scrape from the beginning to the end of the measurement."""
    started = time.monotonic()
    for number in range(int(INTERVALS * INTERVAL_SECONDS / SCRAPE_SECONDS) + 1):
        time.sleep(max(0.0, started + number * SCRAPE_SECONDS - time.monotonic()))
        yield Scrape(address)


def throughput_rows(scrapes: list[Scrape]) -> Iterator[Row]:
    before, after = scrapes[0], scrapes[-1]
    schedule_lag, loop_lag = f"{EXPORTER}schedule_lag_seconds", f"{EXPORTER}event_loop_lag_seconds"
    probes, seconds = since(before, after, "probes"), after.at - before.at
    yield Row.of("load: servers", SERVERS)
    yield Row.of("load: probes", probes / seconds, "a second")
    yield Row.of("load: probes that failed", since(before, after, "probe_failures"), "", at_most(0))
    yield Row.of("load: probes skipped since the start", after.total(f"{EXPORTER}probes_skipped_total"), "", at_most(0))
    cpu = since(before, after, "process_cpu_seconds_total")
    yield Row.of("load: CPU for each probe, with schedule and scrapes", cpu / probes * 1000, "ms")
    yield Row.of("load: CPU, share of one core", cpu / seconds * 100, "%")
    resident = max(scrape.total("process_resident_memory_bytes") for scrape in scrapes)
    yield Row.of("load: resident memory, maximum", resident / 2**20, "MiB", at_most(260))
    yield Row.of("load: schedule lag, p50", quantile_since(before, after, schedule_lag, 0.5), "s")
    yield Row.of("load: schedule lag, p99", quantile_since(before, after, schedule_lag, 0.99), "s", at_most(1))
    yield Row.of("load: event loop lag, p99", quantile_since(before, after, loop_lag, 0.99), "s")
    yield Row.of("load: event loop lag, maximum", maximum_since(before, after, loop_lag), "s")
    yield Row.of("load: full garbage collections", after.full_collections - before.full_collections)
    yield Row.of("load: time of a scrape", [scrape.seconds for scrape in scrapes], "s")
    yield Row.of("load: size of a scrape, compressed", len(after.compressed) / 2**20, "MiB")
    unreliable = since(before, after, f"{EXPORTER}unreliable_timings_total")
    yield Row.of("load: probes with unreliable timings", unreliable / probes * 100, "%", at_most(1))


def accuracy_rows(scrapes: list[Scrape]) -> Iterator[Row]:
    """Use scrapes that are an interval apart, so that every report counts once."""
    step = INTERVAL_SECONDS // SCRAPE_SECONDS
    texts = [scrape.text() for scrape in scrapes[step::step]]
    for stage in STAGES:
        errors = [error for text in texts for error in measurement_errors(text, stage)]
        if not errors:
            raise SystemExit("found no probe with durations: see the row of unreliable timings, and TRUE_SECONDS")
        for share, bound in ((0.5, 2), (0.99, 5)):
            name = f"load: error of the duration of `{stage}`, p{share * 100:.0f}"
            yield Row.of(name, quantile(errors, share) * 1000, "ms", at_most(bound))


def measurement_errors(text: bytes, stage: str) -> Iterator[float]:
    """Yield the error of each duration in seconds, of the servers whose durations are exported."""
    true = {
        server: {"tcp": 0.0, "tls": float(handshake), "version": float(response)}
        for handshake, server, response in TRUE_SECONDS.findall(text)
    }
    for found, server, seconds in MEASURED_SECONDS.findall(text):
        if found.decode() == stage and server in true:
            yield abs(float(seconds) - true[server][stage])


if __name__ == "__main__":
    main()
