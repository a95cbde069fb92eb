"""The exporter over the embedded federation: its configuration file, and what its metrics say."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from exporter.config import HostPort
from exporter.demo.federation import SERVERS, Federation
from exporter.demo.servers import LabServer
from exporter.model import durations
from tests.waiting import PATIENCE, slowness

_INTERVAL_SECONDS, _TIMEOUT_SECONDS = 5.0, 4.9


def lab_servers(*server_names: str) -> list[LabServer]:
    by_name = {server.server_name: server for server in SERVERS}
    return [by_name[name] for name in server_names]


def quick(slowness: float) -> dict[str, str]:
    """Return settings with which probes are frequent, and a busy machine makes no healthy server late."""
    seconds = {"interval": _INTERVAL_SECONDS, "timeout": _TIMEOUT_SECONDS}
    return {key: durations.text(round(slowness * value, 1)) for key, value in seconds.items()}


def write_config(file: Path, federation: Federation, **changed: object) -> Path:
    """In JSON, which is YAML too. Listens anywhere, and probes every few seconds, unless `changed` says otherwise."""
    whole = {**federation.config(), "probe": quick(slowness()), "web": {"listen": ["127.0.0.1:0"]}, **changed}
    file.write_text(json.dumps(whole), encoding="utf-8")
    return file


def network(federation: Federation, **changed: object) -> dict[str, Any]:
    return {**federation.config()["network"], **changed}


Series = dict[str, float]
"""By name and labels, as `name{a="1",b="2"}`, the prefix left away."""


async def scraped(place: HostPort) -> Series:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        answer = await client.get(f"http://{place}/metrics")
        answer.raise_for_status()
    return {
        series(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def series(name: str, labels: Mapping[str, str]) -> str:
    text = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return name.removeprefix("matrix_federation_") + (f"{{{text}}}" if text else "")


def of_server(found: Series, server_name: str) -> Series:
    return {name: value for name, value in found.items() if f'server_name="{server_name}"' in name}


def successes(found: Series, servers: Sequence[LabServer]) -> dict[str, float | None]:
    """None where there is no result yet."""
    return {
        server.server_name: found.get(series("probe_success", {"server_name": server.server_name}))
        for server in servers
    }


def failures(found: Series) -> set[str]:
    return {name for name in found if name.startswith("failure_info")}


def expected_failures(servers: Sequence[LabServer]) -> set[str]:
    return {
        series("failure_info", {"server_name": server.server_name, "probe_stage": stage, "reason": reason})
        for server in servers
        for stage, reason in server.expected
    }
