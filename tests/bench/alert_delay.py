"""How long it takes from a break until its alert fires: exporter, Prometheus and rules, with their time sped up.

Before, the next probe confirmed a failure, and the alert had to wait for it. Now a probe confirms it soon. All times
are those that users experience: what is measured, times the factor by which time runs faster.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.app import App
from exporter.demo.federation import Federation
from exporter.demo.listener import LOOPBACK
from exporter.demo.servers import LabServer, federates
from exporter.model import durations, names
from exporter.model.enums import Method
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from tests.bench.rows import QUICK, RUNS, Row, at_most, emit, quantile
from tests.deploy.rules import ALERTS
from tests.e2e.monitoring import SHIPPED_RULES, Alert, known, prometheus
from tests.embedded_federation import write_config

FACTOR = 60.0 if QUICK else 20.0
SERVERS, BROKEN = 16, 5  # most of them must be up: otherwise the exporter's own network is to blame
PAUSE_SECONDS = 0.05
ALERT = "ServerDown"
SHIPPED: str = ALERTS[f"MatrixFederation{ALERT}"]["for"]


@dataclass(frozen=True, slots=True)
class Setup:
    """What decides how long an alert takes, as it is written."""

    name: str
    confirm_after: str
    hold: str
    """`for` of the alert."""

    def rules(self) -> dict[str, str]:
        alert = re.compile(rf"(alert: MatrixFederation{ALERT}\n.*?for: )\w+", re.DOTALL)
        return {name: alert.sub(rf"\g<1>{self.hold}", text) for name, text in SHIPPED_RULES.items()}


SETUPS = (Setup("confirmed by the next probe", "5m", "10m"), Setup("confirmed after 30s", "30s", SHIPPED))


def main() -> None:
    logs.configure(LogLevel.ERROR, LogFormat.LOGFMT)
    for setup in SETUPS:
        emit(rows(setup))


def rows(setup: Setup) -> list[Row]:
    measured = [each for _ in range(RUNS) for each in asyncio.run(measure(setup))]
    second, firing = ([minutes * FACTOR / 60 for minutes in each] for each in zip(*measured, strict=True))
    name = f"alert_delay: {setup.name}, for {setup.hold}"
    # Half an interval until the first failing probe in the median, a scrape, an evaluation, and `for`.
    target = at_most(10) if setup is SETUPS[-1] else None
    return [
        Row.of(f"{name}: until the second failing probe", second, "min"),
        Row.of(f"{name}: until the alert", firing, "min", target),
        Row.of(f"{name}: until the alert, slowest tenth", quantile(firing, 0.9), "min"),
    ]


async def measure(setup: Setup) -> list[tuple[float, float]]:
    """Break some servers, and return for each the seconds until the second failing probe and until the alert."""
    servers = [_server(number) for number in range(SERVERS)]
    async with running(setup, servers) as (app, federation, address):
        await _until_healthy(app, servers)
        broken = [server.server_name for server in servers[:BROKEN]]
        for name in broken:
            await federation.server(name).listener.stop()
        started = time.monotonic()
        second, alert = await asyncio.gather(
            _moments(broken, lambda name: _has_failed_twice(app, name)),
            _moments(broken, lambda name: _is_firing(address, name)),
        )
        return [(second[name] - started, alert[name] - started) for name in broken]


@asynccontextmanager
async def running(setup: Setup, servers: list[LabServer]) -> AsyncIterator[tuple[App, Federation, str]]:
    """Yield an exporter, the federation that it watches, and the address of the Prometheus that scrapes it."""
    with TemporaryDirectory(prefix="bench-") as folder:
        async with Federation(servers) as federation:
            file = write_config(Path(folder) / "config.yaml", federation, probe=_probe(setup))
            async with App(file, first_round=_faster("1m")) as app:
                with prometheus(
                    Path(folder) / "prometheus",
                    exporter=str(app.addresses[0]),
                    alertmanager=f"{LOOPBACK}:9",
                    factor=FACTOR,
                    rules=setup.rules(),
                ) as address:
                    yield app, federation, address


def _probe(setup: Setup) -> dict[str, str]:
    interval = _faster("5m")
    seconds = {"interval": interval, "timeout": 0.9 * interval, "confirm_after": _faster(setup.confirm_after)}
    return {key: durations.text(value) for key, value in seconds.items()}


def _faster(duration: str) -> float:
    return durations.parse(duration) / FACTOR


def _server(number: int) -> LabServer:
    name, ip = f"s{number}.lab.test", f"192.0.2.{100 + number}"
    ports = {f"{ip}:8448": federates(name)}
    return LabServer(name, "a healthy server", Method.DEFAULT_8448, zone=f"{name} A {ip}", ports=ports)


async def _until_healthy(app: App, servers: list[LabServer]) -> None:
    """Wait until every server has been probed on its grid."""
    while not all(_successes(app, server.server_name) >= 2 for server in servers):  # noqa: ASYNC110 - a board has no events
        await asyncio.sleep(PAUSE_SECONDS)


def _successes(app: App, name: str) -> int:
    state = app.board.state(names.parse(name))
    return state.probes - state.failures if state else 0


async def _has_failed_twice(app: App, name: str) -> bool:
    state = app.board.state(names.parse(name))
    return state is not None and state.failures >= 2


async def _is_firing(address: str, name: str) -> bool:
    return (Alert(ALERT, name), "firing") in await known(address)


async def _moments(servers: list[str], happened: Callable[[str], Awaitable[bool]]) -> dict[str, float]:
    """Return when something happened to each server, on the monotonic clock."""
    moments: dict[str, float] = {}
    while len(moments) < len(servers):
        for name in servers:
            if name not in moments and await happened(name):
                moments[name] = time.monotonic()
        await asyncio.sleep(PAUSE_SECONDS)
    return moments


if __name__ == "__main__":
    main()
