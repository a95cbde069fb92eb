"""Server names from files in Prometheus's file_sd format, YAML or JSON."""

import glob
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from exporter.config import Complaint, ConfigError, ListSettings, files
from exporter.config.checking import NOT_A_LIST, NOT_A_MAPPING, expectation, not_a_mapping_with, unknown_key
from exporter.config.complaint import KeyPath
from exporter.config.document import Document, parse_json, parse_yaml
from exporter.config.value_types import (
    LABEL_NAME,
    LABEL_VALUE,
    SERVER_NAME,
    UnexpectedError,
    none_if_null,
    original_text,
)
from exporter.model.servers import MAX_LABELS, Labels, sort_labels
from exporter.server_lists.source import MAX_BYTES, MAX_COMPLAINTS, Listing, ListingBuilder

_GROUP_KEYS = ("targets", "labels")
"""The keys of a target group."""
_FOR_RELABELING = "__"
"""With this begin the labels that only Prometheus uses, and drops."""


@dataclass(frozen=True, slots=True)
class ServerFile:
    """The state of one file."""

    digest: bytes = b""
    """SHA-256 of the content that was read last; empty if it could not be read."""
    max_servers: int = 0
    """The limit that applied to that content."""
    listing: Listing = field(default_factory=Listing)
    """The servers in its last usable content, and what is wrong with its current content."""
    is_applied: bool = True
    """Whether the servers are those of its current content."""


class ServerFiles:
    """The servers in all files that match the patterns.

    Invalid entries of a file are left out. A file that cannot be used keeps the servers of its last usable content. A
    file that was removed loses its servers.
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
        self._matches: dict[str, list[str]] = {}
        """The paths that match each pattern."""

    def refresh(self) -> bool:
        """Read the files that have changed. Return whether servers or complaints may have. Blocks on the disk."""
        before = self.files, self.unmatched
        matches = {pattern: glob.glob(pattern) for pattern in self.patterns}  # noqa: PTH207 - they are absolute
        self.unmatched = tuple(_no_match(pattern) for pattern, paths in matches.items() if not paths)
        self._matches = matches
        paths = sorted({path for paths in matches.values() for path in paths})
        self.files = {path: self._reread(path, self.files.get(path, ServerFile())) for path in paths}
        return (self.files, self.unmatched) != before

    def listings(self, patterns: Sequence[str]) -> Sequence[Listing]:
        """Return the contents of the files that match some of the patterns, sorted by path."""
        paths = {path for pattern in patterns for path in self._matches.get(pattern, ())}
        return [self.files[path].listing for path in sorted(paths)]

    @property
    def complaints(self) -> tuple[Complaint, ...]:
        return self.unmatched + tuple(
            complaint for file in self.files.values() for complaint in file.listing.complaints
        )

    @property
    def left_out_labels(self) -> tuple[Complaint, ...]:
        return tuple(complaint for file in self.files.values() for complaint in file.listing.left_out_labels)

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
    return replace(last, digest=digest, listing=replace(unusable, servers=last.listing.servers), is_applied=False)


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
    labels = _read_labels(document, listing, index, group) if is_valid else ()
    for position, target in enumerate(targets if is_valid else []):
        try:
            listing.add(SERVER_NAME(target), labels)
        except UnexpectedError as error:
            sentence = partial(expectation, error, target)
            listing.reject(partial(_complaint, document, (index, "targets", position), sentence))


def _read_labels(document: Document, listing: ListingBuilder, index: int, group: object) -> Labels:
    """Return the labels of a valid group. Those that cannot be used are left out."""
    labels: dict[str, str] = {}
    written = group.get("labels", {}) if isinstance(group, dict) else {}
    for name, value in written.items():
        if name.startswith(_FOR_RELABELING):
            continue
        if wrong := _label_error(name, value, len(labels)):
            listing.leave_label_out(partial(_complaint, document, (index, "labels", name), wrong))
        else:
            labels[name] = _label_text(value)
    return sort_labels(labels)


def _label_error(name: str, value: object, labels_before: int) -> Callable[[], str] | None:
    """Return a function that says why a label cannot be used, or None if it can."""
    if labels_before >= MAX_LABELS:
        return lambda: f"expected at most {MAX_LABELS} labels, found more: remove some"
    for value_type, written in ((LABEL_NAME, name), (LABEL_VALUE, _label_text(value))):
        try:
            value_type(written)
        except UnexpectedError as error:
            return partial(expectation, error, written)
    return None


def _label_text(value: object) -> Any:
    """Return the text of a scalar, as Prometheus does, an empty text for null, and other values as they are."""
    if value is None or none_if_null(value) is None:
        return ""
    text = original_text(value)
    return value if text is None else text


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
