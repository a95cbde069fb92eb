"""Loads a configuration file: the result is a Config, or all complaints about the file."""

import glob
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from exporter.config import files
from exporter.config.checking import validate
from exporter.config.complaint import Complaint, ConfigError
from exporter.config.document import Document, parse_yaml
from exporter.config.groups import (
    ExpectSettings,
    GroupSettings,
    NetworkSettings,
    ProxySettings,
    ServerUrl,
    SynapseDestinations,
)
from exporter.config.rules import as_mapping, check_rules, sections
from exporter.config.settings import (
    Config,
    Group,
    OutboundSettings,
    OutboundTls,
    Settings,
    StorageSettings,
)
from exporter.model.servers import NOTHING_EXPECTED, Expectations, WatchedServer, sort_labels

_Section = TypeVar(
    "_Section",
    NetworkSettings,
    ProxySettings,
    ServerUrl,
    StorageSettings,
    SynapseDestinations,
    OutboundSettings,
    OutboundTls,
)


def load(path: str | Path) -> Config:
    """Raises ConfigError with all complaints."""
    path = Path(path)
    document = _read(path)
    settings, complaints = validate(Settings, document)
    complaints += [*document.complaints, *check_rules(document, path.parent)]
    if settings is None or complaints:
        raise ConfigError(complaints)
    _, *groups = sections(as_mapping(document.root))
    written = [frozenset(as_mapping(group.get("network"))) for _, group in groups]
    return _to_config(settings, written, path.parent)


def _read(path: Path) -> Document:
    file = str(path)
    try:
        content = files.read_bytes(path)
    except files.UnreadableError as error:
        raise ConfigError([Complaint(file, None, "", str(error))]) from error
    return parse_yaml(file, files.decode(file, content))


def _to_config(settings: Settings, written: Sequence[Collection[str]], folder: Path) -> Config:
    """Apply the defaults for single servers, and make relative paths relative to the folder of the file.

    `written` has the keys of each group's network that are in the file.
    """
    return Config(
        groups=(
            _group(settings, Group(interval=settings.probe.interval, cadence=settings.probe.cadence), folder),
            *(
                _group(group, _describe(group, settings, _network(group, settings, keys, folder)), folder)
                for group, keys in zip(settings.groups, written, strict=True)
            ),
        ),
        lists=settings.lists,
        probe=settings.probe,
        network=_resolve_network(folder, settings.network),
        metrics=settings.metrics,
        web=settings.web,
        storage=_resolve_paths(folder, settings.storage),
        outbound=_outbound(settings, folder),
    )


def _outbound(settings: Settings, folder: Path) -> OutboundSettings | None:
    if settings.outbound is None:
        return None
    tls = settings.outbound.tls and _resolve_paths(folder, settings.outbound.tls)
    return replace(_resolve_paths(folder, settings.outbound), tls=tls)


def _network(
    group: GroupSettings, settings: Settings, written: Collection[str], folder: Path
) -> NetworkSettings | None:
    """Return the network of the top level with the keys that are written in the group, or None if nothing differs."""
    merged = replace(settings.network, **{key: getattr(group.network, key) for key in written})
    return None if merged == settings.network else _resolve_network(folder, merged)


def _resolve_network(folder: Path, network: NetworkSettings) -> NetworkSettings:
    proxy = network.proxy and _resolve_paths(folder, network.proxy)
    return replace(_resolve_paths(folder, network), proxy=proxy)


def _describe(group: GroupSettings, settings: Settings, network: NetworkSettings | None) -> Group:
    """Return a group without its servers."""
    return Group(
        group.name,
        group.labels,
        interval=group.interval or settings.probe.interval,
        cadence=settings.probe.cadence,
        expected=_expectations(group.expect, NOTHING_EXPECTED),
        timeout=group.timeout,
        network=network,
    )


def _expectations(expect: ExpectSettings, otherwise: Expectations) -> Expectations:
    """Return what is expected: each key that is set, and otherwise what the group expects."""
    written: dict[str, Any] = {field.name: getattr(expect, field.name) for field in fields(expect)}
    given = {key: value for key, value in written.items() if value}
    return replace(otherwise, **given) if given else otherwise


def _group(settings: Settings | GroupSettings, group: Group, folder: Path) -> Group:
    """Return the group with its servers and lists."""
    labels, cadence = sort_labels(group.labels), group.cadence
    return replace(
        group,
        servers=tuple(
            WatchedServer(
                server.server_name,
                server.interval or group.interval,
                _expectations(server.expect, group.expected),
                cadence,
                labels,
                group.name,
            )
            for server in settings.servers
        ),
        server_files=tuple(str(Path(glob.escape(str(folder))) / pattern) for pattern in settings.server_files),
        server_urls=tuple(_resolve_paths(folder, url) for url in settings.server_urls),
        synapse_destinations=tuple(_resolve_paths(folder, synapse) for synapse in settings.synapse_destinations),
    )


def _resolve_paths(folder: Path, section: _Section) -> _Section:
    """Make the paths of a section relative to the folder."""
    values: dict[str, Any] = {field.name: getattr(section, field.name) for field in fields(section)}
    resolved: dict[str, Any] = {key: folder / value for key, value in values.items() if isinstance(value, Path)}
    return replace(section, **resolved)
