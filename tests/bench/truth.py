"""Are the timings honest? A server that needs 50 ms, and 200 probes in flight.

Both processes are as busy as they can be, so that everybody is late; the server says how late it was. The difference
between what it says and what the exporter reports is the exporter's error.
"""

import asyncio

from exporter.config import load
from exporter.model import Passed, Report
from exporter.wiring import prober
from tests.bench.probing import probe_all
from tests.bench.processes import served_by
from tests.bench.tables import QUICK, console, quantile, show

DELAY_SECONDS = 0.05
IN_FLIGHT = 200
ROUNDS = 3 if QUICK else 15
ALLOWED_ERROR_SECONDS = 0.005  # at the 90th percentile
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def main() -> None:
    with served_by("tests.bench.truthful_server", str(IN_FLIGHT), str(DELAY_SECONDS)) as file:
        config = load(file)
        names = [watched.server_name for watched in config.servers]
        reports: list[Report] = []
        asyncio.run(probe_all(prober(config), names * ROUNDS, IN_FLIGHT, reports.append))
    answers = [answer for report in reports if (answer := true_and_reported(report))]
    errors = [abs(reported - true) for true, reported in answers]
    rows = {
        "true (the server's)": [true for true, _ in answers],
        "reported (the exporter's)": [reported for _, reported in answers],
        "error": errors,
    }
    show(
        f"truth: seconds of the stage `version`, {len(answers)} of {len(reports)} probes, {IN_FLIGHT} in flight",
        ["", *SHARES],
        [
            [name, *(f"{quantile(values, share) * 1000:.2f} ms" for share in SHARES.values())]
            for name, values in rows.items()
        ],
    )
    good = len(answers) == len(reports) and quantile(errors, 0.9) <= ALLOWED_ERROR_SECONDS
    console.print(f"at most {ALLOWED_ERROR_SECONDS * 1000:g} ms of error at p90: {'yes' if good else 'NO'}\n")


def true_and_reported(report: Report) -> tuple[float, float] | None:
    """None where the probe did not get that far."""
    for endpoint in report.endpoints:
        if isinstance(endpoint.version, Passed) and endpoint.version.found.version:
            return float(endpoint.version.found.version), endpoint.version.seconds
    return None


if __name__ == "__main__":
    main()
