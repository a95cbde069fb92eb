"""The cost of the pages with 20,000 servers: CPU time, size, and how long a page holds up the event loop.

A client in another process requests them from the real web server.
"""

import asyncio
import gc
import time
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final, Self

from exporter.app import App
from exporter.runtime import event_loop
from tests.bench.app import running_app
from tests.bench.generated_reports import generate_reports, generate_servers
from tests.bench.handshakes import Handshakes
from tests.bench.processes import SELF, cpu_seconds
from tests.bench.rows import QUICK, RUNS, Row, at_most, emit

SERVERS = 2_000 if QUICK else 20_000
REQUESTS = 10  # of each measurement: a page takes too little time for the clock of the process
STARTING_SECONDS = 0.2  # of the client
PAUSE_SECONDS = 0.0005  # between two looks at the event loop, so that looking takes no time from the page
PATHS: Final = {
    "the first page": "/",
    "a search": "/?q=matrix.a+synapse",
    "sorted by expiry": "/?sort=expiry",
    "the last page": f"/?sort=name&page={SERVERS // 100}",
}


def main() -> None:
    handshakes = Handshakes()
    emit(event_loop.run(measure(handshakes)))


class WaitMeter:
    """Measures the longest time for which the event loop does not run, within `async with`.

    This is elapsed time, because a thread that renders a page holds up the event loop without its CPU time.
    """

    longest = 0.0
    """In seconds."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._measure())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _measure(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(PAUSE_SECONDS)
            self.longest = max(self.longest, time.perf_counter() - before - PAUSE_SECONDS)


@dataclass(frozen=True, slots=True)
class PageCost:
    """The cost of one page: CPU time and the longest wait of the event loop in seconds, and the size in bytes."""

    cpu: float
    waited: float
    size: int


async def measure(handshakes: Handshakes) -> list[Row]:
    servers = generate_servers(SERVERS)
    async with running_app(servers, list(generate_reports(servers))) as app:
        gc.collect()
        gc.freeze()
        paths = {**PATHS, "one server": f"/servers/{servers[0].server_name}"}
        return [
            row
            for name, path in paths.items()
            for row in rows_of(handshakes, name, [await cost_of(app, path) for _ in range(RUNS)])
        ]


def rows_of(handshakes: Handshakes, name: str, runs: list[PageCost]) -> Iterator[Row]:
    of = f"pages: {SERVERS:,} servers, {name}"
    yield Row.of(f"{of}: CPU", [run.cpu * 1000 for run in runs], "ms")
    yield handshakes.row(f"{of}: CPU", [run.cpu for run in runs], None if QUICK else at_most(30))
    wait = f"{of}: longest wait of the event loop"
    yield Row.of(wait, [run.waited * 1000 for run in runs], "ms")
    yield handshakes.row(wait, [run.waited for run in runs], None if QUICK else at_most(6))
    yield Row.of(f"{of}: size", [run.size / 1024 for run in runs], "KiB")


async def cost_of(app: App, path: str) -> PageCost:
    """Request the page several times for the costs, and once with a measurement of the event loop."""
    cpu, size, _ = await fetch(app, path, REQUESTS)
    _, _, waited = await fetch(app, path, 1, WaitMeter())
    return PageCost(cpu / REQUESTS, waited, size)


async def fetch(app: App, path: str, times: int, meter: WaitMeter | None = None) -> tuple[float, int, float]:
    """Request a page over one connection. Return the CPU time, the bytes of a response, and the longest wait.

    The client starts before anything is measured: to start a process holds up a large one for some time.
    """
    (address,) = app.addresses
    options = ["--silent", "--fail", "--globoff", "--write-out", "%{size_download}\n", "--config", "-"]
    client = await asyncio.create_subprocess_exec("curl", *options, stdin=PIPE, stdout=PIPE)
    await asyncio.sleep(STARTING_SECONDS)
    used, request = cpu_seconds(SELF), f"url = http://{address}{path}\noutput = /dev/null\n"
    async with meter or nullcontext():
        output, _ = await client.communicate((request * times).encode())
    return cpu_seconds(SELF) - used, int(output.split()[0]), meter.longest if meter else 0.0


if __name__ == "__main__":
    main()
