"""What no single value can tell: how the values go together, and with the files they name.

The rules read the document as written, so that they can be told of along with what is wrong elsewhere; a value of the
wrong kind is none of their business.
"""

import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path as FilePath
from typing import TypeAlias

from exporter import durations
from exporter.config import files, places
from exporter.config.complaint import Complaint, Path, place
from exporter.config.document import Document, describe
from exporter.config.settings import Probe
from exporter.wording import printable

MAX_PATH = 255  # characters shown

Broken: TypeAlias = Iterator[tuple[Path, str]]
"""Where, and a sentence."""


def broken_rules(document: Document, folder: FilePath) -> Iterator[Complaint]:
    """Relative paths are relative to `folder`."""
    root = mapping(document.root)
    for rule in (
        something_is_watched(document.root),
        something_is_served(root),
        no_server_twice(root, document),
        timeout_below_intervals(root),
        no_destination_twice(root),
        certificates_in_ca_file(root, folder),
    ):
        yield from (document.complaint(path, sentence) for path, sentence in rule)


def mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def servers(root: dict[str, object]) -> Iterator[tuple[int, dict[str, object]]]:
    """Each as a mapping, with its index."""
    listed = root.get("servers")
    for index, server in enumerate(listed if isinstance(listed, list) else []):
        yield index, {"server_name": server} if isinstance(server, str) else mapping(server)


def something_is_watched(root: object) -> Broken:
    if isinstance(root, dict) and not root.get("servers") and not root.get("server_files"):
        yield ("servers",), "expected at least one server, found none: list one here, or name files in `server_files`"


def something_is_served(root: dict[str, object]) -> Broken:
    if mapping(root.get("web")).get("listen") == []:
        yield ("web", "listen"), "expected at least one address, found none: name one, or leave the key out"


def no_server_twice(root: dict[str, object], document: Document) -> Broken:
    first: dict[str, Path] = {}
    for index, server in servers(root):
        name, path = server.get("server_name"), ("servers", index)
        if isinstance(name, str) and (there := first.setdefault(name, path)) != path:
            where = f"{place(there)}, line {document.line(there)}"
            yield path, f"the server {describe(name)} is listed already at {where}: keep one of them"


def timeout_below_intervals(root: dict[str, object]) -> Broken:
    probe = mapping(root.get("probe"))
    timeout = seconds(probe.get("timeout"), Probe().timeout)
    blamed = "interval" if "interval" in probe else "timeout"
    intervals: list[tuple[Path, float | None]] = [(("probe", blamed), seconds(probe.get("interval"), Probe().interval))]
    for index, server in servers(root):
        if "interval" in server:
            intervals.append((("servers", index, "interval"), seconds(server["interval"], None)))
    for path, interval in intervals:
        if timeout and interval and timeout >= interval:
            found = f"probe.timeout {durations.text(timeout)} and the interval {durations.text(interval)}"
            yield path, f"expected a timeout below the interval, found {found}: shorten the one or lengthen the other"


def seconds(written: object, default: float | None) -> float | None:
    """None where it is no duration."""
    if written is None:
        return default
    try:
        return durations.parse(written) if isinstance(written, str) else None
    except durations.InvalidDurationError:
        return None


def no_destination_twice(root: dict[str, object]) -> Broken:
    first: dict[str, str] = {}
    for key in mapping(mapping(root.get("network")).get("connect_to")):
        if first.setdefault(canonical(key), key) != key:
            yield (
                ("network", "connect_to", key),
                f"this is the same place as {describe(first[canonical(key)])}: keep one of them",
            )


def canonical(key: str) -> str:
    try:
        return places.destination(key)
    except ValueError:
        return key


def certificates_in_ca_file(root: dict[str, object], folder: FilePath) -> Broken:
    written = mapping(root.get("network")).get("ca_file")
    if isinstance(written, str) and written and "\0" not in written:
        yield from ((("network", "ca_file"), sentence) for sentence in not_certificates(folder / written))


def not_certificates(path: FilePath) -> Iterable[str]:
    """By OpenSSL itself, which is to use them: some in wide use break rules that others insist on."""
    try:
        files.content(path)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except files.UnreadableError as error:
        yield f"{printable(str(path), MAX_PATH)} cannot be used: {error}"
    except ssl.SSLError:
        expected = "expected PEM certificates, found none, or one that is broken"
        yield f"{printable(str(path), MAX_PATH)} cannot be used: {expected}"
