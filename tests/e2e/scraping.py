"""Runs a real Prometheus that scrapes exporters, on a free loopback port, with its data in one folder."""

import json
import os
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from exporter.config import HostPort
from exporter.demo.listener import LOOPBACK
from tests.e2e.processes import running_program
from tests.programs import program
from tests.waiting import PATIENCE, until

JOB = "matrix-federation"
SCRAPE_SECONDS = 1
_LISTENING = re.compile(r'msg="Listening on" address=(\S+)')

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prometheus:
    client: httpx.AsyncClient

    async def now(self, expression: str) -> list[Json]:
        """Return the series of an instant query. Raises AssertionError with the error message of Prometheus."""
        return await self._series("query", {"query": expression})

    async def over_time(self, expression: str, seconds: float, step: float) -> list[Json]:
        """Return the series of a range query that ends now."""
        end = time.time()
        span = {"start": end - seconds, "end": end, "step": step}
        return await self._series("query_range", {"query": expression, **span})

    async def label_values(self, selector: str, label: str) -> list[str]:
        found = await self._get(f"label/{label}/values", {"match[]": selector})
        assert isinstance(found, list)
        return found

    async def _series(self, path: str, parameters: Json) -> list[Json]:
        found = await self._get(path, parameters)
        assert isinstance(found, dict)
        series: list[Json] = found["result"]
        return series

    async def _get(self, path: str, parameters: Json) -> Json | list[str]:
        response = (await self.client.get(f"/api/v1/{path}", params=parameters)).json()
        assert response["status"] == "success", f"{parameters}: {response.get('error')}"
        found: Json | list[str] = response["data"]
        return found


@asynccontextmanager
async def prometheus(
    folder: Path, exporters: Sequence[HostPort] | Mapping[str, HostPort], **changed: object
) -> AsyncIterator[Prometheus]:
    """Run Prometheus; `changed` replaces parts of its configuration. The keys of a mapping are labels `instance`."""
    configuration, log = folder / "prometheus.yml", folder / "prometheus.log"
    configuration.write_text(json.dumps(_configuration(exporters) | changed))
    command = [
        program("prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:0",
    ]
    with running_program(command, log, os.environ):
        (address,) = await until(lambda: _LISTENING.findall(log.read_text()))
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=PATIENCE) as client:
            yield Prometheus(client)


def _configuration(exporters: Sequence[HostPort] | Mapping[str, HostPort]) -> Json:
    """Return the configuration, which is written as JSON, which is valid YAML."""
    by_instance = exporters if isinstance(exporters, Mapping) else {str(exporter): exporter for exporter in exporters}
    targets = [
        {"targets": [str(exporter)], "labels": {"instance": instance}} for instance, exporter in by_instance.items()
    ]
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [{"job_name": JOB, "static_configs": targets}],
    }
