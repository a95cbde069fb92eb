"""Loads a web configuration file, and the certificates and keys that it names, into a WebConfig."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from exporter.config import Complaint, ConfigError, files
from exporter.config.checking import validate
from exporter.config.document import Document, parse_yaml
from exporter.config.rules import as_mapping, cannot_use
from exporter.runtime.rate_limit import RateLimit
from exporter.web.settings.declaration import ClientAuth, WebSettingsFile
from exporter.web.settings.passwords import Passwords
from exporter.web.settings.rules import SECTION, PemContents, check_rules
from exporter.web.settings.tls import server_context

_Stamp: TypeAlias = tuple[int, ...] | None
"""Differs from an earlier one if the file has changed; None if there is no file."""


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A complete web configuration, with the objects that enforce it. The defaults allow every request."""

    tls: ssl.SSLContext | None = None
    client_certificate_needed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    passwords: Passwords | None = None
    rate_limit: RateLimit | None = None


# ---------------------------------------------------------------- files


class WatchedFiles:
    """Reads files, and knows afterwards whether any of them has changed."""

    def __init__(self) -> None:
        self._stamps: dict[Path, _Stamp] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(map(str, self._stamps)) or 'none'}>"

    def read_bytes(self, path: Path) -> bytes:
        """Raises UnreadableError."""
        self._stamps[path] = _file_stamp(path)  # taken first, so that a change while reading is noticed later
        return files.read_bytes(path)

    def changed(self) -> bool:
        """Whether a file has changed since it was read. Takes a few microseconds for each file."""
        return any(_file_stamp(path) != stamp for path, stamp in self._stamps.items())


def _file_stamp(path: Path) -> _Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 - takes half the time of Path.stat, and runs for every request
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev


# ---------------------------------------------------------------- loading


def load(path: Path, watched: WatchedFiles) -> WebConfig:
    """Raises ConfigError with all complaints. Reads every file through `watched`, even if it fails. Blocks on the
    disk.
    """
    document = _read(path, watched)
    contents = _read_pems(as_mapping(as_mapping(document.root).get(SECTION)), path.parent, watched)
    settings, complaints = validate(WebSettingsFile, document)
    complaints += [*document.complaints, *check_rules(document, contents)]
    if settings is None or complaints:
        raise ConfigError(complaints)
    try:
        return _build_config(settings, contents)
    except ssl.SSLError as error:
        raise ConfigError([document.complaint((SECTION,), f"OpenSSL refuses this: {error.reason}")]) from error


def _read(path: Path, watched: WatchedFiles) -> Document:
    """Unlike a configuration file, a web configuration file may be empty."""
    try:
        text = files.decode(str(path), watched.read_bytes(path))
    except files.UnreadableError as error:
        raise ConfigError([Complaint(str(path), None, "", str(error))]) from error
    is_empty = all(not line or line.startswith("#") for line in map(str.strip, text.splitlines()))
    return parse_yaml(str(path), "{}" if is_empty else text)


def _read_pems(section: Mapping[str, object], folder: Path, watched: WatchedFiles) -> PemContents:
    found: dict[str, bytes | files.UnreadableError] = {}
    for key in ("cert", "key", "client_ca"):
        inline, file = section.get(key), section.get(f"{key}_file")
        if key in section:
            found[key] = inline.encode() if isinstance(inline, str) else b""
        elif isinstance(file, str) and file and "\0" not in file:
            found[key] = _read_or_error(folder / file, watched)
    return found


def _read_or_error(path: Path, watched: WatchedFiles) -> bytes | files.UnreadableError:
    try:
        return watched.read_bytes(path)
    except files.UnreadableError as error:
        return files.UnreadableError(cannot_use(path, str(error)))


def _build_config(settings: WebSettingsFile, contents: PemContents) -> WebConfig:
    """`contents` have been checked. Raises ssl.SSLError."""
    rate = settings.rate_limit
    pems = {key: content for key, content in contents.items() if isinstance(content, bytes)}
    tls = settings.tls_server_config
    return WebConfig(
        tls=server_context(tls, (pems["cert"], pems["key"]), pems.get("client_ca")) if pems else None,
        client_certificate_needed=tls.client_auth_type is ClientAuth.REQUIRE,
        headers={header: value for header, value in settings.http_server_config.headers.items() if value},
        passwords=Passwords(settings.basic_auth_users) if settings.basic_auth_users else None,
        rate_limit=RateLimit(60 / rate.interval, rate.burst) if rate.interval else None,
    )
