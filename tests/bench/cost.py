"""What does a probe cost? CPU time of the exporter alone, in bare TLS handshakes with the same server.

The yardstick is `openssl s_time -new`, which does nothing but handshakes, and verifies the chain. Both are measured by
turns, as machines have their moods.
"""

import asyncio
import re
import resource
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from exporter.board import Board
from exporter.config import Config, load
from exporter.exposition import lines
from exporter.lab.servers import CROWD_PLACE
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


def main() -> None:
    with served_by("tests.bench.lab", str(SERVERS), "5m") as file:
        config = load(file)
        board = Board(lines, lambda: datetime.now(UTC))
        board.watch(config.servers)
        probe_cost(config, board)  # the first round pays for what is made once
        rounds = [Costs(handshake_cost(config), probe_cost(config, board)) for _ in range(ROUNDS)]
    show_costs(rounds)
    failures = sum(posted.standing.failures for posted in board.snapshot().posted)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"probes that failed: {failures}; resident memory, at its peak: {resident:.0f} MiB\n")


def show_costs(rounds: list[Costs]) -> None:
    handshake, probe = (median(getattr(costs, what) * 1000 for costs in rounds) for what in ("handshake", "probe"))
    ratio = median(costs.probe / costs.handshake for costs in rounds)
    show(
        f"cost: {SERVERS} healthy servers, each delegated by a well-known; medians of {ROUNDS} rounds",
        ["CPU time, user and system", "", "in handshakes"],
        [
            ["bare handshake (openssl s_time -new -verify)", f"{handshake:.2f} ms", "1"],
            ["probe: 4 DNS queries, 2 handshakes, 3 requests; its metrics", f"{probe:.2f} ms", f"{ratio:.2f}"],
            ["probe, beside the 2 handshakes that it cannot do without", "", f"{ratio / HANDSHAKES:.2f} : 1"],
        ],
    )


def probe_cost(config: Config, board: Board) -> float:
    """From the name to the lines of /metrics."""
    names = [watched.server_name for watched in config.servers]
    before = cpu_seconds(resource.RUSAGE_SELF)
    asyncio.run(probe_all(prober(config), names, IN_FLIGHT, board.put))
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
