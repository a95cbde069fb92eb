"""The web configuration that is in effect: loaded again when the file, or a certificate or key that it names, changes.

An invalid configuration is not applied: the previous one stays in effect.
"""

import ssl
from pathlib import Path

import structlog

from exporter.config import Complaint, ConfigError
from exporter.web.settings.loading import WatchedFiles, WebConfig, load
from exporter.web.settings.location import Location
from exporter.web.settings.rules import SECTION
from exporter.web.settings.tls import ReloadingContext

log = structlog.get_logger()


class LiveWebConfig:
    """The configuration of the latest valid version of the file. Call `read` before any other method."""

    def __init__(
        self, path: Path | None, *, health_without_auth: bool = False, location: Location | None = None
    ) -> None:
        """Without a path, every request is allowed."""
        self.location = location or Location()
        self.health_without_auth = health_without_auth
        self._path = path
        self._watched = WatchedFiles()
        self._config: WebConfig | None = None
        self._is_latest = False
        """Whether the configuration in effect is the content of the files when they were read last."""

    def __repr__(self) -> str:
        if self._config is None:
            return f"<{type(self).__name__} {self._path}: not read>"
        parts = {
            "TLS": self._config.tls,
            "client certificates": self._config.client_certificate_needed,
            "passwords": self._config.passwords,
            "rate limit": self._config.rate_limit,
            "health without authentication": self.health_without_auth,
        }
        return f"<{type(self).__name__} {self._path}: {', '.join(name for name, on in parts.items() if on) or 'open'}>"

    def read(self) -> None:
        """Load the file, unless nothing has changed: passwords that were verified, and what is left of a rate limit,
        outlast a reload. Raises ConfigError, and leaves the configuration unchanged, in two cases:

        - The file, or a file that it names, is invalid.
        - The file turns TLS on or off, which a server cannot do while it is listening.
        """
        if self._is_latest and not self._watched.changed():
            return
        if self._path is None:
            self._config, self._is_latest = WebConfig(), True
            return
        self._watched, self._is_latest = WatchedFiles(), False
        fresh = load(self._path, self._watched)
        if self._config and (self._config.tls is None) != (fresh.tls is None):
            sentence = "TLS cannot be turned on or off while the exporter is running: restart it"
            raise ConfigError([Complaint(str(self._path), None, SECTION, sentence)])
        if fresh.tls and self.health_without_auth and fresh.client_certificate_needed:
            fresh.tls.verify_mode = ssl.CERT_OPTIONAL  # the guard refuses every other request without a certificate
        self._config, self._is_latest = fresh, True

    def current(self) -> WebConfig:
        """Return the configuration in effect. There are three cases:

        - No file has changed: this is the configuration that was read last.
        - A file has changed and is valid: this is the new configuration.
        - A file has changed and is invalid: the previous configuration stays in effect. The complaints are logged once,
          because the files count as unchanged until they change again.
        """
        if self._watched.changed():
            self._reload()
        assert self._config
        return self._config

    def _reload(self) -> None:
        complaints: tuple[Complaint, ...] = ()
        try:
            self.read()
        except ConfigError as error:
            complaints = error.complaints
        for complaint in complaints:
            log.error("web configuration not applied", complaint=str(complaint))
        if not complaints:
            log.info("web configuration reloaded")

    def tls(self) -> ssl.SSLContext | None:
        """Return a context for a server, which gives every new connection the context in effect; None without TLS."""
        return ReloadingContext(self._current_tls) if self.current().tls else None

    def _current_tls(self) -> ssl.SSLContext:
        context = self.current().tls
        assert context  # `read` does not turn TLS off
        return context
