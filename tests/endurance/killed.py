"""`kill -9` under load, and another start at once: what Prometheus has by then is all that there was to lose."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.monitoring import listening_program
from tests.endurance.run import MEDIUM, Row, Size, grids, lab, row
from tests.endurance.serving import PAUSE_SECONDS, Exporter, WallClock
from tests.endurance.troubles import World
from tests.programs import program
from tests.waiting import PATIENCE

SCRAPE_SECONDS = 1.0
BUSY_SECONDS = 30.0  # by which a scrape may be late on a busy machine
EACH = 2  # probes of each server before the end: the first one is not on the grid yet
LAST = "matrix_federation_probe_last_timestamp_seconds"
DURATION = "matrix_federation_probe_duration_seconds"
HEALTHY = 'server_name=~".*many.*"'
PROBED = f"count(matrix_federation_probes_total{{{HEALTHY}}} >= {EACH})"
COUNTED = "sum(increase(matrix_federation_probes_total[5m]))"


@dataclass(frozen=True, slots=True)
class Prometheus:
    address: str

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the result of a query. Prometheus listens, and answers with status 503, before it is ready."""
        while (answer := self._get(query)).status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            time.sleep(PAUSE_SECONDS)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def _get(self, query: str) -> httpx.Response:
        return httpx.get(f"http://{self.address}/api/v1/query", params={"query": query}, trust_env=False)

    def number(self, query: str) -> float:
        """0 where there is nothing."""
        return sum(float(each["value"][1]) for each in self.ask(query))

    def longest_gap(self) -> float:
        """Seconds between two scrapes that succeeded."""
        (up,) = self.ask("up[5m]")
        times = [float(at) for at, value in up["values"] if value == "1"]
        return max(after - before for before, after in pairwise(times))


@contextmanager
def prometheus(folder: Path, exporter: str) -> Iterator[Prometheus]:
    folder.mkdir()
    file = folder / "prometheus.yml"
    job = {"job_name": "matrix-federation", "static_configs": [{"targets": [exporter]}]}
    file.write_text(json.dumps({"global": {"scrape_interval": f"{SCRAPE_SECONDS:.0f}s"}, "scrape_configs": [job]}))
    command = [program("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={folder / 'samples'}"]
    with listening_program(folder, command) as address:
        yield Prometheus(address)


def kill(folder: Path, workers: int, size: Size = MEDIUM) -> list[Row]:
    """The exporter writes nothing, so that nothing can be left half written: its folder is as it was."""
    (folder / "exporter").mkdir(parents=True)
    with lab(size) as federation:
        exporter = Exporter(folder / "exporter", workers)
        healthy = tuple(name for name in federation.told["servers"] if ".many." in name)
        world = World(exporter, WallClock(folder), federation, frozenset(federation.told["servers"]), healthy[:0])
        world.list_restless([])
        exporter.configure(world.configuration())
        exporter.start()
        try:
            with prometheus(folder / "prometheus", exporter.address) as seen:
                return list(killed(world, seen))
        finally:
            exporter.stop()


def killed(world: World, seen: Prometheus) -> Iterator[Row]:
    exporter = world.exporter
    healthy = sum(".many." in name for name in world.steady)
    wait_until(lambda: seen.number(PROBED) == healthy)
    ended, files = exporter.pids(), left_in(exporter.folder)
    probes = seen.number("sum(matrix_federation_probes_total)")
    at = time.monotonic()
    exporter.process.kill()
    exporter.process.wait()
    exporter.start()
    down = time.monotonic() - at
    wait_until(lambda: probed_again(world) == healthy and seen.number(COUNTED) > probes)
    gap, allowed = seen.longest_gap(), down + 2 * SCRAPE_SECONDS + BUSY_SECONDS
    failed = seen.ask(f"min_over_time(matrix_federation_probe_success{{{HEALTHY}}}[5m]) == 0")
    counted = seen.number(COUNTED)
    yield Row("longest gap between scrapes", f"down for {down:.1f} s", f"{gap:.1f} s", gap < allowed)
    yield Row("probes in Prometheus", f"{probes:.0f}", f"{counted:.0f} more", counted > probes)
    yield Row("healthy servers that were ever called down", "", str(len(failed)), not failed)
    yield row("processes left of the old one", 0, sum(Path(f"/proc/{pid}").exists() for pid in ended))
    yield row("files of the exporter", len(files), len(left_in(exporter.folder) & files))
    starts = off_the_grid(world)
    off = sum(is_off for is_off in starts.values())
    yield Row("probes off their grid", "", f"{off} of {len(starts)}", bool(starts) and not off)


def probed_again(world: World) -> int:
    """Return how many healthy servers the new process has probed so often that the latest probe was on the grid."""
    probes = world.exporter.scrape().by_server("matrix_federation_probes_total")
    return sum(count >= EACH for name, count in probes.items() if ".many." in name)


def wait_until(met: Callable[[], bool]) -> None:
    """Raises TimeoutError."""
    end = time.monotonic() + PATIENCE
    while not met():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(SCRAPE_SECONDS / 2)


def left_in(folder: Path) -> set[tuple[str, int]]:
    """All but the log, with the time of the latest change."""
    return {(file.name, file.stat().st_mtime_ns) for file in folder.rglob("*") if file.name != "log"}


def off_the_grid(world: World) -> dict[str, bool]:
    """Whether the latest probe of each healthy server began long after one that was due.

    The grid is that of the old process. Servers are left out whose latest probe shows no duration, as the exporter
    stalled during it.
    """
    scrape = world.exporter.scrape()
    ended, durations = scrape.by_server(LAST), scrape.by_server(DURATION)
    return {
        name: (ended[name] - durations[name] - grid.phase) % grid.interval > grid.interval / 2
        for name, grid in grids(world).items()
        if ".many." in name and name in durations
    }
