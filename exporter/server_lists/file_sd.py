"""Where server names come from beside the configuration: files in Prometheus's file_sd format, YAML or JSON."""

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
    """One entry of a file; the labels are for Prometheus, and nothing is made of them here."""

    targets: tuple[Annotated[ServerName, value_types.SERVER_NAME], ...] = ()
    labels: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _ServerFile:
    """What is known of one file: the names of its last good content, and what is wrong with the present one."""

    digest: bytes = b""
    """Of the content that was looked at last; empty where it could not be read."""
    names: tuple[ServerName, ...] = ()
    complaints: tuple[Complaint, ...] = ()


class ServerFiles:
    """The server names in all files that match the patterns.

    A file that is broken keeps the names of its last good content; the names of one that is gone are gone.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        """May be replaced: files that match the new ones too keep what is known of them."""
        self.files: dict[str, _ServerFile] = {}
        self.unmatched: tuple[Complaint, ...] = ()

    def refresh(self) -> bool:
        """Reads again what has changed. True where names or complaints may differ from before. Blocks on the disk."""
        before = self.files, self.unmatched
        matches = {pattern: glob.glob(pattern) for pattern in self.patterns}  # noqa: PTH207 - absolute
        self.unmatched = tuple(_no_match(pattern) for pattern, paths in matches.items() if not paths)
        paths = sorted({path for paths in matches.values() for path in paths})
        self.files = {path: _reread(path, self.files.get(path, _ServerFile())) for path in paths}
        return (self.files, self.unmatched) != before

    @property
    def names(self) -> tuple[ServerName, ...]:
        """Sorted; each once."""
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
    """In the order of the file. Raises ConfigError."""
    if path.endswith(".json"):
        return parse_json_names(path, content)
    return _document_names(parse_yaml(path, files.decode(path, content)))


def parse_json_names(file: str, content: bytes) -> tuple[ServerName, ...]:
    """As `names_in`, whatever it is called."""
    return _document_names(parse_json(file, files.decode(file, content)))


def _document_names(document: Document) -> tuple[ServerName, ...]:
    groups, complaints = validate(tuple[_TargetGroup, ...], document)
    if groups is None or complaints or document.complaints:
        raise ConfigError([*complaints, *document.complaints])
    return tuple(name for group in groups for name in group.targets)


def merge_servers(config: Config, names: Iterable[ServerName]) -> tuple[WatchedServer, ...]:
    """The servers of the configuration in their order, then the others, sorted: what stands in both is the former."""
    listed = {server.server_name for server in config.servers}
    found = (WatchedServer(name, config.probe.interval, None) for name in sorted(set(names) - listed, key=str))
    return (*config.servers, *found)
