"""CPU time of a full probe, user and system, of the exporter alone, from the server name to the lines of /metrics.

The baselines are the bare handshakes of a probe, by `openssl s_time -new -verify`, and blackbox_exporter with the same
requests and the same verification.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import product
from typing import Any, Self

import uvloop

from exporter.config import Config, load
from exporter.judging import verdict
from exporter.metrics.exposition import render_lines
from exporter.model.report import Report
from exporter.reports.board import Board
from exporter.runtime import event_loop
from exporter.wiring import build_prober
from tests.bench.blackbox import Blackbox
from tests.bench.handshakes import handshake_cost
from tests.bench.probing import probe_all
from tests.bench.processes import SELF, cpu_seconds, resident_bytes, served_by
from tests.bench.rows import QUICK, RUNS, Row, at_most, emit
from tests.lab.certificates import PUBLIC_CHAINS

SERVERS = 150 if QUICK else 500
IN_FLIGHT = 20  # enough to keep one core busy
HANDSHAKES = 2  # of a probe: one with the web server that has the well-known, and one with the homeserver
IN_FLIGHT_FOR_MEMORY, RESPONSE_SECONDS = (
    (100, 4) if QUICK else (1000, 20)
)  # probes in flight, and the duration of a response

HANDSHAKES_TARGETS = {
    ("ecdsa", "chain remembered", "asyncio"): at_most(0.95),
    ("ecdsa", "chain verified", "asyncio"): at_most(1.2),
}
BLACKBOX_TARGETS = {
    ("ecdsa", "chain remembered", "asyncio"): at_most(0.25),
    ("rsa", "chain remembered", "asyncio"): at_most(0.32),
}
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
CHAINS = {"chain remembered": True, "chain verified": False}
FAILING = ("expired", "refused")


def main() -> None:
    event_loop.collect_garbage_for(20_000)  # as `serve` does
    for algorithm in PUBLIC_CHAINS:
        emit(healthy_rows(algorithm))
    emit(deep_look_rows())
    emit(failing_rows())
    emit(memory_rows())


# ---------------------------------------------------------------- CPU time


class ProbeRounds:
    """Rounds of probes of all servers, within `with`. A first round at its beginning fills the caches."""

    def __init__(self, config: Config, loop: str, *, remember_chains: bool) -> None:
        self._names = [watched.server_name for watched in config.servers]
        self._board = Board(render_lines, lambda: datetime.now(UTC))
        self._board.watch(config.servers)
        self._prober = build_prober(config, remember_chains=remember_chains)
        self._runner = asyncio.Runner(loop_factory=LOOPS[loop])

    def __enter__(self) -> Self:
        self.cost()
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def cost(self) -> float:
        """Return the CPU seconds of one probe."""
        before = cpu_seconds(SELF)
        self._runner.run(probe_all(self._prober.probe, self._names, IN_FLIGHT, self._board.put))
        return (cpu_seconds(SELF) - before) / len(self._names)

    def cost_of_deep_look(self) -> float:
        """Return the CPU seconds of the deep look that may follow a probe."""
        before = cpu_seconds(SELF)
        self._runner.run(probe_all(self._prober.run_deep_look, self._latest, IN_FLIGHT, self._board.put))
        return (cpu_seconds(SELF) - before) / len(self._names)

    @property
    def _latest(self) -> list[Report]:
        return [rendered.state.report for rendered in self._board.snapshot().states if rendered.state.report]

    @property
    def successes(self) -> int:
        """Return how many of the latest reports are successes."""
        return sum(map(verdict.federates, self._latest))


def healthy_rows(algorithm: str) -> Iterator[Row]:
    with ExitStack() as stack:
        config = load(stack.enter_context(served_by("tests.bench.responder", str(SERVERS), "--algorithm", algorithm)))
        blackbox = stack.enter_context(Blackbox(config))
        variants = {
            (chain, loop): stack.enter_context(ProbeRounds(config, loop, remember_chains=CHAINS[chain]))
            for chain, loop in product(CHAINS, LOOPS)
        }
        measures: dict[Any, Callable[[], float]] = {
            "handshakes": lambda: HANDSHAKES * handshake_cost(config),
            "blackbox": blackbox.cost,
            **{name: probes.cost for name, probes in variants.items()},
        }
        rounds = [{name: measure() for name, measure in measures.items()} for _ in range(RUNS)]
        assert all(probes.successes == SERVERS for probes in variants.values())
    yield milliseconds_row(f"{algorithm}, the {HANDSHAKES} bare handshakes in a probe", rounds, "handshakes")
    yield milliseconds_row(f"{algorithm}, {blackbox.version}, same requests", rounds, "blackbox")
    for variant in variants:
        chain, loop = variant
        name = f"{algorithm}, {chain}, {loop}"
        yield milliseconds_row(name, rounds, variant)
        ratios = [costs[variant] / costs["handshakes"] for costs in rounds]
        yield Row.of(
            f"cost: {name}, relative to the bare handshakes", ratios, "", HANDSHAKES_TARGETS.get((algorithm, *variant))
        )
        ratios = [costs[variant] / costs["blackbox"] for costs in rounds]
        yield Row.of(
            f"cost: {name}, relative to blackbox_exporter", ratios, "", BLACKBOX_TARGETS.get((algorithm, *variant))
        )


def deep_look_rows() -> Iterator[Row]:
    with (
        served_by("tests.bench.responder", str(SERVERS)) as file,
        ProbeRounds(load(file), "asyncio", remember_chains=True) as probes,
    ):
        ratios = [probes.cost_of_deep_look() / probes.cost() for _ in range(RUNS)]
        assert probes.successes == SERVERS
        yield Row.of("cost: ecdsa, a deep look, relative to a probe", ratios)


def milliseconds_row(name: str, rounds: Sequence[dict[Any, float]], measure: object) -> Row:
    return Row.of(f"cost: {name}", [costs[measure] * 1000 for costs in rounds], "ms")


def failing_rows() -> Iterator[Row]:
    for failure in FAILING:
        with (
            served_by("tests.bench.responder", str(SERVERS), "--failing", failure) as file,
            ProbeRounds(load(file), "asyncio", remember_chains=True) as probes,
        ):
            costs = [probes.cost() * 1000 for _ in range(RUNS)]
            assert probes.successes == 0
            yield Row.of(f"cost: ecdsa, failing: {failure}", costs, "ms")


# ---------------------------------------------------------------- memory


def memory_rows() -> Iterator[Row]:
    options = ("--delay", str(RESPONSE_SECONDS), "--timeout", f"{6 * RESPONSE_SECONDS}s")
    with served_by("tests.bench.responder", str(IN_FLIGHT_FOR_MEMORY), *options) as file:
        yield Row.of(
            "cost: memory of a probe in flight", asyncio.run(bytes_of_probe_in_flight(load(file))) / 1024, "KiB"
        )


async def bytes_of_probe_in_flight(config: Config) -> float:
    """Return the bytes of memory of one probe, while all are in flight."""
    prober, names = build_prober(config), [watched.server_name for watched in config.servers]
    reports: list[Report] = []
    before = resident_bytes()
    probing = asyncio.create_task(probe_all(prober.probe, names, len(names), reports.append))
    await asyncio.sleep(RESPONSE_SECONDS)
    assert not reports
    used = resident_bytes() - before
    probing.cancel()
    await asyncio.wait([probing])
    return used / len(names)


if __name__ == "__main__":
    main()
