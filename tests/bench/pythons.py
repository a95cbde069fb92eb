"""Whether a newer Python pays: CPU time of a probe in every Python that `tests/install-pythons` has found.

`python -m tests.bench.pythons CONFIG` prints the CPU seconds of one probe, in the Python that runs it.
"""

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from subprocess import check_output

from exporter.config import load
from exporter.metrics.exposition import render_lines
from exporter.reports.board import Board
from exporter.runtime import event_loop
from exporter.wiring import build_prober
from tests.bench.probing import probe_all
from tests.bench.processes import SELF, cpu_seconds, served_by
from tests.bench.rows import QUICK, RUNS, Row, emit

ENVIRONMENTS = Path(".venv-pythons")
SERVERS = 150 if QUICK else 500
IN_FLIGHT = 20
ROUNDS = 3


def main() -> None:
    pythons = {folder.name: folder / "bin" / "python" for folder in sorted(ENVIRONMENTS.glob("*")) if folder.is_dir()}
    if not pythons:
        sys.stderr.write(f"no environments in {ENVIRONMENTS}: tests/install-pythons 3.11 3.12 3.13 creates them\n")
        return
    with served_by("tests.bench.responder", str(SERVERS)) as file:
        rounds = [{version: measure(python, file) for version, python in pythons.items()} for _ in range(RUNS)]
    emit(rows(rounds))


def rows(rounds: list[dict[str, float]]) -> Iterator[Row]:
    oldest = next(iter(rounds[0]))
    for version in rounds[0]:
        yield Row.of(f"pythons: CPU of a probe, Python {version}", [costs[version] * 1000 for costs in rounds], "ms")
        if version != oldest:
            ratios = [costs[version] / costs[oldest] for costs in rounds]
            yield Row.of(f"pythons: CPU of a probe, Python {version} relative to {oldest}", ratios)


def measure(python: Path, config: Path) -> float:
    """Return the CPU seconds of one probe in another Python. It has no uvloop: asyncio is compared with asyncio."""
    return float(check_output([python, "-m", "tests.bench.pythons", str(config)]))


async def cost(file: Path) -> float:
    config = load(file)
    names = [watched.server_name for watched in config.servers]
    board = Board(render_lines, lambda: datetime.now(UTC))
    board.watch(config.servers)
    prober = build_prober(config)
    await probe_all(prober.probe, names, IN_FLIGHT, board.put)  # fills the caches
    before = cpu_seconds(SELF)
    await probe_all(prober.probe, names * ROUNDS, IN_FLIGHT, board.put)
    return (cpu_seconds(SELF) - before) / len(names) / ROUNDS


if __name__ == "__main__":
    if sys.argv[1:]:
        event_loop.collect_garbage_for(20_000)  # as `serve` does
        sys.stdout.write(f"{asyncio.run(cost(Path(sys.argv[1])))}\n")
    else:
        main()
