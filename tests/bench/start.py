"""How long the exporter takes to start, and to reload a list in which one server in a hundred was replaced."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.app import App
from exporter.config import HostPort
from exporter.demo.listener import LOOPBACK
from exporter.model.servers import WatchedServer
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from tests.bench.app import NEVER_SECONDS, BlockMeter, configuration, put
from tests.bench.generated_reports import generate_reports, generate_servers
from tests.bench.handshakes import Handshakes
from tests.bench.processes import served_by
from tests.bench.rows import QUICK, RUNS, Row, at_most, emit
from tests.bench.serving import PAUSE_SECONDS, get, serving

SERVERS = 5_000 if QUICK else 20_000
REPLACED = SERVERS // 100


def main() -> None:
    emit(start_rows())
    emit(reload_rows(Handshakes()))


def start_rows() -> Iterator[Row]:
    with served_by("tests.bench.responder", str(SERVERS)) as file:
        times = [start(file) for _ in range(RUNS)]
    yield Row.of(f"start: {SERVERS:,} servers, until ready", [ready for ready, _ in times], "s")
    yield Row.of(f"start: {SERVERS:,} servers, until the first result", [first for _, first in times], "s")


def start(file: Path) -> tuple[float, float]:
    """Return how many seconds the exporter takes until it is ready, and until the first result."""
    started = time.monotonic()
    with serving(file) as exporter:
        ready = time.monotonic() - started
        while b"\nmatrix_federation_probe_success{" not in get(exporter.address, "/metrics")[1]:
            time.sleep(PAUSE_SECONDS)
        return ready, time.monotonic() - started


def reload_rows(handshakes: Handshakes) -> Iterator[Row]:
    logs.configure(LogLevel.ERROR, LogFormat.LOGFMT)
    servers = generate_servers(SERVERS)
    replaced = configuration([*servers[REPLACED:], *generate_servers(REPLACED, seed=100)])
    labelled = in_a_group(configuration(servers))
    for what, changed in ((f"{REPLACED} of them replaced", replaced), ("all with another group and label", labelled)):
        results = [asyncio.run(reload(servers, changed)) for _ in range(RUNS)]
        name = f"start: reload of {SERVERS:,} servers, {what}"
        yield Row.of(name, [seconds for seconds, _ in results], "s")
        blocked, block = [seconds for _, seconds in results], f"{name}: longest block of the event loop"
        yield Row.of(block, [seconds * 1000 for seconds in blocked], "ms")
        yield handshakes.row(block, blocked, at_most(12))


def in_a_group(written: dict[str, object]) -> dict[str, object]:
    group = {"name": "ours", "labels": {"team": "chat"}, "servers": written["servers"]}
    return {**written, "servers": [], "groups": [group]}


async def reload(servers: Sequence[WatchedServer], changed: dict[str, object]) -> tuple[float, float]:
    """Return the seconds of a reload, and the longest block of the event loop in seconds of CPU time."""
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps(configuration(servers)))
        async with App(file, listen=[HostPort(LOOPBACK, 0)], first_round=NEVER_SECONDS) as app:
            await put(app, generate_reports(list(servers)))
            file.write_text(json.dumps(changed))
            started = time.monotonic()
            async with BlockMeter() as meter:
                assert await app.reload() == ()
            return time.monotonic() - started, meter.longest


if __name__ == "__main__":
    main()
