"""Whether `serve` keeps up with the whole public network, and how accurate its timings are meanwhile.

20,000 servers are probed every 5 minutes, and need 50 ms for every response. The exporter is scraped every 15 s, as by
Prometheus. The servers report how long they really took for a TLS handshake and for a response, and the exporter
exports these times and what it measured: both are read from the same scrape. TCP on loopback takes no time.
"""

import re
import time
from collections.abc import Iterator

from exporter.scheduling import schedule
from tests.bench.processes import served_by
from tests.bench.rows import QUICK, Row, at_most, emit, quantile
from tests.bench.serving import EXPORTER, Scrape, maximum_since, quantile_since, serving, since

SERVERS, INTERVAL_SECONDS = (2_000, 30) if QUICK else (20_000, 300)
INTERVALS = 2
FIRST_ROUND_SECONDS = min(INTERVAL_SECONDS, max(schedule.FIRST_ROUND_SECONDS, SERVERS * schedule.FIRST_SPACING_SECONDS))
SETTLING_SECONDS = 1.5 * INTERVAL_SECONDS  # until every server has moved from the first round to its regular time
SCRAPE_SECONDS = 15
DELAY_SECONDS = 0.05

TRUE_SECONDS = re.compile(
    rb'(?m)^matrix_federation_server_info\{name="([\d.]+)",server_name="([^"]+)",version="([\d.]+)"'
)
MEASURED_SECONDS = re.compile(
    rb'(?m)^matrix_federation_stage_duration_seconds\{probe_stage="(tcp|tls|version)",server_name="([^"]+)"\} (\S+)$'
)
STAGES = ("tcp", "tls", "version")


def main() -> None:
    options = ("--interval", f"{INTERVAL_SECONDS}s", "--delay", str(DELAY_SECONDS))
    with served_by("tests.bench.responder", str(SERVERS), *options) as file, serving(file) as exporter:
        time.sleep(FIRST_ROUND_SECONDS + SETTLING_SECONDS)
        scrapes = list(scrape_regularly(exporter.address))
    emit(throughput_rows(scrapes))
    emit(accuracy_rows(scrapes))


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
    yield Row.of("load: CPU, share of one core", cpu / seconds * 100, "%", at_most(40))
    resident = max(scrape.total("process_resident_memory_bytes") for scrape in scrapes)
    yield Row.of("load: resident memory, maximum", resident / 2**20, "MiB", at_most(600))
    yield Row.of("load: schedule lag, p50", quantile_since(before, after, schedule_lag, 0.5), "s")
    yield Row.of("load: schedule lag, p99", quantile_since(before, after, schedule_lag, 0.99), "s", at_most(1))
    yield Row.of("load: event loop lag, p99", quantile_since(before, after, loop_lag, 0.99), "s")
    yield Row.of("load: event loop lag, maximum", maximum_since(before, after, loop_lag), "s")
    yield Row.of("load: full garbage collections", after.full_collections - before.full_collections)
    yield Row.of("load: time of a scrape", [scrape.seconds for scrape in scrapes], "s")
    yield Row.of("load: size of a scrape, compressed", len(after.compressed) / 2**20, "MiB")
    unreliable = since(before, after, f"{EXPORTER}unreliable_timings_total")
    yield Row.of("load: probes with unreliable timings", unreliable / probes * 100, "%")


def accuracy_rows(scrapes: list[Scrape]) -> Iterator[Row]:
    """Use scrapes that are an interval apart, so that every report counts once."""
    step = INTERVAL_SECONDS // SCRAPE_SECONDS
    texts = [scrape.text() for scrape in scrapes[step::step]]
    for stage in STAGES:
        errors = [error for text in texts for error in measurement_errors(text, stage)]
        if not errors:
            raise SystemExit(
                "no probe has reliable timings: the machine is too busy with other processes to measure anything"
            )
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
