"""The bare handshake, by which costs travel between machines: the CPU time of `openssl s_time -new -verify`."""

import re
import subprocess
from collections.abc import Sequence
from statistics import median

from exporter.config import Config, load
from tests.bench.processes import CHILDREN, cpu_seconds, served_by
from tests.bench.responder import ADDRESS, FEDERATION_PORT
from tests.bench.rows import QUICK, RUNS, Row, Target

_SECONDS = 1 if QUICK else 2
_CONNECTIONS = re.compile(r"(\d+) connections in \d+ real seconds")


def handshake_cost(config: Config) -> float:
    """Return the CPU seconds of a handshake. Raises CalledProcessError, or FileNotFoundError if there is no openssl."""
    address = str(config.network.connect_to[f"{ADDRESS}:{FEDERATION_PORT}"])
    trust = ["-CAfile", str(config.network.ca_file), "-verify", "3"]
    command = ["openssl", "s_time", "-connect", address, "-new", *trust, "-time", str(_SECONDS)]
    before = cpu_seconds(CHILDREN)
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    connections = _CONNECTIONS.search(result.stdout)
    assert connections is not None
    return (cpu_seconds(CHILDREN) - before) / int(connections[1])


def verification_cost() -> float:
    """Return the CPU seconds in which openssl verifies a signature by a P-384 key: most of what a handshake takes."""
    command = ["openssl", "speed", "-seconds", "1", "ecdsap384"]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return 1 / float(table.split()[-1])


class Handshakes:
    """Costs in bare handshakes, which are measured at the beginning."""

    def __init__(self) -> None:
        with served_by("tests.bench.responder", "1") as file:
            config = load(file)
            self._seconds = median(handshake_cost(config) for _ in range(RUNS))

    def row(self, name: str, seconds: Sequence[float], target: Target | None = None) -> Row:
        return Row.of(f"{name}, in bare handshakes", [each / self._seconds for each in seconds], "", target)
