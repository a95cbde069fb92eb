"""What no single value can tell: how the values go together, and with the files they name.

The rules read the document as written, so that they can be told of along with what is wrong elsewhere; a value of the
wrong kind is none of their business.
"""

import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path as FilePath
from typing import TypeAlias

from exporter.config import addresses, files
from exporter.config.complaint import Complaint, Path, format_path
from exporter.config.document import Document, describe
from exporter.config.settings import ProbeSettings
from exporter.model import durations
from exporter.model.sanitize import printable

MAX_PATH = 255  # characters shown
_LISTS = ("server_urls", "synapse_destinations")
"""The keys under which lists from elsewhere stand."""

Violations: TypeAlias = Iterator[tuple[Path, str]]
"""Where, and a sentence."""


def check_rules(document: Document, folder: FilePath) -> Iterator[Complaint]:
    """Relative paths are relative to `folder`."""
    root = mapping(document.root)
    for rule in (
        _something_is_watched(document.root),
        _something_is_served(root),
        _no_server_twice(root, document),
        _timeout_below_intervals(root),
        _no_destination_twice(root),
        _no_list_twice(root, document),
        _certificates_in_ca_files(root, folder),
        _tokens_in_token_files(root, folder),
    ):
        yield from (document.complaint(path, sentence) for path, sentence in rule)


def mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _servers(root: dict[str, object]) -> Iterator[tuple[int, dict[str, object]]]:
    """Each as a mapping, with its index."""
    listed = root.get("servers")
    for index, server in enumerate(listed if isinstance(listed, list) else []):
        yield index, {"server_name": server} if isinstance(server, str) else mapping(server)


def _something_is_watched(root: object) -> Violations:
    if isinstance(root, dict) and not any(root.get(key) for key in ("servers", "server_files", *_LISTS)):
        elsewhere = "`server_files`, `server_urls` or `synapse_destinations`"
        yield ("servers",), f"expected at least one server, found none: list one here, or name lists in {elsewhere}"


def _something_is_served(root: dict[str, object]) -> Violations:
    if mapping(root.get("web")).get("listen") == []:
        yield ("web", "listen"), "expected at least one address, found none: name one, or leave the key out"


def _no_server_twice(root: dict[str, object], document: Document) -> Violations:
    first: dict[str, Path] = {}
    for index, server in _servers(root):
        name, path = server.get("server_name"), ("servers", index)
        if isinstance(name, str) and (there := first.setdefault(name, path)) != path:
            where = f"{format_path(there)}, line {document.line(there)}"
            yield path, f"the server {describe(name)} is listed already at {where}: keep one of them"


def _timeout_below_intervals(root: dict[str, object]) -> Violations:
    probe = mapping(root.get("probe"))
    timeout = _seconds(probe.get("timeout"), ProbeSettings().timeout)
    blamed = "interval" if "interval" in probe else "timeout"
    intervals: list[tuple[Path, float | None]] = [
        (("probe", blamed), _seconds(probe.get("interval"), ProbeSettings().interval))
    ]
    for index, server in _servers(root):
        if "interval" in server:
            intervals.append((("servers", index, "interval"), _seconds(server["interval"], None)))
    for path, interval in intervals:
        if timeout and interval and timeout >= interval:
            found = f"probe.timeout {durations.text(timeout)} and the interval {durations.text(interval)}"
            yield path, f"expected a timeout below the interval, found {found}: shorten the one or lengthen the other"


def _seconds(written: object, default: float | None) -> float | None:
    """None where it is no duration."""
    if written is None:
        return default
    try:
        return durations.parse(written) if isinstance(written, str) else None
    except durations.InvalidDurationError:
        return None


def _no_destination_twice(root: dict[str, object]) -> Violations:
    first: dict[str, str] = {}
    for key in mapping(mapping(root.get("network")).get("connect_to")):
        if first.setdefault(_canonical(key), key) != key:
            yield (
                ("network", "connect_to", key),
                f"this is the same place as {describe(first[_canonical(key)])}: keep one of them",
            )


def _canonical(key: str) -> str:
    try:
        return addresses.canonical_destination(key)
    except ValueError:
        return key


def _lists(root: dict[str, object]) -> Iterator[tuple[Path, dict[str, object]]]:
    """Each as a mapping, with its place."""
    for key in _LISTS:
        listed = root.get(key)
        for index, written in enumerate(listed if isinstance(listed, list) else []):
            yield (key, index), {"url": written} if isinstance(written, str) else mapping(written)


def _no_list_twice(root: dict[str, object], document: Document) -> Violations:
    """They are told apart by their URLs, which are not shown here: what is wrong with them is not known yet."""
    first: dict[str, Path] = {}
    for path, written in _lists(root):
        url = written.get("url")
        if isinstance(url, str) and (there := first.setdefault(url.rstrip("/"), path)) != path:
            yield (
                path,
                f"this URL stands already at {format_path(there)}, line {document.line(there)}: keep one of them",
            )


def _files_named(key: str, sections: Iterable[tuple[Path, dict[str, object]]]) -> Iterator[tuple[Path, str]]:
    for path, section in sections:
        written = section.get(key)
        if isinstance(written, str) and written and "\0" not in written:
            yield (*path, key), written


def _tokens_in_token_files(root: dict[str, object], folder: FilePath) -> Violations:
    """The path is not shown: some write the token itself there."""
    for path, written in _files_named("token_file", _lists(root)):
        try:
            files.token(folder / written)
        except files.UnreadableError as error:
            yield path, f"the file cannot be used: {error}"


def _certificates_in_ca_files(root: dict[str, object], folder: FilePath) -> Violations:
    sections = [(("network",), mapping(root.get("network"))), *_lists(root)]
    for path, written in _files_named("ca_file", sections):
        yield from ((path, sentence) for sentence in _not_certificates(folder / written))


def _not_certificates(path: FilePath) -> Iterable[str]:
    """By OpenSSL itself, which is to use them: some in wide use break rules that others insist on."""
    try:
        files.content(path)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except files.UnreadableError as error:
        yield f"{printable(str(path), MAX_PATH)} cannot be used: {error}"
    except ssl.SSLError:
        expected = "expected PEM certificates, found none, or one that is broken"
        yield f"{printable(str(path), MAX_PATH)} cannot be used: {expected}"
