"""Server names from files in Prometheus's file_sd format, YAML or JSON."""

import glob
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from exporter.config import Complaint, Config, ConfigError, ListSettings, files
from exporter.config.checking import NOT_A_LIST, NOT_A_MAPPING, expectation, not_a_mapping_with, unknown_key
from exporter.config.complaint import KeyPath
from exporter.config.document import Document, parse_json, parse_yaml
from exporter.config.value_types import SERVER_NAME, UnexpectedError
from exporter.model.names import ServerName
from exporter.model.servers import WatchedServer
from exporter.server_lists.source import MAX_BYTES, MAX_COMPLAINTS, Listing, ListingBuilder

_GROUP_KEYS = ("targets", "labels")
"""The keys of a target group. The labels are for Prometheus, and the exporter ignores them."""


@dataclass(frozen=True, slots=True)
class ServerFile:
    """The state of one file."""

    digest: bytes = b""
    """SHA-256 of the content that was read last; empty if it could not be read."""
    max_servers: int = 0
    """The limit that applied to that content."""
    listing: Listing = field(default_factory=Listing)
    """The names in its last usable content, and what is wrong with its current content."""
    is_applied: bool = True
    """Whether the names are those of its current content."""


class ServerFiles:
    """The server names in all files that match the patterns.

    Invalid entries of a file are left out. A file that cannot be used keeps the names of its last usable content. A
    file that was removed loses its names.
    """

    def __init__(
        self,
        patterns: Iterable[str],
        max_servers: int = ListSettings().max_servers,
        max_complaints: int = MAX_COMPLAINTS,
    ) -> None:
        self.patterns = tuple(patterns)
        """Absolute glob patterns. They may be replaced: files that match the new ones too keep their state."""
        self.max_servers = max_servers
        """The maximum number of servers of a file. It may be replaced."""
        self._max_complaints = max_complaints
        self.files: dict[str, ServerFile] = {}
        self.unmatched: tuple[Complaint, ...] = ()

    def refresh(self) -> bool:
        """Read the files that have changed. Return whether names or complaints may have changed. Blocks on the disk."""
        before = self.files, self.unmatched
        matches = {pattern: glob.glob(pattern) for pattern in self.patterns}  # noqa: PTH207 - they are absolute
        self.unmatched = tuple(_no_match(pattern) for pattern, paths in matches.items() if not paths)
        paths = sorted({path for paths in matches.values() for path in paths})
        self.files = {path: self._reread(path, self.files.get(path, ServerFile())) for path in paths}
        return (self.files, self.unmatched) != before

    @property
    def names(self) -> tuple[ServerName, ...]:
        """The names in all files, sorted, without duplicates."""
        return tuple(sorted({name for file in self.files.values() for name in file.listing.names}, key=str))

    @property
    def complaints(self) -> tuple[Complaint, ...]:
        return self.unmatched + tuple(
            complaint for file in self.files.values() for complaint in file.listing.complaints
        )

    def _reread(self, path: str, last: ServerFile) -> ServerFile:
        try:
            content = files.read_bytes(Path(path), MAX_BYTES)
        except files.UnreadableError as error:
            return _kept(last, b"", Listing(complaints=(Complaint(path, None, "", str(error)),)))
        digest = hashlib.sha256(content).digest()
        if (digest, self.max_servers) == (last.digest, last.max_servers):
            return last
        try:
            listing = read_file(path, content, self.max_servers, self._max_complaints)
        except ConfigError as error:
            return _kept(last, digest, Listing(complaints=error.complaints))
        if not listing.is_usable:
            return _kept(last, digest, listing)
        return ServerFile(digest, self.max_servers, listing)


def _no_match(pattern: str) -> Complaint:
    return Complaint(pattern, None, "", "expected a file, found none that matches: check the path in `server_files`")


def _kept(last: ServerFile, digest: bytes, unusable: Listing) -> ServerFile:
    """Return the state of a file whose current content cannot be used."""
    return replace(last, digest=digest, listing=replace(unusable, names=last.listing.names), is_applied=False)


# ---------------------------------------------------------------- format


def read_file(path: str, content: bytes, max_servers: int, max_complaints: int = MAX_COMPLAINTS) -> Listing:
    """Return the content of a file, JSON if its path ends in `.json` and YAML otherwise. Raises ConfigError."""
    if path.endswith(".json"):
        return read_json(path, content, max_servers, max_complaints)
    document = parse_yaml(path, files.decode(path, content))
    return _read_groups(document, ListingBuilder(path, max_servers, max_complaints))


def read_json(file: str, content: bytes, max_servers: int, max_complaints: int = MAX_COMPLAINTS) -> Listing:
    """Return the content of a JSON document. `file` stands for it in complaints. Raises ConfigError."""
    document = parse_json(file, files.decode(file, content))
    return _read_groups(document, ListingBuilder(file, max_servers, max_complaints))


def _read_groups(document: Document, listing: ListingBuilder) -> Listing:
    """Raises ConfigError if the document is not a list."""
    if not isinstance(document.root, list):
        raise ConfigError([document.complaint((), expectation(NOT_A_LIST, document.root))])
    for complaint in document.complaints:
        listing.reject(_constant(complaint))
    for index, group in enumerate(document.root):
        _read_group(document, listing, index, group)
    return listing.listing()


def _read_group(document: Document, listing: ListingBuilder, index: int, group: object) -> None:
    """Add the valid targets of a group. If the group itself is invalid, all of its targets are left out."""
    targets = group.get("targets", []) if isinstance(group, dict) else []
    left_out = max(1, len(targets)) if isinstance(targets, list) else 1
    is_valid = True
    for path, sentence in _group_errors(group):
        listing.reject(partial(_complaint, document, (index, *path), sentence), left_out if is_valid else 0)
        is_valid = False
    for position, target in enumerate(targets if is_valid else []):
        try:
            listing.add(SERVER_NAME(target))
        except UnexpectedError as error:
            sentence = partial(expectation, error, target)
            listing.reject(partial(_complaint, document, (index, "targets", position), sentence))


def _group_errors(group: object) -> Iterator[tuple[KeyPath, Callable[[], str]]]:
    """Yield where a group itself is invalid, and a function that says how."""
    if not isinstance(group, dict):
        yield (), partial(expectation, not_a_mapping_with(_GROUP_KEYS), group)
        return
    for key, value in group.items():
        if key not in _GROUP_KEYS:
            yield (key,), partial(unknown_key, key, _GROUP_KEYS)
        elif key == "targets" and not isinstance(value, list):
            yield (key,), partial(expectation, NOT_A_LIST, value)
        elif key == "labels" and not isinstance(value, dict):
            yield (key,), partial(expectation, NOT_A_MAPPING, value)


def _constant(complaint: Complaint) -> Callable[[], Complaint]:
    return lambda: complaint


def _complaint(document: Document, path: KeyPath, sentence: Callable[[], str]) -> Complaint:
    return document.complaint(path, sentence())


# ---------------------------------------------------------------- configuration


def merge_servers(config: Config, names: Iterable[ServerName]) -> tuple[WatchedServer, ...]:
    """Return the servers of the configuration in their order, and then those that are only in `names`, sorted."""
    configured = {server.server_name for server in config.servers}
    interval, cadence = config.probe.interval, config.probe.cadence
    others = sorted(set(names) - configured, key=str)
    return (*config.servers, *(WatchedServer(name, interval, None, cadence) for name in others))
