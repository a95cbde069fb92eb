"""Writes a configuration that is in effect as YAML, which `load` accepts. Secrets are left out."""

import json
from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.config.settings import Config, ServerUrl
from exporter.model import durations
from exporter.model.servers import WatchedServer

_BATCH: Final = 500  # servers in a piece: a few milliseconds
_SECRET: Final = "<secret>"  # noqa: S105 - as Prometheus shows secrets


def dump(config: Config) -> Iterator[str]:
    """Yield the text in pieces: there may be very many servers, each of which is on a line of its own."""
    sections = {field.name: getattr(config, field.name) for field in fields(config)}
    servers = sections.pop("servers")
    yield yaml.safe_dump(
        {key: _plain(value) for key, value in sections.items()}, sort_keys=False, allow_unicode=True, width=120
    )
    yield "servers:\n" if servers else "servers: []\n"
    for start in range(0, len(servers), _BATCH):
        yield "".join(f"- {json.dumps(_server(server))}\n" for server in servers[start : start + _BATCH])


def _server(server: WatchedServer) -> dict[str, object]:
    written: dict[str, object] = {"server_name": str(server.server_name), "interval": durations.text(server.interval)}
    if server.expected_delegation:
        written["expect"] = {"delegation": str(server.expected_delegation)}
    return written


def _plain(value: Any) -> object:
    """Return a value as the file has it. Numbers with a fraction are durations."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return durations.text(value)
        case StrEnum() | Path():
            return str(value)
        case dict():
            return {key: _plain(content) for key, content in value.items()}
        case tuple() if not hasattr(value, "_fields"):  # NamedTuples are texts, such as host:port
            return [_plain(item) for item in value]
    return _section(value) if hasattr(value, "__pydantic_config__") else str(value)


def _section(value: Any) -> dict[str, object]:
    """Return a section without keys that are not set and may not be written as null."""
    written = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, ServerUrl):
        written["headers"] = dict.fromkeys(value.headers, _SECRET)
    return {key: _plain(content) for key, content in written.items() if content is not None}
