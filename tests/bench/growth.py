"""Whether a probe costs more CPU time with more servers, from the schedule to the lines of /metrics.

The probe rate is the same, and there is a report of every server on the board. Every chain is verified and evaluated:
otherwise the chains of few servers, which are probed often, would all be known.
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
from exporter.probing.chain_cache import ChainCache
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from tests.bench.app import put
from tests.bench.generated_reports import generate_reports, generate_servers, with_server_name
from tests.bench.processes import SELF, cpu_seconds, served_by
from tests.bench.rows import QUICK, RUNS, Row, at_most, emit

SIZES = (100, 2_000) if QUICK else (100, 1_000, 20_000)
PROBES_PER_SECOND = 50  # so that a measurement has a thousand probes: with fewer, the ratio is noise
WARM_SECONDS, SECONDS = (2, 5) if QUICK else (6, 20)


def main() -> None:
    logs.configure(LogLevel.ERROR, LogFormat.LOGFMT)
    with ExitStack() as stack:
        files = {size: stack.enter_context(served_by("tests.bench.responder", *options(size))) for size in SIZES}
        forgetful = partial(wiring.build_networks, remember_chains=False)
        stack.enter_context(patch.object(wiring, "build_networks", forgetful))
        stack.enter_context(patch.object(ChainCache, "recall", return_value=None))
        rounds = [{size: asyncio.run(cost(file)) for size, file in files.items()} for _ in range(RUNS)]
    emit(rows(rounds))


def options(size: int) -> tuple[str, ...]:
    return str(size), "--interval", f"{size // PROBES_PER_SECOND}s", "--timeout", "1500ms"


def rows(rounds: list[dict[int, float]]) -> Iterator[Row]:
    for size in SIZES:
        yield Row.of(f"growth: CPU of a probe, {size:,} servers", [costs[size] * 1000 for costs in rounds], "ms")
    smallest, largest = SIZES[0], SIZES[-1]
    ratios = [costs[largest] / costs[smallest] for costs in rounds]
    yield Row.of(f"growth: CPU of a probe, {largest:,} servers relative to {smallest:,}", ratios, "", at_most(1.05))


async def cost(file: Path) -> float:
    """Return the CPU seconds of one probe."""
    watched = load(file).servers
    async with App(file, listen=[HostPort(LOOPBACK, 0)], first_round=len(watched) / PROBES_PER_SECOND) as app:
        reports = zip(watched, generate_reports(generate_servers(len(watched))), strict=True)
        await put(app, (with_server_name(report, server.server_name) for server, report in reports))
        gc.collect()
        await asyncio.sleep(WARM_SECONDS)
        (before, _), used = count_probes(app), cpu_seconds(SELF)
        await asyncio.sleep(SECONDS)
        spent, (probes, failures) = cpu_seconds(SELF) - used, count_probes(app)
        if failures:
            sys.stderr.write(f"{failures} probes failed, which changes the result: is the machine busy?\n")
        return spent / (probes - before)


def count_probes(app: App) -> tuple[int, int]:
    """Return the number of probes, and how many of them failed."""
    states = [rendered.state for rendered in app.board.snapshot().states]
    return sum(state.probes for state in states), sum(state.failures for state in states)


if __name__ == "__main__":
    main()
