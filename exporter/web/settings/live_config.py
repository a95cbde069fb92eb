"""The web configuration as it is today: read again when it changes, or a certificate or key that it names.

A file that cannot be used changes nothing.
"""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import structlog

from exporter.config import Complaint, ConfigError, files
from exporter.config.checking import check
from exporter.config.document import Document, parse_yaml
from exporter.config.rules import MAX_PATH, mapping
from exporter.model.sanitize import printable
from exporter.runtime.rate_limit import RateLimit
from exporter.web.settings.declaration import ClientAuth, WebSettingsFile
from exporter.web.settings.passwords import Passwords
from exporter.web.settings.rules import SECTION, Contents, check_rules
from exporter.web.settings.tls import ReloadingContext, server_context

_Stamp: TypeAlias = tuple[int, ...] | None
"""Changes whenever a file does; none where there is no file."""

log = structlog.get_logger()


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


# ---------------------------------------------------------------- in force


class LiveWebConfig:
    """As the file says, or as it said when it was last good."""

    def __init__(self, path: Path | None, *, health_without_auth: bool = False) -> None:
        """Without a file everybody may ask for everything. `read` comes first."""
        self.health_without_auth = health_without_auth
        self._path = path
        self._watched = WatchedFiles()
        self._config: WebConfig | None = None

    def read(self) -> None:
        """Raises ConfigError, and then nothing changes."""
        if self._path is None:
            self._config = WebConfig()
            return
        self._watched = WatchedFiles()
        fresh = load(self._path, self._watched)
        if self._config and (self._config.tls is None) != (fresh.tls is None):
            sentence = "TLS is not turned on or off while the exporter runs: restart it"
            raise ConfigError([Complaint(str(self._path), None, SECTION, sentence)])
        if fresh.tls and self.health_without_auth and fresh.client_certificate_needed:
            fresh.tls.verify_mode = ssl.CERT_OPTIONAL  # what else they may ask for is the guard's business
        self._config = fresh

    def current(self) -> WebConfig:
        """Reads again what has changed; complaints about it go to the log, once."""
        if self._watched.changed():
            self._read_again()
        assert self._config
        return self._config

    def _read_again(self) -> None:
        complaints: tuple[Complaint, ...] = ()
        try:
            self.read()
        except ConfigError as error:
            complaints = error.complaints
        for complaint in complaints:
            log.error("web configuration not put to use", complaint=str(complaint))
        if not complaints:
            log.info("web configuration read again")

    def tls(self) -> ssl.SSLContext | None:
        """For a server: each connection meets what is in force when it comes."""
        return ReloadingContext(self._current_tls) if self.current().tls else None

    def _current_tls(self) -> ssl.SSLContext:
        context = self.current().tls
        assert context  # `read` sees to it
        return context
