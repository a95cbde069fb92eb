"""From a file to a Config, or to every complaint about it."""

import glob
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from exporter.config import files
from exporter.config.checking import checked
from exporter.config.complaint import Complaint, ConfigError
from exporter.config.document import Document, parse_yaml
from exporter.config.rules import broken_rules
from exporter.config.settings import Config, Network, ServerUrl, Settings, SynapseDestinations
from exporter.model.servers import Watched

Section = TypeVar("Section", Network, ServerUrl, SynapseDestinations)


def load(path: str | Path) -> Config:
    """Raises ConfigError."""
    path = Path(path)
    document = read(path)
    settings, complaints = checked(Settings, document)
    complaints += [*document.complaints, *broken_rules(document, path.parent)]
    if settings is None or complaints:
        raise ConfigError(complaints)
    return resolved(settings, path.parent)


def read(path: Path) -> Document:
    file = str(path)
    try:
        content = files.content(path)
    except files.UnreadableError as error:
        raise ConfigError([Complaint(file, None, "", str(error))]) from error
    return parse_yaml(file, files.text(file, content))


def resolved(settings: Settings, folder: Path) -> Config:
    """Defaults and relative paths filled in."""
    return Config(
        servers=watched(settings),
        server_files=tuple(str(Path(glob.escape(str(folder))) / pattern) for pattern in settings.server_files),
        server_urls=tuple(beside(folder, url) for url in settings.server_urls),
        synapse_destinations=tuple(beside(folder, synapse) for synapse in settings.synapse_destinations),
        probe=settings.probe,
        network=beside(folder, settings.network),
        web=settings.web,
    )


def watched(settings: Settings) -> tuple[Watched, ...]:
    return tuple(
        Watched(server.server_name, server.interval or settings.probe.interval, server.expect.delegation)
        for server in settings.servers
    )


def beside(folder: Path, section: Section) -> Section:
    """Its paths are relative to the folder."""
    found: dict[str, Any] = {field.name: getattr(section, field.name) for field in fields(section)}
    moved: dict[str, Any] = {key: folder / value for key, value in found.items() if isinstance(value, Path)}
    return replace(section, **moved)
