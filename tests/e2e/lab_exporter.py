"""An exporter that probes a few servers of the lab all the time, in both directions: the data of dashboards."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from exporter.app import App
from exporter.demo.both_ways.joining import join
from exporter.demo.federation import Federation
from tests.embedded_federation import lab_servers, network, write_config
from tests.lab.notaries import NOTARY, NOTARY_SERVERS

SEEN = ("well-known-srv.lab.test", "expired.lab.test", "srv-legacy.lab.test", "impersonated.lab.test")
"""Servers that the dashboard of one server is looked at with: no single one has all that can be shown."""
LAB = (*lab_servers(*SEEN[:3], "dual-stack.lab.test", "refused.lab.test"), *NOTARY_SERVERS)
"""Few, so that a busy machine can probe and scrape them in time."""
EXPECTED_DELEGATION = {
    "server_name": "well-known-srv.lab.test",
    "expect": {"delegation": "hs.well-known-srv.lab.test:8450"},
}
PROBE = {"interval": "3s", "timeout": "2900ms", "deep_interval": "5s"}
"""What was too late once is done again, before nothing is left of it in the range of a rate."""
EVERY_SERVER_SCRAPED_TWICE = f"count(count_over_time(matrix_federation_probe_success[1m]) >= 2) == {len(LAB)}"


@asynccontextmanager
async def lab_exporter(folder: Path) -> AsyncIterator[App]:
    """Run the exporter; its files are in `folder`."""
    async with Federation(LAB) as federation:
        (folder / "more.json").write_text(json.dumps([{"targets": [SEEN[1]]}]))
        file = write_config(
            folder / "config.yaml",
            federation,
            server_files=["more.json"],
            servers=[*(server.server_name for server in LAB if server.server_name != SEEN[0]), EXPECTED_DELEGATION],
            probe=PROBE,
            outbound=join(federation, folder, "3s"),
            network=network(federation, notaries=[NOTARY]),
        )
        async with App(file, first_round=1) as app, running(app):
            yield app


@asynccontextmanager
async def running(app: App) -> AsyncIterator[None]:
    """Let the exporter check its own listener, without which it looks at nobody's other direction."""
    task = asyncio.create_task(app.run(asyncio.Event(), asyncio.Event()))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
