"""Does a probe cost more where there are more servers? The exporter's own CPU time for each, from the schedule to the
lines of /metrics, at the same number of probes a second, and with a report of every server on the board.

Every chain is verified: where there are few servers, they are met again so soon that all would be remembered.
"""

import asyncio
import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from unittest.mock import patch

from exporter import wiring
from exporter.app import App
from exporter.config import HostPort, load
from exporter.demo.listener import LOOPBACK
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from tests.bench.invented import everyone, moved, reports
from tests.bench.processes import SELF, cpu_seconds, served_by
from tests.bench.rows import QUICK, RUNS, Row, at_most, tell

SIZES = (100, 2_000) if QUICK else (100, 1_000, 20_000)
PROBES_A_SECOND = 50  # so that a window has a thousand: with fewer, the ratio is noise
WARM_SECONDS, SECONDS = (2, 5) if QUICK else (6, 20)


def main() -> None:
    logs.configure(LogLevel.ERROR, LogFormat.LOGFMT)
    with ExitStack() as stack:
        files = {size: stack.enter_context(served_by("tests.bench.responder", *options(size))) for size in SIZES}
        stack.enter_context(patch.object(wiring, "prober", partial(wiring.build_prober, remember_chains=False)))
        rounds = [{size: asyncio.run(cost(file)) for size, file in files.items()} for _ in range(RUNS)]
    tell(rows(rounds))


def options(size: int) -> tuple[str, ...]:
    return str(size), "--interval", f"{size // PROBES_A_SECOND}s", "--timeout", "1500ms"


def rows(rounds: list[dict[int, float]]) -> Iterator[Row]:
    for size in SIZES:
        yield Row.of(f"growth: probe among {size:,} servers", [costs[size] * 1000 for costs in rounds], "ms")
    smallest, largest = SIZES[0], SIZES[-1]
    ratios = [costs[largest] / costs[smallest] for costs in rounds]
    yield Row.of(f"growth: probe among {largest:,} servers : {smallest:,}", ratios, "", at_most(1.1))


async def cost(file: Path) -> float:
    """CPU seconds of one."""
    watched = load(file).servers
    async with App(file, listen=[HostPort(LOOPBACK, 0)], first_round=len(watched) / PROBES_A_SECOND) as app:
        for server, report in zip(watched, reports(everyone(len(watched))), strict=True):
            app.board.put(moved(report, server.server_name))
        gc.collect()
        await asyncio.sleep(WARM_SECONDS)
        (probed, _), used = ended(app), cpu_seconds(SELF)
        await asyncio.sleep(SECONDS)
        spent, (probes, failures) = cpu_seconds(SELF) - used, ended(app)
        if failures:
            sys.stderr.write(f"{failures} probes failed, which costs something else: is the machine busy?\n")
        return spent / (probes - probed)


def ended(app: App) -> tuple[int, int]:
    """Probes, and how many of them failed."""
    states = [rendered.state for rendered in app.board.snapshot().states]
    return sum(state.probes for state in states), sum(state.failures for state in states)


if __name__ == "__main__":
    main()
