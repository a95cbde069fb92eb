"""How long does the exporter take to begin, and to put a list of which one server in a hundred is another to use?"""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from exporter.app import App
from exporter.config import HostPort
from exporter.demo.listener import LOOPBACK
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from tests.bench.app import FAR_AWAY_SECONDS, Holds, configuration
from tests.bench.invented import everyone, reports
from tests.bench.processes import served_by
from tests.bench.rows import QUICK, RUNS, Row, tell
from tests.bench.serving import PAUSE_SECONDS, get, serving

SERVERS = 5_000 if QUICK else 20_000
OTHERS = SERVERS // 100


def main() -> None:
    tell(started())
    tell(reloaded())


def started() -> Iterator[Row]:
    with served_by("tests.bench.responder", str(SERVERS)) as file:
        times = [start(file) for _ in range(RUNS)]
    yield Row.of(f"start: {SERVERS:,} servers, until ready", [ready for ready, _ in times], "s")
    yield Row.of(f"start: {SERVERS:,} servers, until the first result", [first for _, first in times], "s")


def start(file: Path) -> tuple[float, float]:
    """Seconds from the beginning of the process, to ready and to the first result."""
    begun = time.monotonic()
    with serving(file) as exporter:
        ready = time.monotonic() - begun
        while b"\nmatrix_federation_probe_success{" not in get(exporter.address, "/metrics")[1]:
            time.sleep(PAUSE_SECONDS)
        return ready, time.monotonic() - begun


def reloaded() -> Iterator[Row]:
    logs.configure(LogLevel.ERROR, LogFormat.LOGFMT)
    found = [asyncio.run(reload(seed)) for seed in range(RUNS)]
    changed = f"start: reload of {SERVERS:,} servers, {OTHERS} of them others"
    yield Row.of(changed, median(seconds for seconds, _ in found), "s")
    yield Row.of(f"{changed}: event loop held, at most", median(held for _, held in found), "s")


async def reload(seed: int) -> tuple[float, float]:
    """Seconds that it took, and of CPU time that nothing else could run."""
    watched, others = everyone(SERVERS), everyone(OTHERS, seed=100 + seed)
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps(configuration(watched)))
        async with App(file, listen=[HostPort(LOOPBACK, 0)], first_round=FAR_AWAY_SECONDS) as app:
            for report in reports(watched):
                app.board.put(report)
            file.write_text(json.dumps(configuration([*watched[OTHERS:], *others])))
            begun = time.monotonic()
            async with Holds() as holds:
                assert await app.reload() == ()
            return time.monotonic() - begun, holds.longest


if __name__ == "__main__":
    main()
