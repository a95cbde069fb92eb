"""The accuracy of the timings under full load, with servers that need 50 ms and 200 probes in flight.

Both processes are as busy as they can be, so both are late. The servers report how long they really took. The
difference between that time and the time that the exporter measured is the exporter's error.
"""

import asyncio
from collections.abc import Iterator

from exporter.config import load
from exporter.model.outcomes import Passed
from exporter.model.report import Report
from exporter.wiring import build_prober
from tests.bench.probing import probe_all
from tests.bench.processes import served_by
from tests.bench.rows import QUICK, Row, at_most, emit, quantile

DELAY_SECONDS = 0.05
IN_FLIGHT = 200
ROUNDS = 3 if QUICK else 15
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
TARGETS = {("version", "p90"): at_most(5)}


def main() -> None:
    with served_by("tests.bench.responder", str(IN_FLIGHT), "--delay", str(DELAY_SECONDS), "--timeout", "1m") as file:
        config = load(file)
        names = [watched.server_name for watched in config.servers]
        reports: list[Report] = []
        asyncio.run(probe_all(build_prober(config).probe, names * ROUNDS, IN_FLIGHT, reports.append))
    emit(rows(reports))


def rows(reports: list[Report]) -> Iterator[Row]:
    durations = [duration for report in reports for duration in true_and_measured_seconds(report)]
    yield Row.of(
        "accuracy: probes that failed",
        sum(not list(true_and_measured_seconds(report)) for report in reports),
        "",
        at_most(0),
    )
    for stage in ("tls", "version"):
        errors = [abs(measured - true) for name, true, measured in durations if name == stage]
        true_seconds = [true for name, true, _ in durations if name == stage]
        yield Row.of(f"accuracy: true duration of `{stage}`, p50", quantile(true_seconds, 0.5) * 1000, "ms")
        for quantile_name, share in SHARES.items():
            row = f"accuracy: error of the duration of `{stage}`, {quantile_name}"
            yield Row.of(row, quantile(errors, share) * 1000, "ms", TARGETS.get((stage, quantile_name)))


def true_and_measured_seconds(report: Report) -> Iterator[tuple[str, float, float]]:
    """Yield the stage, its true duration and the measured one, in seconds; nothing if the probe failed before."""
    for endpoint in report.endpoints:
        if isinstance(endpoint.tls, Passed) and isinstance(endpoint.version, Passed):
            software = endpoint.version.found
            yield "tls", float(software.name or 0), endpoint.tls.seconds
            yield "version", float(software.version or 0), endpoint.version.seconds


if __name__ == "__main__":
    main()
