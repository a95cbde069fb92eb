"""`serve` with a file for its history, killed again and again while servers come and go."""

import asyncio
import os
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, TypeAlias

import httpx
import pytest
from dns.rcode import Rcode

from exporter.demo.federation import Federation
from exporter.demo.zone import fail_with
from tests.e2e.processes import log_on_failure
from tests.embedded_federation import write_config
from tests.lab.crowd import crowd
from tests.waiting import PATIENCE, until, until_async

KILLS = int(os.environ.get("KILLS", "3"))
"""How often the exporter is killed. With 50, the test takes ten minutes."""
SERVERS = 20
PROBE = {"interval": "1s", "timeout": "900ms"}
TURN_SECONDS = 1.5  # on average, until a server fails or recovers

Incident: TypeAlias = tuple[str, str, str | None]
"""The server, and when it began and ended."""


@asynccontextmanager
async def flapping(federation: Federation) -> AsyncIterator[None]:
    """Let the name of one server after the other stop or begin to resolve."""
    rng, broken = random.Random(1), set[str]()
    names = [server.server_name for server in federation.servers]

    async def flap() -> None:
        while True:
            name = rng.choice(names)
            broken.symmetric_difference_update({name})
            if name in broken:
                federation.dns.zone.fail(name, "A", fail_with(Rcode.SERVFAIL))
            else:
                federation.dns.zone.repair(name, "A")
            await asyncio.sleep(TURN_SECONDS / len(names))

    task = asyncio.create_task(flap())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class KilledExporter:
    """`serve` in a process of its own, from the start until it is killed."""

    def __init__(self, config: Path, log: Path) -> None:
        self._config, self._log = config, log
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._log.unlink(missing_ok=True)
        with self._log.open("wb") as log:
            command = (sys.executable, "-m", "exporter", "serve", "--config", str(self._config))
            self._process = await asyncio.create_subprocess_exec(*command, stderr=log)
        self._stack.enter_context(log_on_failure(self._log))
        listening = await until(lambda: re.search(r"addresses=(\S+)", self._log.read_text()))
        assert listening
        url = f"http://{listening[1]}"
        client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE)
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        assert await self._process.wait() == -signal.SIGKILL
        await self._stack.aclose()

    async def incidents(self) -> list[Incident]:
        answer = await self._client.get("/api/v1/incidents", params={"limit": "1000"})
        found: dict[str, Any] = answer.raise_for_status().json()
        assert not found["more"]
        return [(each["server_name"], each["began"], each["ended"]) for each in found["incidents"]]

    async def storage_is_up(self) -> bool:
        metrics = (await self._client.get("/metrics")).text
        return "matrix_federation_exporter_storage_up 1.0" in metrics


def finished(incidents: list[Incident]) -> set[Incident]:
    return {incident for incident in incidents if incident[2] is not None}


@pytest.mark.subprocess
@pytest.mark.lab
@pytest.mark.timeout(60 * 60)
async def test_every_incident_that_was_shown_is_there_once(tmp_path: Path) -> None:
    """With the times that were shown, whenever the exporter is killed. No two incidents of a server overlap."""
    async with Federation(crowd(SERVERS)) as federation, flapping(federation):
        config = write_config(tmp_path / "config.yaml", federation, probe=PROBE, storage={"path": "history.sqlite"})
        shown: set[Incident] = set()
        for _ in range(KILLS):
            async with KilledExporter(config, tmp_path / "log") as exporter:
                shown |= await more_than(shown, exporter)
                assert await exporter.storage_is_up()
        async with KilledExporter(config, tmp_path / "log") as exporter:
            incidents = await exporter.incidents()
    assert shown - set(incidents) == set()
    assert [each for each, count in Counter(each[:2] for each in incidents).items() if count > 1] == []
    for name in {each[0] for each in incidents}:
        times = [(began, ended) for server, began, ended in reversed(incidents) if server == name]
        assert all(ended is not None and ended <= began for (_, ended), (began, _) in pairwise(times))


async def more_than(shown: set[Incident], exporter: KilledExporter) -> set[Incident]:
    """Wait until more incidents have ended than were shown before, and return all that have."""

    async def more() -> set[Incident]:
        found = finished(await exporter.incidents())
        assert shown <= found
        return found if len(found) >= len(shown) + 3 else set()

    return await until_async(more)
