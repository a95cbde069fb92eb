"""The exporter in the current process, with given reports, and how long it blocks its event loop."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from exporter.app import App
from exporter.config import HostPort
from exporter.demo.listener import LOOPBACK
from exporter.model.report import Report
from exporter.model.servers import WatchedServer
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel

NEVER = "365d"  # the probe interval
NEVER_SECONDS = 3e7


@asynccontextmanager
async def running_app(watched: Sequence[WatchedServer], reports: Sequence[Report]) -> AsyncIterator[App]:
    """Yield an exporter that serves the reports, and does not probe."""
    logs.configure(LogLevel.WARNING, LogFormat.LOGFMT)
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps(configuration(watched)))
        async with App(file, listen=[HostPort(LOOPBACK, 0)], first_round=NEVER_SECONDS) as app:
            await put(app, reports)
            yield app


async def put(app: App, reports: Iterable[Report]) -> None:
    """Put reports on the board, and wait until the history has what they add: to write it takes CPU time, too."""
    for report in reports:
        app.board.put(report)
    await app.history.changes(None, app.board.now(), 1)


def configuration(watched: Sequence[WatchedServer]) -> dict[str, object]:
    names = [server.server_name.text for server in watched]
    return {"servers": names, "probe": {"interval": NEVER}, "network": {"resolvers": [f"{LOOPBACK}:9"]}}


class BlockMeter:
    """Measures the longest time for which one iteration blocks the event loop, within `async with`.

    The loop iterates without pause meanwhile. CPU time is measured, as other processes would add to the elapsed time.
    """

    longest = 0.0
    """In seconds."""

    async def __aenter__(self) -> Self:
        await asyncio.sleep(0)
        self._task = asyncio.create_task(self._measure())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _measure(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, before = max(self.longest, now - before), now
