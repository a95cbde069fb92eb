"""Server names from files in Prometheus's file_sd format, YAML or JSON."""

import glob
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import with_config

from exporter.config import Complaint, Config, ConfigError, files, value_types
from exporter.config.checking import validate
from exporter.config.document import Document, parse_json, parse_yaml
from exporter.config.settings import STRICT
from exporter.model.names import ServerName
from exporter.model.servers import WatchedServer


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class _TargetGroup:
    """One entry of a file. The labels are for Prometheus, and the exporter ignores them."""

    targets: tuple[Annotated[ServerName, value_types.SERVER_NAME], ...] = ()
    labels: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _ServerFile:
    """The state of one file: the names in its last valid content, and what is wrong with its current content."""

    digest: bytes = b""
    """SHA-256 of the content that was read last; empty if it could not be read."""
    names: tuple[ServerName, ...] = ()
    complaints: tuple[Complaint, ...] = ()


class ServerFiles:
    """The server names in all files that match the patterns.

    A broken file keeps the names of its last valid content. A file that was removed loses its names.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        """Absolute glob patterns. They may be replaced: files that match the new ones too keep their state."""
        self.files: dict[str, _ServerFile] = {}
        self.unmatched: tuple[Complaint, ...] = ()

    def refresh(self) -> bool:
        """Read the files that have changed. Return whether names or complaints may have changed. Blocks on the disk."""
        before = self.files, self.unmatched
        matches = {pattern: glob.glob(pattern) for pattern in self.patterns}  # noqa: PTH207 - they are absolute
        self.unmatched = tuple(_no_match(pattern) for pattern, paths in matches.items() if not paths)
        paths = sorted({path for paths in matches.values() for path in paths})
        self.files = {path: _reread(path, self.files.get(path, _ServerFile())) for path in paths}
        return (self.files, self.unmatched) != before

    @property
    def names(self) -> tuple[ServerName, ...]:
        """The names in all files, sorted, without duplicates."""
        return tuple(sorted({name for file in self.files.values() for name in file.names}, key=str))

    @property
    def complaints(self) -> tuple[Complaint, ...]:
        return self.unmatched + tuple(complaint for file in self.files.values() for complaint in file.complaints)


def _no_match(pattern: str) -> Complaint:
    return Complaint(pattern, None, "", "expected a file, found none that matches: check the path in `server_files`")


def _reread(path: str, last: _ServerFile) -> _ServerFile:
    try:
        content = files.read_bytes(Path(path))
    except files.UnreadableError as error:
        return replace(last, digest=b"", complaints=(Complaint(path, None, "", str(error)),))
    digest = hashlib.sha256(content).digest()
    if digest == last.digest:
        return last
    try:
        return _ServerFile(digest, parse_names(path, content))
    except ConfigError as error:
        return _ServerFile(digest, last.names, error.complaints)


def parse_names(path: str, content: bytes) -> tuple[ServerName, ...]:
    """Return the names in a file, JSON if its path ends in `.json` and YAML otherwise. Raises ConfigError."""
    if path.endswith(".json"):
        return parse_json_names(path, content)
    return _document_names(parse_yaml(path, files.decode(path, content)))


def parse_json_names(file: str, content: bytes) -> tuple[ServerName, ...]:
    """Return the names in a JSON document, in its order. `file` stands for it in complaints. Raises ConfigError."""
    return _document_names(parse_json(file, files.decode(file, content)))


def _document_names(document: Document) -> tuple[ServerName, ...]:
    groups, complaints = validate(tuple[_TargetGroup, ...], document)
    if groups is None or complaints or document.complaints:
        raise ConfigError([*complaints, *document.complaints])
    return tuple(name for group in groups for name in group.targets)


def merge_servers(config: Config, names: Iterable[ServerName]) -> tuple[WatchedServer, ...]:
    """Return the servers of the configuration in their order, and then those that are only in `names`, sorted."""
    configured = {server.server_name for server in config.servers}
    others = (WatchedServer(name, config.probe.interval, None) for name in sorted(set(names) - configured, key=str))
    return (*config.servers, *others)
