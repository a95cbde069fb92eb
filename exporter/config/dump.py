"""Writes a configuration that is in effect as YAML, which `load` accepts. Secrets are left out."""

import json
from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from textwrap import indent
from typing import Any, Final

import yaml

from exporter.config.groups import NetworkSettings, ServerUrl
from exporter.config.settings import Config, Group
from exporter.model import durations
from exporter.model.servers import Expectations, WatchedServer

_BATCH: Final = 500  # servers in a piece: a few milliseconds
_INDENT: Final = "  "
_SECRET: Final = "<secret>"  # noqa: S105 - as Prometheus shows secrets


def dump(config: Config) -> Iterator[str]:
    """Yield the text in pieces: there may be very many servers, each of which is on a line of its own."""
    default, *groups = config.groups
    sections = {field.name: getattr(config, field.name) for field in fields(config) if field.name != "groups"}
    yield _yaml(_lists(default) | sections)
    yield from _servers(default)
    if groups:
        yield "groups:\n"
    for group in groups:
        keys = {"name": group.name, "labels": group.labels, "interval": group.interval, **_lists(group)}
        keys |= {"timeout": group.timeout} if group.timeout else {}
        keys |= {
            "network": _differing(config.network_of(group), config.network),
            "expect": _expect(group.expected),
        }
        yield "- " + indent(_yaml(keys), _INDENT).removeprefix(_INDENT)
        yield from (indent(piece, _INDENT) for piece in _servers(group))


def _yaml(keys: dict[str, Any]) -> str:
    plain = {key: _plain(value) for key, value in keys.items()}
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)


def _lists(group: Group) -> dict[str, Any]:
    return {key: getattr(group, key) for key in ("server_files", "server_urls", "synapse_destinations")}


def _servers(group: Group) -> Iterator[str]:
    yield "servers:\n" if group.servers else "servers: []\n"
    for start in range(0, len(group.servers), _BATCH):
        yield "".join(f"- {json.dumps(_server(server))}\n" for server in group.servers[start : start + _BATCH])


def _server(server: WatchedServer) -> dict[str, object]:
    written: dict[str, object] = {"server_name": str(server.server_name), "interval": durations.text(server.interval)}
    if expect := _expect(server.expected):
        written["expect"] = _plain(expect)
    return written


def _differing(network: NetworkSettings, of_top_level: NetworkSettings) -> dict[str, object]:
    """Return the keys of a group's network that override those of the top level."""
    values = {field.name: getattr(network, field.name) for field in fields(network)}
    return {key: value for key, value in values.items() if value != getattr(of_top_level, key)}


def _expect(expected: Expectations) -> dict[str, object]:
    written = {field.name: getattr(expected, field.name) for field in fields(expected)}
    return {key: value for key, value in written.items() if value}


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
    """Return a section without keys that are not set: some of them may not be written as null."""
    unset = {field.name for field in fields(value) if field.default is getattr(value, field.name) is None}
    written = {field.name: getattr(value, field.name) for field in fields(value) if field.name not in unset}
    if isinstance(value, ServerUrl):
        written["headers"] = dict.fromkeys(value.headers, _SECRET)
    return {key: _plain(content) for key, content in written.items()}
