"""The web configuration as it is today: read again when it changes, or a certificate or key that it names.

A file that cannot be used changes nothing.
"""

import ssl
from pathlib import Path

import structlog

from exporter.config import Complaint, ConfigError
from exporter.web.settings.loading import WatchedFiles, WebConfig, load
from exporter.web.settings.rules import SECTION
from exporter.web.settings.tls import ReloadingContext

log = structlog.get_logger()


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
