"""From a web configuration file, and the files that it names, to a WebConfig or to every complaint about them."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from exporter.config import Complaint, ConfigError, files
from exporter.config.checking import check
from exporter.config.document import Document, parse_yaml
from exporter.config.rules import MAX_PATH, mapping
from exporter.model.sanitize import printable
from exporter.runtime.rate_limit import RateLimit
from exporter.web.settings.declaration import ClientAuth, WebSettingsFile
from exporter.web.settings.passwords import Passwords
from exporter.web.settings.rules import SECTION, Contents, check_rules
from exporter.web.settings.tls import server_context

_Stamp: TypeAlias = tuple[int, ...] | None
"""Changes whenever a file does; none where there is no file."""


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A whole web configuration, and what was built from it; as it stands here: everybody may ask for everything."""

    tls: ssl.SSLContext | None = None
    client_certificate_needed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    passwords: Passwords | None = None
    rate_limit: RateLimit | None = None


# ---------------------------------------------------------------- files


class WatchedFiles:
    """Files as they are read, and whether they are still the same."""

    def __init__(self) -> None:
        self._seen: dict[Path, _Stamp] = {}

    def content(self, path: Path) -> bytes:
        """Raises UnreadableError."""
        self._seen[path] = _file_stamp(path)  # before it is read: a change in between is seen later
        return files.content(path)

    def changed(self) -> bool:
        """Costs some microseconds for each file."""
        return any(_file_stamp(path) != seen for path, seen in self._seen.items())


def _file_stamp(path: Path) -> _Stamp:
    try:
        found = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, for every request
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


# ---------------------------------------------------------------- reading


def load(path: Path, watched: WatchedFiles) -> WebConfig:
    """Raises ConfigError with every complaint. `watched` learns what was read, in any case. Blocks on the disk."""
    document = _read(path, watched)
    contents = _read_pems(mapping(mapping(document.root).get(SECTION)), path.parent, watched)
    settings, complaints = check(WebSettingsFile, document)
    complaints += [*document.complaints, *check_rules(document, contents)]
    if settings is None or complaints:
        raise ConfigError(complaints)
    try:
        return _build_config(settings, contents)
    except ssl.SSLError as error:
        raise ConfigError([document.complaint((SECTION,), f"OpenSSL refuses this: {error.reason}")]) from error


def _read(path: Path, watched: WatchedFiles) -> Document:
    """One that says nothing is a good one."""
    try:
        text = files.text(str(path), watched.content(path))
    except files.UnreadableError as error:
        raise ConfigError([Complaint(str(path), None, "", str(error))]) from error
    says_something = any(line and not line.startswith("#") for line in map(str.strip, text.splitlines()))
    return parse_yaml(str(path), text if says_something else "{}")


def _read_pems(section: Mapping[str, object], folder: Path, watched: WatchedFiles) -> Contents:
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
        return watched.content(path)
    except files.UnreadableError as error:
        return files.UnreadableError(f"{printable(str(path), MAX_PATH)} cannot be used: {error}")


def _build_config(settings: WebSettingsFile, contents: Contents) -> WebConfig:
    """`contents` are good. Raises ssl.SSLError."""
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
