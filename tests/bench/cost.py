"""What does a probe cost? CPU time of the exporter alone, in bare TLS handshakes with the same server.

The yardstick is `openssl s_time -new`, which does nothing but handshakes, and verifies the chain. Both are measured by
turns, as machines have their moods.
"""

import asyncio
import re
import resource
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from exporter.board import Board
from exporter.config import Config, load
from exporter.exposition import lines
from exporter.lab.authority import LINEAGES
from exporter.lab.servers import CROWD_PLACE
from exporter.probe import Prober
from exporter.wiring import prober
from tests.bench.probing import probe_all
from tests.bench.processes import served_by
from tests.bench.tables import QUICK, console, show

SERVERS = 1000
IN_FLIGHT = 20  # enough to keep one core busy
ROUNDS = 1 if QUICK else 5
YARDSTICK_SECONDS = 2
HANDSHAKES = 2  # of a probe: with the web server that has the well-known, and with the homeserver

CONNECTIONS = re.compile(r"(\d+) connections in \d+ real seconds")


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds of one of each."""

    handshake: float
    probe: float
    """With a certificate chain that is remembered as good."""
    first_probe: float
    """With one that is verified."""


def main() -> None:
    for lineage in LINEAGES:
        with served_by("tests.bench.lab", str(SERVERS), "5m", lineage) as file:
            measure(lineage, load(file))


def measure(lineage: str, config: Config) -> None:
    board = Board(lines, lambda: datetime.now(UTC))
    board.watch(config.servers)
    rounds = [
        Costs(
            handshake_cost(config),
            asyncio.run(probe_cost(prober(config), config, board)),
            asyncio.run(probe_cost(prober(config, remember_chains=False), config, board)),
        )
        for _ in range(ROUNDS)
    ]
    show_costs(lineage, rounds)
    failures = sum(posted.standing.failures for posted in board.snapshot().posted)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"probes that failed: {failures}; resident memory, at its peak: {resident:.0f} MiB\n")


def show_costs(lineage: str, rounds: list[Costs]) -> None:
    def row(what: str, read: Callable[[Costs], float]) -> tuple[str, str, str]:
        milliseconds = median(read(costs) * 1000 for costs in rounds)
        ratio = median(read(costs) / (HANDSHAKES * costs.handshake) for costs in rounds)
        return what, f"{milliseconds:.2f} ms", f"{ratio:.2f}"

    show(
        f"cost: {SERVERS} healthy servers, {lineage}, each delegated by a well-known; medians of {ROUNDS} rounds",
        ["CPU time, user and system", "", "ratio"],
        [
            row("two bare handshakes (openssl s_time -new -verify)", lambda costs: HANDSHAKES * costs.handshake),
            row("probe: 4 DNS queries, 2 handshakes, 3 requests; its metrics", lambda costs: costs.probe),
            row("the same, without a memory of certificate chains", lambda costs: costs.first_probe),
        ],
    )


async def probe_cost(prober: Prober, config: Config, board: Board) -> float:
    """From the name to the lines of /metrics. The first time pays for what is made, and learnt, once."""
    names = [watched.server_name for watched in config.servers]
    await probe_all(prober, names, IN_FLIGHT, board.put)
    before = cpu_seconds(resource.RUSAGE_SELF)
    await probe_all(prober, names, IN_FLIGHT, board.put)
    return (cpu_seconds(resource.RUSAGE_SELF) - before) / len(names)


def handshake_cost(config: Config) -> float:
    """Raises CalledProcessError, or FileNotFoundError where there is no openssl."""
    where = str(config.network.connect_to[CROWD_PLACE])
    trust = ["-CAfile", str(config.network.ca_file), "-verify", "3"]
    command = ["openssl", "s_time", "-connect", where, "-new", *trust, "-time", str(YARDSTICK_SECONDS)]
    before = cpu_seconds(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    connections = CONNECTIONS.search(done.stdout)
    assert connections is not None
    return (cpu_seconds(resource.RUSAGE_CHILDREN) - before) / int(connections[1])


def cpu_seconds(whose: int) -> float:
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
