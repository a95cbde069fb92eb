"""A certificate and its key in two files, which are read again when they change."""

import ssl
from pathlib import Path

import structlog

from exporter.config import files
from exporter.web.settings.declaration import TlsServerSettings
from exporter.web.settings.loading import WatchedFiles
from exporter.web.settings.tls import ReloadingContext, server_context

log = structlog.get_logger()


class LivePair:
    """The latest pair of a certificate and a key that belong together."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        """Raises UnreadableError or ssl.SSLError."""
        self._paths = cert_file, key_file
        self._watched = WatchedFiles()
        self._context = self._read()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._paths[0]}>"

    def tls(self) -> ssl.SSLContext:
        """Return a context for a server, which gives every new connection the pair in the files."""
        return ReloadingContext(self._current)

    def _read(self) -> ssl.SSLContext:
        self._watched = WatchedFiles()
        certificate, key = map(self._watched.read_bytes, self._paths)
        return server_context(TlsServerSettings(), (certificate, key), None)

    def _current(self) -> ssl.SSLContext:
        """Return the pair in the files, or the one before, if they are invalid: that is logged once."""
        if self._watched.changed():
            complaint = self._reread()
            if complaint:
                log.error("certificate of the outbound listener not applied", complaint=complaint)
            else:
                log.info("certificate of the outbound listener reloaded")
        return self._context

    def _reread(self) -> str | None:
        """Apply the files, or return why they cannot be used."""
        try:
            self._context = self._read()
        except (files.UnreadableError, ssl.SSLError) as error:
            return str(error)
        return None
