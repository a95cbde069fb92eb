"""Are the timings honest under saturation? Servers that need 50 ms, and 200 probes in flight.

Both processes are as busy as they can be, so that everybody is late; the servers say how late they were. The difference
between what they say and what the exporter measured is the exporter's error.
"""

import asyncio
from collections.abc import Iterator

from exporter.config import load
from exporter.model.outcomes import Passed
from exporter.model.report import Report
from exporter.wiring import build_prober
from tests.bench.probing import probe_all
from tests.bench.processes import served_by
from tests.bench.rows import QUICK, Row, at_most, quantile, tell

DELAY_SECONDS = 0.05
IN_FLIGHT = 200
ROUNDS = 3 if QUICK else 15
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
ALLOWED = {("version", "p90"): at_most(5)}


def main() -> None:
    with served_by("tests.bench.responder", str(IN_FLIGHT), "--delay", str(DELAY_SECONDS), "--timeout", "1m") as file:
        config = load(file)
        names = [watched.server_name for watched in config.servers]
        reports: list[Report] = []
        asyncio.run(probe_all(build_prober(config), names * ROUNDS, IN_FLIGHT, reports.append))
    tell(rows(reports))


def rows(reports: list[Report]) -> Iterator[Row]:
    seen = [answer for report in reports for answer in true_and_measured(report)]
    yield Row.of(
        "truth: probes that failed", sum(not list(true_and_measured(report)) for report in reports), "", at_most(0)
    )
    for stage in ("tls", "version"):
        errors = [abs(measured - true) for found, true, measured in seen if found == stage]
        took = [true for found, true, _ in seen if found == stage]
        yield Row.of(f"truth: `{stage}`, as the server knows it, p50", quantile(took, 0.5) * 1000, "ms")
        for name, share in SHARES.items():
            row = f"truth: error of the duration of `{stage}`, {name}"
            yield Row.of(row, quantile(errors, share) * 1000, "ms", ALLOWED.get((stage, name)))


def true_and_measured(report: Report) -> Iterator[tuple[str, float, float]]:
    """Of each stage, in seconds; nothing where the probe did not get that far."""
    for endpoint in report.endpoints:
        if isinstance(endpoint.tls, Passed) and isinstance(endpoint.version, Passed):
            told = endpoint.version.found
            yield "tls", float(told.name or 0), endpoint.tls.seconds
            yield "version", float(told.version or 0), endpoint.version.seconds


if __name__ == "__main__":
    main()
