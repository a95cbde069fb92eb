"""The exporter in this process, with reports that nobody had to probe for, and how long it holds its event loop."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
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

NEVER = "365d"  # within which every server is probed once
FAR_AWAY_SECONDS = 3e7


@asynccontextmanager
async def exporting(watched: Sequence[WatchedServer], reports: Sequence[Report]) -> AsyncIterator[App]:
    """It serves, and does not probe."""
    logs.configure(LogLevel.WARNING, LogFormat.LOGFMT)
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps(configuration(watched)))
        async with App(file, listen=[HostPort(LOOPBACK, 0)], first_round=FAR_AWAY_SECONDS) as app:
            for report in reports:
                app.board.put(report)
            yield app


def configuration(watched: Sequence[WatchedServer]) -> dict[str, object]:
    names = [server.server_name.text for server in watched]
    return {"servers": names, "probe": {"interval": NEVER}, "network": {"resolvers": [f"{LOOPBACK}:9"]}}


class Holds:
    """The longest CPU time that the event loop spent on one thing after the other before it looked around again, in
    seconds, within `async with`. It turns without rest meanwhile. CPU time, as a busy machine holds up everybody.
    """

    longest = 0.0

    async def __aenter__(self) -> Self:
        await asyncio.sleep(0)
        self._turning = asyncio.create_task(self._turn())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)
        self._turning.cancel()
        await asyncio.wait([self._turning])

    async def _turn(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, before = max(self.longest, now - before), now
